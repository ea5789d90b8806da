//! Work in the background, done in pieces, with its progress.

use sea_orm::entity::prelude::*;

/// Work in the background, done in pieces, with its progress.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Which task does it.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// `running`, `done`, `failed` or `cancelled`.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// JSON of what is to be done; the task knows its shape.
    #[sea_orm(column_type = "Text")]
    pub params: String,
    /// How far it is, in the words of the task; empty at the start.
    #[sea_orm(column_type = "Text")]
    pub cursor: String,
    /// Things to do, as counted at the start.
    pub total: i64,
    /// Things done.
    pub done: i64,
    /// Things that could not be done.
    pub failed: i64,
    /// Why it failed.
    #[sea_orm(column_type = "Text")]
    pub error: Option<String>,
    /// Who started it.
    #[sea_orm(column_type = "Text")]
    pub actor: String,
    /// When it was started; milliseconds since 1970.
    pub created_at: i64,
    /// Last progress; milliseconds since 1970.
    pub updated_at: i64,
    /// When it ended; milliseconds since 1970.
    pub finished_at: Option<i64>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
