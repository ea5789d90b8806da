//! Credentials and settings for one upstream.

use sea_orm::entity::prelude::*;

/// Credentials and settings for one upstream.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connection")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Name that rules use; unique in the workspace.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Kind of upstream.
    #[sea_orm(column_type = "Text")]
    pub connector: String,
    /// JSON settings; the connector knows their shape.
    #[sea_orm(column_type = "Text")]
    pub settings: String,
    /// True: private and loopback addresses may be called.
    pub allow_private: bool,
    /// False: its deliveries wait.
    pub enabled: bool,
    /// Calls at once; none: the server's default.
    pub concurrency: Option<i32>,
    /// Calls a minute; none: unlimited.
    pub rate_per_minute: Option<i32>,
    /// JSON of the retry policy; `{}`: the server's default.
    #[sea_orm(column_type = "Text")]
    pub retry: String,
    /// `ok` or `attention`.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// Why it needs attention.
    #[sea_orm(column_type = "Text")]
    pub state_reason: Option<String>,
    /// When the state began; milliseconds since 1970.
    pub state_at: i64,
    /// Start of the failures that no success ended; written for subscribers; milliseconds since 1970.
    pub failing_since: Option<i64>,
    /// Grows with every change of the configuration; the ETag.
    pub revision: i64,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
