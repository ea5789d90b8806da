//! Who a person is at a provider.

use sea_orm::entity::prelude::*;

/// Who a person is at a provider.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identity")]
pub struct Model {
    /// The provider's issuer.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub issuer: String,
    /// The person's name there, which never changes.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub subject: String,
    /// The account here.
    pub user_id: Uuid,
    /// When they were joined; milliseconds since 1970.
    pub created_at: i64,
    /// The newest sign-in.
    pub last_used_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
