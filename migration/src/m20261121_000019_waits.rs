//! What an upstream asked for: no calls before a time, and fewer at once.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000019_waits"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(
            m,
            &[
                "ALTER TABLE breaker ADD COLUMN not_before BIGINT",
                "ALTER TABLE breaker ADD COLUMN at_once BIGINT",
                "ALTER TABLE breaker ADD COLUMN apart_ms BIGINT",
            ],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(
            m,
            &[
                "ALTER TABLE breaker DROP COLUMN apart_ms",
                "ALTER TABLE breaker DROP COLUMN at_once",
                "ALTER TABLE breaker DROP COLUMN not_before",
            ],
        )
        .await
    }
}
