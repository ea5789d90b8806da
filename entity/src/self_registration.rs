//! Who may ask to join a workspace; without a row, nobody.

use sea_orm::entity::prelude::*;

/// Who may ask to join a workspace.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "self_registration")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// False: nobody.
    pub enabled: bool,
    /// Domains of addresses, as JSON.
    #[sea_orm(column_type = "Text")]
    pub email_domains: String,
    /// What they will be.
    #[sea_orm(column_type = "Text")]
    pub role: String,
    /// Whether nobody has to approve them.
    pub automatic: bool,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
