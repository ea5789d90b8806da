//! A signed-in browser. The cookie's token is stored only as a hash.

use sea_orm::entity::prelude::*;

/// A signed-in browser. The cookie's token is stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    /// Lower-hex SHA-256 of the token.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token_hash: String,
    /// Who is signed in.
    pub user_id: Uuid,
    /// Lower-hex SHA-256 of the token that writes must carry.
    #[sea_orm(column_type = "Text")]
    pub csrf_hash: String,
    /// Address of the sign-in.
    #[sea_orm(column_type = "Text")]
    pub remote_addr: String,
    /// Browser of the sign-in, cut to 200 characters.
    #[sea_orm(column_type = "Text")]
    pub user_agent: String,
    /// Sign-in; milliseconds since 1970.
    pub created_at: i64,
    /// Last use, written at most once a minute; milliseconds since 1970.
    pub seen_at: i64,
    /// Absolute end; milliseconds since 1970.
    pub expires_at: i64,
    /// When the person last confirmed who it is; 0: at the sign-in. Milliseconds since 1970.
    pub proved_at: i64,
    /// Whether two factors were shown by other means than the account's own second factor.
    pub strong: bool,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
