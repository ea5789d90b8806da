//! Sources, connections, rules, sealed secrets, and the numbers of the installation.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000002_configuration"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("sealed_secret")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("owner_kind").text())
                .col(required("owner_id").uuid())
                .col(required("name").text())
                .col(required("slot").integer())
                .col(required("key_id").text())
                .col(required("sealed").blob())
                .col(required("created_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("source")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("name").text())
                .col(required("slug").text())
                .col(required("kind").text())
                .col(required("enabled").boolean())
                .col(required("auth").text())
                .col(required("allow_cidrs").text())
                .col(optional("rate_per_minute").integer())
                .col(optional("body_limit").integer())
                .col(required("match_mode").text())
                .col(required("on_no_match").text())
                .col(optional("event_id_path").text())
                .col(required("revision").big_integer())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("connection")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("name").text())
                .col(required("connector").text())
                .col(required("settings").text())
                .col(required("allow_private").boolean())
                .col(required("enabled").boolean())
                .col(optional("concurrency").integer())
                .col(optional("rate_per_minute").integer())
                .col(required("retry").text())
                .col(required("state").text())
                .col(optional("state_reason").text())
                .col(required("state_at").big_integer())
                .col(required("revision").big_integer())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("rule")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(optional("source_id").uuid())
                .col(required("name").text())
                .col(required("priority").integer())
                .col(required("seq").big_integer())
                .col(required("enabled").boolean())
                .col(required("spec").text())
                .col(required("revision").big_integer())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("meta")
                .col(required("name").text())
                .col(required("value").big_integer())
                .primary_key(&mut primary(&["name"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("node")
                .col(required("id").uuid())
                .col(required("role").text())
                .col(required("started_at").big_integer())
                .col(required("lease_until").big_integer())
                .col(required("config_revision").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            m,
            &[
                "node",
                "meta",
                "rule",
                "connection",
                "source",
                "sealed_secret",
            ],
        )
        .await
    }
}

/// Written by hand: the builder knows no partial indexes.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX sealed_secret_owner ON sealed_secret (owner_kind, owner_id, name, slot)",
    "CREATE UNIQUE INDEX source_slug ON source (workspace_id, slug)",
    "CREATE UNIQUE INDEX source_name ON source (workspace_id, name)",
    "CREATE UNIQUE INDEX connection_name ON connection (workspace_id, name)",
    "CREATE UNIQUE INDEX rule_name ON rule (workspace_id, name)",
    "CREATE UNIQUE INDEX rule_seq ON rule (seq)",
    "INSERT INTO meta (name, value) VALUES ('config_revision', 1)",
];
