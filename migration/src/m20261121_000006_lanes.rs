//! What becomes of a lane whose head fails, notes that become one, and breakers as data.
//!
//! Every new column has a default, so that a server of the version before can go on inserting.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000006_lanes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("breaker")
                .col(required("connection_id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("state").text())
                .col(required("failures").big_integer())
                .col(required("opened_at").big_integer())
                .col(required("probed_at").big_integer())
                .col(required("recoveries").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["connection_id"]))
                .to_owned(),
        )
        .await?;
        for column in [
            required("on_failure").text().default("skip").to_owned(),
            required("coalesce").boolean().default(true).to_owned(),
            optional("state_code").text().to_owned(),
        ] {
            add(m, "connection", column).await?;
        }
        for column in [
            required("repeats").integer().default(1).to_owned(),
            optional("coalesced_into").uuid().to_owned(),
            required("lane_parked").boolean().default(false).to_owned(),
        ] {
            add(m, "delivery", column).await?;
        }
        build(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let indexes = ["delivery_waiting_note", "delivery_lane_parked"];
        drop_indexes(m, &indexes).await?;
        let columns = ["repeats", "coalesced_into", "lane_parked"];
        drop_columns(m, "delivery", &columns).await?;
        let columns = ["on_failure", "coalesce", "state_code"];
        drop_columns(m, "connection", &columns).await?;
        drop_tables(m, &["breaker"]).await
    }

    /// Builds indexes beside the work.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

/// Written by hand: the builder knows no partial indexes.
const INDEXES: &[BesideWork] = &[
    index("breaker_updated", "breaker (updated_at)"),
    index(
        "delivery_waiting_note",
        "delivery (connection_id, lane, id) WHERE state = 'ready' AND behind = TRUE AND action = 'note' AND fence = 0",
    ),
    index(
        "delivery_lane_parked",
        "delivery (connection_id, lane, id) WHERE state = 'dead' AND lane_parked = TRUE",
    ),
];
