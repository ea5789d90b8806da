//! Where the chain of a workspace's audit log begins and ends.

use sea_orm::entity::prelude::*;

/// Where the chain of a workspace's audit log begins and ends.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_chain")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// Number of the last line.
    pub seq: i64,
    /// Its hash.
    #[sea_orm(column_type = "Text")]
    pub hash: String,
    /// Number of the last line that was deleted by age; 0: none.
    pub anchor_seq: i64,
    /// Its hash; empty: none.
    #[sea_orm(column_type = "Text")]
    pub anchor_hash: String,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
