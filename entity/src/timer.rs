//! Something that is to be done at a time, once.

use sea_orm::entity::prelude::*;

/// Something that is to be done at a time, once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "timer")]
pub struct Model {
    /// Which task does it.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kind: String,
    /// What it is about; unique within the kind.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub key: String,
    /// Not before; milliseconds since 1970.
    pub due_at: i64,
    /// Node that does it now; it is free when that node is gone.
    pub owner: Option<Uuid>,
    /// Grows with every claim; a late end carries an old one.
    pub fence: i64,
    /// Runs in a row that failed.
    pub failures: i32,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
