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
        add(m, "source", optional("split").text()).await?;
        add(m, "source", optional("silent_after").big_integer()).await?;
        add(m, "source", optional("heartbeat_since").big_integer()).await?;
        add(m, "event", optional("envelope").blob()).await?;
        add(m, "delivery", optional("source_id").uuid()).await?;
        run(
            m,
            &["CREATE UNIQUE INDEX maintenance_window_name ON maintenance_window (workspace_id, name)"],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // An earlier version knows no deliveries that wait for a window to close.
        run(
            m,
            &[
                "UPDATE delivery SET state = 'ready' WHERE state = 'windowed'",
                "ALTER TABLE delivery DROP COLUMN source_id",
                "ALTER TABLE event DROP COLUMN envelope",
                "ALTER TABLE source DROP COLUMN heartbeat_since",
                "ALTER TABLE source DROP COLUMN silent_after",
                "ALTER TABLE source DROP COLUMN split",
            ],
        )
        .await?;
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
}

async fn add(m: &SchemaManager<'_>, table: &str, column: &mut ColumnDef) -> Result<(), DbErr> {
    let change = Table::alter()
        .table(Alias::new(table))
        .add_column(column)
        .to_owned();
    m.alter_table(change).await
}
