//! The audit log as a chain: each line has a number and a hash over itself and the line before it.
//!
//! A server of the version before writes lines without them; they join the chain like all others,
//! soon after they were written.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000011_audit_chain"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("audit_chain")
                .col(required("workspace_id").uuid())
                .col(required("seq").big_integer())
                .col(required("hash").text())
                .col(required("anchor_seq").big_integer())
                .col(required("anchor_hash").text())
                .primary_key(&mut primary(&["workspace_id"]))
                .to_owned(),
        )
        .await?;
        run(m, UP).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(m, DOWN).await?;
        drop_tables(m, &["audit_chain"]).await
    }
}

const UP: &[&str] = &[
    "ALTER TABLE audit ADD COLUMN request_id text NOT NULL DEFAULT ''",
    "ALTER TABLE audit ADD COLUMN seq bigint",
    "ALTER TABLE audit ADD COLUMN hash text",
    "CREATE UNIQUE INDEX audit_seq ON audit (workspace_id, seq)",
    "CREATE INDEX audit_loose ON audit (workspace_id, id) WHERE seq IS NULL",
    "CREATE INDEX audit_at ON audit (workspace_id, at)",
];

const DOWN: &[&str] = &[
    "DROP INDEX audit_at",
    "DROP INDEX audit_loose",
    "DROP INDEX audit_seq",
    "ALTER TABLE audit DROP COLUMN hash",
    "ALTER TABLE audit DROP COLUMN seq",
    "ALTER TABLE audit DROP COLUMN request_id",
];
