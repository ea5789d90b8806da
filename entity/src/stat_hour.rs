//! A counter of one hour, so that dashboards never scan.

use sea_orm::entity::prelude::*;

/// A counter of one hour, so that dashboards never scan.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stat_hour")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: Uuid,
    /// Start of the hour; milliseconds since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hour: i64,
    /// What is counted.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub metric: String,
    /// Source or connection it is counted for, or empty.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub subject: String,
    /// The count.
    pub value: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
