//! Somebody who is asked to join a workspace. The token of the link is stored only as a hash.

use sea_orm::entity::prelude::*;

/// Somebody who is asked to join a workspace. The token of the link is stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitation")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Lower-case address.
    #[sea_orm(column_type = "Text")]
    pub email: String,
    /// What the person will be.
    #[sea_orm(column_type = "Text")]
    pub role: String,
    /// Lower-hex SHA-256 of the token.
    #[sea_orm(column_type = "Text")]
    pub token_hash: String,
    /// Who invited: e-mail, client id or part of the server.
    #[sea_orm(column_type = "Text")]
    pub invited_by: String,
    /// When the link was made; milliseconds since 1970.
    pub created_at: i64,
    /// When the link ends; milliseconds since 1970.
    pub expires_at: i64,
    /// Grows with every new link.
    pub revision: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
