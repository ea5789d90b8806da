//! What PostgreSQL knows of how much there is in a table.
//!
//! A prepared statement keeps the plan that was made for the table as it was known. In a table that
//! was empty then, reading all of it was best; after a flood of events it is the worst, and
//! PostgreSQL's own maintenance looks for that once a minute only. Whoever looks here does so every
//! few seconds.
//!
//! Invariant: a table is read again when it has doubled, so seldom that it costs nothing. Failure:
//! plans stay what they are until PostgreSQL looks itself. A crash leaves nothing.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, FromQueryResult, Statement};
use tokio_util::sync::CancellationToken;

use super::Outage;

/// How often somebody looks.
const LOOK: Duration = Duration::from_secs(2);
/// Pages below which any plan will do.
const FEW: i64 = 64;

/// Who does it.
#[derive(Debug)]
pub struct Statistics {
    pool: DatabaseConnection,
    /// Pages of a table when it was last read from here: somebody who may not read it does not try
    /// again and again.
    tried: HashMap<String, i64>,
}

/// A table that has grown.
#[derive(Debug, FromQueryResult)]
struct Grown {
    /// As it is written in a statement.
    name: String,
    pages: i64,
}

impl Statistics {
    /// For the database of this pool.
    pub fn new(pool: DatabaseConnection) -> Self {
        Self {
            pool,
            tried: HashMap::new(),
        }
    }

    /// Works until `shutdown`.
    pub async fn keep(mut self, shutdown: CancellationToken) {
        let mut outage = Outage::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.cancelled() => return,
            }
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = shutdown.cancelled() => return,
            };
            match looked {
                Ok(()) => outage.over(),
                Err(error) => outage.failed("The sizes of tables could not be read.", &error),
            }
        }
    }

    async fn look(&mut self) -> Result<(), DbErr> {
        let query = "SELECT quote_ident(relname) AS name, pages FROM ( \
                       SELECT relname, relpages, pg_relation_size(oid) \
                         / current_setting('block_size')::bigint AS pages \
                       FROM pg_class WHERE relkind = 'r' \
                         AND relnamespace = current_schema()::regnamespace \
                     ) AS tables WHERE pages >= $1 AND pages > 2 * relpages";
        let statement =
            Statement::from_sql_and_values(self.pool.get_database_backend(), query, [FEW.into()]);
        for Grown { name, pages } in Grown::find_by_statement(statement).all(&self.pool).await? {
            let before = self.tried.get(&name).copied().unwrap_or_default();
            if pages <= before.saturating_mul(2) {
                continue;
            }
            // Another server may do it just now.
            let analyze = format!("ANALYZE (SKIP_LOCKED) {name}");
            self.pool.execute_unprepared(&analyze).await?;
            tracing::debug!(table = name, pages, "A table has grown; it was analyzed.");
            self.tried.insert(name, pages);
        }
        Ok(())
    }
}
