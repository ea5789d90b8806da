//! Somebody who asks to join a workspace. The token of the link is stored only as a hash.

use sea_orm::entity::prelude::*;

/// Somebody who asks to join a workspace.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registration")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// `asked`: nobody has shown that the address is theirs; `pending`: it waits for an answer.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// Lower-case address.
    #[sea_orm(column_type = "Text")]
    pub email: String,
    /// Name for people; empty before the address was shown to be theirs.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Argon2id hash in PHC form; empty before.
    #[sea_orm(column_type = "Text")]
    pub password_hash: String,
    /// Lower-hex SHA-256 of the token of the link; empty once it was used.
    #[sea_orm(column_type = "Text")]
    pub token_hash: String,
    /// When the state began; milliseconds since 1970.
    pub created_at: i64,
    /// When it is forgotten.
    pub expires_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
