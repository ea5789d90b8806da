//! A version of a rule, as it was saved.

use sea_orm::entity::prelude::*;

/// A version of a rule, as it was saved. Those of a deleted rule stay.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rule_revision")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The rule.
    pub rule_id: Uuid,
    /// Its number; unique within the rule.
    pub revision: i64,
    /// Name then.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Source then; none: every source.
    pub source_id: Option<Uuid>,
    /// Place then.
    pub priority: i32,
    /// Order of creation; decides between equal priorities.
    pub seq: i64,
    /// Whether it was switched on.
    pub enabled: bool,
    /// JSON of conditions and steps.
    #[sea_orm(column_type = "Text")]
    pub spec: String,
    /// JSON object: the ids of the connections that the steps name, by those names.
    #[sea_orm(column_type = "Text")]
    pub connections: String,
    /// Who saved it; empty: not known.
    #[sea_orm(column_type = "Text")]
    pub actor: String,
    /// When the rule was made; milliseconds since 1970.
    pub created_at: i64,
    /// In force from then; milliseconds since 1970.
    pub saved_at: i64,
    /// In force until then; none: still. Milliseconds since 1970.
    pub ended_at: Option<i64>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
