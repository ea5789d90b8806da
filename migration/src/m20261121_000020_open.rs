//! The indexes over open deliveries on SQLite, with a condition that costs less to try.
//!
//! SQLite tries the condition of a partial index twice for each row that is updated, and fills a
//! table of its own each time for a list of more than two values. PostgreSQL does no such thing, and
//! keeps its indexes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000020_open"
    }
}

/// Word by word as the queries have it.
const ONE_BY_ONE: &str = "(state = 'ready' OR state = 'leased' OR state = 'retrying' OR state = 'windowed' OR state = 'held' OR state = 'paused' OR state = 'parked')";
/// As it was.
const LIST: &str = "state IN ('ready','leased','retrying','windowed','held','paused','parked')";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        make(m, ONE_BY_ONE).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        make(m, LIST).await
    }
}

async fn make(m: &SchemaManager<'_>, open: &str) -> Result<(), DbErr> {
    if m.get_database_backend() != DbBackend::Sqlite {
        return Ok(());
    }
    run(
        m,
        &[
            "DROP INDEX IF EXISTS delivery_due",
            "DROP INDEX IF EXISTS delivery_lane",
            &format!(
                "CREATE INDEX delivery_due ON delivery (connection_id, state, due_at) WHERE {open}"
            ),
            &format!(
                "CREATE INDEX delivery_lane ON delivery (connection_id, lane, id) \
                 WHERE lane IS NOT NULL AND {open}"
            ),
        ],
    )
    .await
}
