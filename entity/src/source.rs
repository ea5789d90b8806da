//! Where events come from.

use sea_orm::entity::prelude::*;

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "source")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Name for people; unique in the workspace.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Name in the address; unique in the workspace.
    #[sea_orm(column_type = "Text")]
    pub slug: String,
    /// `webhook`.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// False: requests are refused.
    pub enabled: bool,
    /// JSON of the authentication scheme, without its secrets.
    #[sea_orm(column_type = "Text")]
    pub auth: String,
    /// JSON list of networks; empty: any.
    #[sea_orm(column_type = "Text")]
    pub allow_cidrs: String,
    /// Requests a minute; none: unlimited.
    pub rate_per_minute: Option<i32>,
    /// Bytes of a body; none: the server's limit.
    pub body_limit: Option<i32>,
    /// Days that its events are kept; none: those of the workspace; 0: for good.
    pub retention_days: Option<i32>,
    /// `first` or `all`.
    #[sea_orm(column_type = "Text")]
    pub match_mode: String,
    /// JSON of the policy for events that no rule takes.
    #[sea_orm(column_type = "Text")]
    pub on_no_match: String,
    /// Path of the delivery id in the payload, for idempotent ingest.
    #[sea_orm(column_type = "Text")]
    pub event_id_path: Option<String>,
    /// JSON of how a request becomes many events; none: it is one.
    #[sea_orm(column_type = "Text")]
    pub split: Option<String>,
    /// Seconds of silence that raise an alert; none: it may be silent.
    pub silent_after: Option<i64>,
    /// Since when silence counts at the earliest; milliseconds since 1970.
    pub heartbeat_since: Option<i64>,
    /// Days after which somebody is reminded to replace its secret; none: never.
    pub rotate_days: Option<i32>,
    /// Until when the secret before is valid as well; milliseconds since 1970.
    pub old_secret_until: Option<i64>,
    /// Grows with every change; the ETag.
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
