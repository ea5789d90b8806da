//! When the deletion of a workspace began.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000017_removal"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(m, &["ALTER TABLE workspace ADD COLUMN deleting_at BIGINT"]).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(m, &["ALTER TABLE workspace DROP COLUMN deleting_at"]).await
    }
}
