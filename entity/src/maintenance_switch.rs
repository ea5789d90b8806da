//! The switch that makes all deliveries of a workspace wait.

use sea_orm::entity::prelude::*;

/// The switch that makes all deliveries of a workspace wait. No row: it was never used.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_switch")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// Whether it is on.
    pub active: bool,
    /// When it switches itself off; milliseconds since 1970.
    pub until: Option<i64>,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
