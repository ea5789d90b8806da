//! A tenant. Everything else belongs to exactly one.

use sea_orm::entity::prelude::*;

/// A tenant. Everything else belongs to exactly one.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workspace")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Name in addresses; unique.
    #[sea_orm(column_type = "Text")]
    pub slug: String,
    /// Name for people.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// Whether people without a second factor are sent to set one up first.
    pub require_second_factor: bool,
    /// When its deletion began, which takes a while; milliseconds since 1970.
    pub deleting_at: Option<i64>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
