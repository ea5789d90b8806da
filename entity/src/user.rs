//! A person who signs in.

use sea_orm::entity::prelude::*;

/// A person who signs in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Lower-case address; unique.
    #[sea_orm(column_type = "Text")]
    pub email: String,
    /// Name for people.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Argon2id hash in PHC form.
    #[sea_orm(column_type = "Text")]
    pub password_hash: String,
    /// When the account was made; milliseconds since 1970.
    pub created_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
