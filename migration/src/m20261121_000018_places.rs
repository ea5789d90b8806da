//! The place of a repeat in its lane.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000018_places"
    }
}

/// What was set aside with its lane, in order.
const PLACES: &[BesideWork] = &[index(
    "delivery_lane_place",
    "delivery (connection_id, lane, COALESCE(place, id)) WHERE state = 'dead' AND lane_parked = TRUE",
)];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // It may be empty: an earlier version writes rows without it.
        add(m, "delivery", optional("place").uuid().to_owned()).await?;
        build(m, PLACES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(m, &["delivery_lane_place"]).await?;
        drop_columns(m, "delivery", &["place"]).await
    }
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}
