//! A secret sealed with the key ring, bound to its owner by the associated data.

use sea_orm::entity::prelude::*;

/// A secret sealed with the key ring, bound to its owner by the associated data.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sealed_secret")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace; nil for those of a person, who belongs to none or many.
    pub workspace_id: Uuid,
    /// `source`, `connection`, `credential` or `user`.
    #[sea_orm(column_type = "Text")]
    pub owner_kind: String,
    /// Id of the owner.
    pub owner_id: Uuid,
    /// Name within the owner.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Of a source or connection 0 is current, 1 the one being rotated out; of a credential the slot
    /// of `credential_secret`; of a person 0 is in use, 1 the one being set up.
    pub slot: i32,
    /// Key of the ring that sealed it.
    #[sea_orm(column_type = "Text")]
    pub key_id: String,
    /// Nonce and ciphertext.
    pub sealed: Vec<u8>,
    /// When it was stored; milliseconds since 1970.
    pub created_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
