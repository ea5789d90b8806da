//! A link or cookie that is good for one thing, once. Stored only as a hash.

use sea_orm::entity::prelude::*;

/// A link or cookie that is good for one thing, once. Stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_token")]
pub struct Model {
    /// Lower-hex SHA-256 of the token.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token_hash: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// `password_reset` or `second_factor`.
    #[sea_orm(column_type = "Text")]
    pub purpose: String,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// When it ends; milliseconds since 1970.
    pub expires_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
