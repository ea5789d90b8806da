//! A time in which deliveries wait or are not made.

use sea_orm::entity::prelude::*;

/// A time in which deliveries wait or are not made.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_window")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Name for people; unique in the workspace.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// False: it never opens.
    pub enabled: bool,
    /// `queue` or `skip`.
    #[sea_orm(column_type = "Text")]
    pub mode: String,
    /// Name of the time zone.
    #[sea_orm(column_type = "Text")]
    pub zone: String,
    /// JSON of the schedule.
    #[sea_orm(column_type = "Text")]
    pub schedule: String,
    /// `workspace`, `sources` or `connections`.
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    /// JSON list of the ids of its sources or connections.
    #[sea_orm(column_type = "Text")]
    pub members: String,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// When it was made; milliseconds since 1970.
    pub created_at: i64,
    /// Last change; milliseconds since 1970.
    pub updated_at: i64,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
