//! What the breaker of a connection last was, for people and for other nodes.

use sea_orm::entity::prelude::*;

/// What the breaker of a connection last was. Written when it opens and closes, and now and then
/// while it is open.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "breaker")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// `closed` or `open`.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// Calls in a row that had failed.
    pub failures: i64,
    /// When it last opened; milliseconds since 1970.
    pub opened_at: i64,
    /// When it last let a call through to see; milliseconds since 1970.
    pub probed_at: i64,
    /// Grows each time the upstream comes back.
    pub recoveries: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
    /// The upstream asked for no calls before then; milliseconds since 1970.
    pub not_before: Option<i64>,
    /// How many calls at once, while they are fewer than allowed.
    pub at_once: Option<i64>,
    /// Milliseconds between them, then.
    pub apart_ms: Option<i64>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
