//! How much of a day is in the archive: of the pieces whose rows were deleted.

use sea_orm::entity::prelude::*;

/// How much of a day is in the archive.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "archive_file")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// The table.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub name: String,
    /// The day in UTC, `2026-01-31`.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub day: String,
    /// Bytes of the pieces.
    pub bytes: i64,
    /// Rows written to them, also of what stayed in the database after all.
    pub rows: i64,
    /// Last piece; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
