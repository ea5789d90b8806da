//! What a credential needs beyond a token: kinds, two secrets, rotation; nonces of signed calls.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000010_credentials"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(m, ADDED).await?;
        m.create_table(
            table("credential_secret")
                .col(required("credential_id").uuid())
                .col(required("slot").integer())
                .col(required("is_primary").boolean())
                .col(required("hash").text())
                .col(required("created_at").big_integer())
                .col(optional("retire_at").big_integer())
                .col(optional("last_used_at").big_integer())
                .col(optional("last_used_addr").text())
                .primary_key(&mut primary(&["credential_id", "slot"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("nonce")
                .col(required("id").text())
                .col(required("expires_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(m, &["CREATE INDEX nonce_expiry ON nonce (expires_at)"]).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["nonce", "credential_secret"]).await?;
        // The version before knows bearer tokens only.
        run(
            m,
            &[
                "DELETE FROM sealed_secret WHERE owner_kind = 'credential'",
                "DELETE FROM credential WHERE kind <> 'bearer' OR revoked_at IS NOT NULL",
                "ALTER TABLE credential DROP COLUMN last_used_addr",
                "ALTER TABLE credential DROP COLUMN overlap_days",
                "ALTER TABLE credential DROP COLUMN rotate_days",
                "ALTER TABLE credential DROP COLUMN updated_at",
                "ALTER TABLE credential DROP COLUMN revision",
                "ALTER TABLE credential DROP COLUMN revoked_at",
                "ALTER TABLE credential DROP COLUMN legacy",
            ],
        )
        .await
    }
}

/// All of them have a default: an earlier version writes rows without them.
const ADDED: &[&str] = &[
    "ALTER TABLE credential ADD COLUMN legacy BOOLEAN NOT NULL DEFAULT FALSE",
    "ALTER TABLE credential ADD COLUMN revoked_at BIGINT",
    "ALTER TABLE credential ADD COLUMN revision BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE credential ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE credential ADD COLUMN rotate_days INTEGER",
    "ALTER TABLE credential ADD COLUMN overlap_days INTEGER NOT NULL DEFAULT 7",
    "ALTER TABLE credential ADD COLUMN last_used_addr TEXT",
];
