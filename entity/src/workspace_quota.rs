//! How much a workspace may have.

use sea_orm::entity::prelude::*;

/// How much a workspace may have.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workspace_quota")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// JSON of the limits.
    #[sea_orm(column_type = "Text")]
    pub spec: String,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
