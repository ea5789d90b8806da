//! A request of a known source that was not accepted; a bounded ring.

use sea_orm::entity::prelude::*;

/// A request of a known source that was not accepted; a bounded ring.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refusal")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The source.
    pub source_id: Uuid,
    /// When; milliseconds since 1970.
    pub at: i64,
    /// HTTP status of the answer.
    pub status: i32,
    /// Stable code.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// Address of the sender.
    #[sea_orm(column_type = "Text")]
    pub remote_addr: String,
    /// Content type as received, cut to 100 characters.
    #[sea_orm(column_type = "Text")]
    pub content_type: String,
    /// Bytes of the body that were read.
    pub size: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
