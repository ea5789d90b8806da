//! A code that stands in for the second factor, once. Stored only as a hash.

use sea_orm::entity::prelude::*;

/// A code that stands in for the second factor, once. Stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_code")]
pub struct Model {
    /// Whose it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// Lower-hex SHA-256 of the code and its owner.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub code_hash: String,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
