//! A source whose silence has raised its alert.

use sea_orm::entity::prelude::*;

/// A source whose silence has raised its alert.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "source_silence")]
pub struct Model {
    /// The source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: Uuid,
    /// Since when it is silent; milliseconds since 1970.
    pub since: i64,
    /// When the alert was raised; milliseconds since 1970.
    pub alerted_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
