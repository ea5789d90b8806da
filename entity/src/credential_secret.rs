//! A secret of a credential that is live: one, or two while clients move from one to the other.

use sea_orm::entity::prelude::*;

/// A secret of a credential that is live. What an HMAC secret is lies in `sealed_secret`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential_secret")]
pub struct Model {
    /// The credential.
    #[sea_orm(primary_key, auto_increment = false)]
    pub credential_id: Uuid,
    /// 0 or 1; stays the same while the secret lives.
    #[sea_orm(primary_key, auto_increment = false)]
    pub slot: i32,
    /// True for exactly one secret of a credential.
    pub is_primary: bool,
    /// Argon2id hash of a bearer token; empty for HMAC.
    #[sea_orm(column_type = "Text")]
    pub hash: String,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// Refused from then on; milliseconds since 1970.
    pub retire_at: Option<i64>,
    /// Last use, written in batches; milliseconds since 1970.
    pub last_used_at: Option<i64>,
    /// Address of the last use.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_used_addr: Option<String>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
