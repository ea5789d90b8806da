//! A role that a workspace made itself.

use sea_orm::entity::prelude::*;

/// A role that a workspace made itself.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "role")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Name for people; unique in the workspace.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// JSON list of the words of what it permits.
    #[sea_orm(column_type = "Text")]
    pub permissions: String,
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
