//! Ties a key to an upstream record.

use sea_orm::entity::prelude::*;

/// Ties a key to an upstream record.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The connection; with the key it is unique.
    pub connection_id: Uuid,
    /// Record key as rendered by the rule.
    #[sea_orm(column_type = "Text")]
    pub key: String,
    /// Upstream record.
    #[sea_orm(column_type = "Text")]
    pub record_id: String,
    /// Address of the record for people.
    #[sea_orm(column_type = "Text")]
    pub record_url: Option<String>,
    /// `open` or `closed`.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// When it was tied; milliseconds since 1970.
    pub created_at: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
