//! A person in a workspace, with a role.

use sea_orm::entity::prelude::*;

/// A person in a workspace, with a role.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// The person.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// `owner`, `admin`, `operator`, `viewer`, or `custom:` and the id of a role.
    #[sea_orm(column_type = "Text")]
    pub role: String,
    /// False: no way in until somebody says otherwise.
    pub enabled: bool,
    /// Since when; milliseconds since 1970, 0: since before that was noted.
    pub created_at: i64,
    /// Last request in this workspace, written at most once a minute.
    pub seen_at: Option<i64>,
    /// Grows with every change.
    pub revision: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
