//! What an API client authenticates with.

use sea_orm::entity::prelude::*;

/// What an API client authenticates with.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace it acts in.
    pub workspace_id: Uuid,
    /// Public name, part of the token; unique.
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    /// Name for people.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// `bearer` or `hmac`.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// JSON list of scopes.
    #[sea_orm(column_type = "Text")]
    pub scopes: String,
    /// Argon2id hash of the primary token, once more, for servers of the version before; empty for
    /// other kinds.
    #[sea_orm(column_type = "Text")]
    pub secret_hash: String,
    /// JSON list of networks it may be used from.
    #[sea_orm(column_type = "Text")]
    pub allow_cidrs: String,
    /// False: refused.
    pub enabled: bool,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// Refused from then on; milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// Last use, written in batches; milliseconds since 1970.
    pub last_used_at: Option<i64>,
    /// True: the plain form of signatures is accepted too.
    pub legacy: bool,
    /// Refused for good since then; milliseconds since 1970.
    pub revoked_at: Option<i64>,
    /// Grows with every change.
    pub revision: i64,
    /// Last change, 0 before the first; milliseconds since 1970.
    pub updated_at: i64,
    /// Days after which a secret is to be replaced.
    pub rotate_days: Option<i32>,
    /// Days for which the old secret stays valid beside a new one.
    pub overlap_days: i32,
    /// Address of the last use.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_used_addr: Option<String>,
    /// Requests a minute; none: what the settings say.
    pub rate_per_minute: Option<i32>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
