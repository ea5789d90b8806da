//! Something that a browser began and ends once: a sign-in with a provider, the use of a passkey.

use sea_orm::entity::prelude::*;

/// Something that a browser began and ends once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ceremony")]
pub struct Model {
    /// Hash of the token that ends it.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token_hash: String,
    /// What was begun.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// Who began it, if that is known.
    pub user_id: Option<Uuid>,
    /// What its end is checked against.
    #[sea_orm(column_type = "Text")]
    pub data: String,
    /// When it was begun; milliseconds since 1970.
    pub created_at: i64,
    /// When it is too late.
    pub expires_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
