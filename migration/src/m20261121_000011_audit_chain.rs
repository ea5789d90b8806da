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
        for column in [
            required("request_id").text().default("").to_owned(),
            optional("seq").big_integer().to_owned(),
            optional("hash").text().to_owned(),
        ] {
            add(m, "audit", column).await?;
        }
        build(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(m, &["audit_at", "audit_loose", "audit_seq"]).await?;
        drop_columns(m, "audit", &["hash", "seq", "request_id"]).await?;
        drop_tables(m, &["audit_chain"]).await
    }

    /// Builds indexes beside the work.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

const INDEXES: &[BesideWork] = &[
    unique("audit_seq", "audit (workspace_id, seq)"),
    index("audit_loose", "audit (workspace_id, id) WHERE seq IS NULL"),
    index("audit_at", "audit (workspace_id, at)"),
];
