//! The last clean-up of a workspace.

use sea_orm::entity::prelude::*;

/// The last clean-up of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "retention_run")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// When it began; milliseconds since 1970.
    pub started_at: i64,
    /// When it ended; none: it goes on.
    pub finished_at: Option<i64>,
    /// JSON of the rows deleted of each table.
    #[sea_orm(column_type = "Text")]
    pub deleted: String,
    /// Bytes written to the archive.
    pub archived: i64,
    /// Why it ended early.
    #[sea_orm(column_type = "Text")]
    pub error: Option<String>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
