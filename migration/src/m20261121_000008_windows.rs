//! Maintenance windows, heartbeats of sources, and requests that carry many events.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000008_windows"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("maintenance_window")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("name").text())
                .col(required("enabled").boolean())
                .col(required("mode").text())
                .col(required("zone").text())
                .col(required("schedule").text())
                .col(required("scope").text())
                .col(required("members").text())
                .col(required("revision").big_integer())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("maintenance_switch")
                .col(required("workspace_id").uuid())
                .col(required("active").boolean())
                .col(optional("until").big_integer())
                .col(required("revision").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["workspace_id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("source_beat")
                .col(required("source_id").uuid())
                .col(required("node_id").uuid())
                .col(required("at").big_integer())
                .primary_key(&mut primary(&["source_id", "node_id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("source_silence")
                .col(required("source_id").uuid())
                .col(required("since").big_integer())
                .col(required("alerted_at").big_integer())
                .primary_key(&mut primary(&["source_id"]))
                .to_owned(),
        )
        .await?;
        // All of them may be empty: an earlier version writes rows without them.
        add(m, "source", optional("split").text().to_owned()).await?;
        add(
            m,
            "source",
            optional("silent_after").big_integer().to_owned(),
        )
        .await?;
        add(
            m,
            "source",
            optional("heartbeat_since").big_integer().to_owned(),
        )
        .await?;
        add(m, "event", optional("envelope").blob().to_owned()).await?;
        add(m, "delivery", optional("source_id").uuid().to_owned()).await?;
        run(
            m,
            &["CREATE UNIQUE INDEX IF NOT EXISTS maintenance_window_name ON maintenance_window (workspace_id, name)"],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // An earlier version knows no deliveries that wait for a window to close.
        let waiting = "UPDATE delivery SET state = 'ready' WHERE state = 'windowed'";
        run(m, &[waiting]).await?;
        drop_columns(m, "delivery", &["source_id"]).await?;
        drop_columns(m, "event", &["envelope"]).await?;
        let columns = ["heartbeat_since", "silent_after", "split"];
        drop_columns(m, "source", &columns).await?;
        drop_tables(
            m,
            &[
                "source_silence",
                "source_beat",
                "maintenance_switch",
                "maintenance_window",
            ],
        )
        .await
    }
    /// Changes three tables that everybody uses: each on its own, so that nobody waits for all.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}
