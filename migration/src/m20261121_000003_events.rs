//! Events, refusals, deliveries, attempts, links, hourly counters.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000003_events"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("event")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("source_id").uuid())
                .col(required("received_at").big_integer())
                .col(required("correlation_id").text())
                .col(optional("idempotency_key").text())
                .col(required("disposition").text())
                .col(required("reason").text())
                .col(required("method").text())
                .col(required("content_type").text())
                .col(required("query").text())
                .col(required("remote_addr").text())
                .col(required("headers").text())
                .col(required("body").blob())
                .col(required("test").boolean())
                .col(required("title").text())
                .col(required("matched").text())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("refusal")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("source_id").uuid())
                .col(required("at").big_integer())
                .col(required("status").integer())
                .col(required("reason").text())
                .col(required("remote_addr").text())
                .col(required("content_type").text())
                .col(required("size").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("delivery")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("event_id").uuid())
                .col(required("correlation_id").text())
                .col(required("received_at").big_integer())
                .col(optional("rule_id").uuid())
                .col(required("rule_name").text())
                .col(required("rule_revision").big_integer())
                .col(required("step").integer())
                .col(required("connection_id").uuid())
                .col(required("operation").text())
                .col(optional("lane").text())
                .col(optional("action").text())
                .col(required("fields").text())
                .col(required("message_id").text())
                .col(required("state").text())
                .col(required("behind").boolean())
                .col(required("due_at").big_integer())
                .col(optional("lease_owner").uuid())
                .col(required("fence").big_integer())
                .col(required("attempts").integer())
                .col(optional("tried_at").big_integer())
                .col(required("unsure").boolean())
                .col(optional("error_code").text())
                .col(optional("error").text())
                .col(optional("effect").text())
                .col(optional("record_id").text())
                .col(optional("record_url").text())
                .col(optional("replay_of").uuid())
                .col(optional("replayed_as").uuid())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .col(optional("finished_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("attempt")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("delivery_id").uuid())
                .col(required("number").integer())
                .col(required("started_at").big_integer())
                .col(required("duration_ms").big_integer())
                .col(required("outcome").text())
                .col(optional("status").integer())
                .col(optional("error_code").text())
                .col(optional("error").text())
                .col(required("exchanges").text())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("link")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("connection_id").uuid())
                .col(required("key").text())
                .col(required("record_id").text())
                .col(optional("record_url").text())
                .col(required("state").text())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("stat_hour")
                .col(required("workspace_id").uuid())
                .col(required("hour").big_integer())
                .col(required("metric").text())
                .col(required("subject").text())
                .col(required("value").big_integer())
                .primary_key(&mut primary(&["workspace_id", "hour", "metric", "subject"]))
                .to_owned(),
        )
        .await?;
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            m,
            &[
                "stat_hour",
                "link",
                "attempt",
                "delivery",
                "refusal",
                "event",
            ],
        )
        .await
    }
}

/// Written by hand: the builder knows no partial indexes.
const INDEXES: &[&str] = &[
    "CREATE INDEX event_workspace ON event (workspace_id, id)",
    "CREATE INDEX event_source ON event (source_id, id)",
    "CREATE UNIQUE INDEX event_idempotency ON event (source_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX refusal_source ON refusal (source_id, id)",
    "CREATE INDEX refusal_workspace ON refusal (workspace_id, id)",
    "CREATE INDEX delivery_event ON delivery (event_id)",
    "CREATE INDEX delivery_workspace ON delivery (workspace_id, id)",
    "CREATE INDEX delivery_due ON delivery (connection_id, state, due_at) WHERE state IN ('ready','leased','retrying','windowed','held','paused','parked')",
    "CREATE INDEX delivery_lane ON delivery (connection_id, lane, id) WHERE lane IS NOT NULL AND state IN ('ready','leased','retrying','windowed','held','paused','parked')",
    "CREATE INDEX delivery_dead ON delivery (workspace_id, error_code, id) WHERE state = 'dead'",
    "CREATE INDEX attempt_delivery ON attempt (delivery_id, number)",
    "CREATE UNIQUE INDEX link_key ON link (connection_id, key)",
];
