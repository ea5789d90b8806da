//! A firewall line: priority, conditions, then steps.

use sea_orm::entity::prelude::*;

/// A firewall line: priority, conditions, then steps.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rule")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The source it listens to; none: every source.
    pub source_id: Option<Uuid>,
    /// Name for people; unique in the workspace.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Smaller goes first.
    pub priority: i32,
    /// Order of creation; decides between equal priorities.
    pub seq: i64,
    /// False: passed over.
    pub enabled: bool,
    /// JSON of conditions and steps.
    #[sea_orm(column_type = "Text")]
    pub spec: String,
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
