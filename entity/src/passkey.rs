//! A passkey of a person.

use sea_orm::entity::prelude::*;

/// A passkey of a person.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkey")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// Name for people.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// The authenticator's name for it, in base64url.
    #[sea_orm(column_type = "Text")]
    pub credential_id: String,
    /// What never changes: the public key.
    pub fixed: Vec<u8>,
    /// What each use changes: the counter.
    pub state: Vec<u8>,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// The newest use.
    pub last_used_at: Option<i64>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
