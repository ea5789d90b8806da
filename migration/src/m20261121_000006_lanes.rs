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
        let columns = [
            (
                "connection",
                required("on_failure").text().default("skip").to_owned(),
            ),
            (
                "connection",
                required("coalesce").boolean().default(true).to_owned(),
            ),
            ("connection", optional("state_code").text().to_owned()),
            (
                "delivery",
                required("repeats").integer().default(1).to_owned(),
            ),
            ("delivery", optional("coalesced_into").uuid().to_owned()),
            (
                "delivery",
                required("lane_parked").boolean().default(false).to_owned(),
            ),
        ];
        // One statement for each: SQLite adds one column at a time.
        for (name, mut column) in columns {
            let change = Table::alter()
                .table(Alias::new(name))
                .add_column(&mut column)
                .to_owned();
            m.alter_table(change).await?;
        }
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(
            m,
            &[
                "DROP INDEX breaker_updated",
                "DROP INDEX delivery_waiting_note",
                "DROP INDEX delivery_lane_parked",
                "ALTER TABLE delivery DROP COLUMN repeats",
                "ALTER TABLE delivery DROP COLUMN coalesced_into",
                "ALTER TABLE delivery DROP COLUMN lane_parked",
                "ALTER TABLE connection DROP COLUMN on_failure",
                "ALTER TABLE connection DROP COLUMN coalesce",
                "ALTER TABLE connection DROP COLUMN state_code",
            ],
        )
        .await?;
        drop_tables(m, &["breaker"]).await
    }
}

/// Written by hand: the builder knows no partial indexes.
const INDEXES: &[&str] = &[
    "CREATE INDEX breaker_updated ON breaker (updated_at)",
    "CREATE INDEX delivery_waiting_note ON delivery (connection_id, lane, id) WHERE state = 'ready' AND behind = TRUE AND action = 'note' AND fence = 0",
    "CREATE INDEX delivery_lane_parked ON delivery (connection_id, lane, id) WHERE state = 'dead' AND lane_parked = TRUE",
];
