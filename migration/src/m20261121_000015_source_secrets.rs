//! When the secret of a source is to be replaced, and until when the one before is valid.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000015_source_secrets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(
            m,
            &[
                "ALTER TABLE source ADD COLUMN rotate_days INTEGER",
                "ALTER TABLE source ADD COLUMN old_secret_until BIGINT",
            ],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(
            m,
            &[
                // The version before knows one secret of a source, and no handshakes.
                "DELETE FROM sealed_secret WHERE owner_kind = 'source' \
                 AND (slot <> 0 OR name <> 'secret')",
                "ALTER TABLE source DROP COLUMN old_secret_until",
                "ALTER TABLE source DROP COLUMN rotate_days",
            ],
        )
        .await
    }
}
