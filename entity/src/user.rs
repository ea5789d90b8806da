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
    /// When the password was set; 0: with the account, or before that was noted.
    pub password_at: i64,
    /// Refused since then, whatever the workspaces say.
    pub disabled_at: Option<i64>,
    /// When codes of an app became the second factor; none: they are not.
    pub totp_at: Option<i64>,
    /// Number of the newest time step whose code was used; it is not taken again.
    pub totp_step: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
