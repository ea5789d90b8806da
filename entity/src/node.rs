//! A running server.

use sea_orm::entity::prelude::*;

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "node")]
pub struct Model {
    /// New at every start.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// `all`, `api` or `worker`.
    #[sea_orm(column_type = "Text")]
    pub role: String,
    /// When it started; milliseconds since 1970.
    pub started_at: i64,
    /// Its leases hold until then; renewed while it runs; milliseconds since 1970.
    pub lease_until: i64,
    /// Configuration that it serves.
    pub config_revision: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
