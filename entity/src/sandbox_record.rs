//! What the sandbox connector would have sent.

use sea_orm::entity::prelude::*;

/// What the sandbox connector would have sent.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_record")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The connection.
    pub connection_id: Uuid,
    /// Number that people see, from 1 in each connection.
    pub number: i64,
    /// Record key.
    #[sea_orm(column_type = "Text")]
    pub key: Option<String>,
    /// The delivery that made it.
    #[sea_orm(column_type = "Text")]
    pub message_id: String,
    /// What was asked.
    #[sea_orm(column_type = "Text")]
    pub operation: String,
    /// `open` or `closed`.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// A line for people.
    #[sea_orm(column_type = "Text")]
    pub title: String,
    /// JSON of the fields as sent.
    #[sea_orm(column_type = "Text")]
    pub fields: String,
    /// JSON list of notes: message id, text, time.
    #[sea_orm(column_type = "Text")]
    pub notes: String,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
