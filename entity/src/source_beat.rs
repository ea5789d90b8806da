//! When a source was heard last, as one node knows it.

use sea_orm::entity::prelude::*;

/// When a source was heard last, as one node knows it. The newest of all nodes counts.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "source_beat")]
pub struct Model {
    /// The source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: Uuid,
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node_id: Uuid,
    /// When; milliseconds since 1970.
    pub at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
