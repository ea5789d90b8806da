//! One call upstream.

use sea_orm::entity::prelude::*;

/// One call upstream.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The delivery.
    pub delivery_id: Uuid,
    /// From 1.
    pub number: i32,
    /// When the call began; milliseconds since 1970.
    pub started_at: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// `delivered`, `retry`, `unknown`, `permanent`, `gone`, `schema_drift`, `auth_failed` or `rate_limited`.
    #[sea_orm(column_type = "Text")]
    pub outcome: String,
    /// Last HTTP status.
    pub status: Option<i32>,
    /// Stable code of the fault.
    #[sea_orm(column_type = "Text")]
    pub error_code: Option<String>,
    /// Text of the fault, cut to 500 characters.
    #[sea_orm(column_type = "Text")]
    pub error: Option<String>,
    /// JSON list of requests and responses, masked and cut.
    #[sea_orm(column_type = "Text")]
    pub exchanges: String,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
