//! How the pool stands, and how large the database is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{DbErr, RuntimeErr, sqlx};

use super::{Db, Location};
use crate::journal::sql;

/// The pool of a process: the readers on SQLite, all but the journal's connection on PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Connections that somebody has.
    pub used: u32,
    /// Connections that wait for somebody.
    pub idle: u32,
    /// Connections that there may be.
    pub most: u32,
    /// How many got no connection in time.
    pub timeouts: u64,
}

/// How many got none, in this process.
static TIMEOUTS: AtomicU64 = AtomicU64::new(0);

/// Takes note of an error that a request ends with: it may have waited for a connection in vain.
pub fn noted(error: &DbErr) {
    if is_timeout(error) {
        TIMEOUTS.fetch_add(1, Ordering::Relaxed);
    }
}

impl Db {
    /// How the pool stands.
    pub fn pool(&self) -> Pool {
        let (size, idle, most) = if self.is_postgres() {
            let pool = self.read.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), most(pool))
        } else {
            let pool = self.read.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), most(pool))
        };
        // The two are read one after the other.
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(size);
        Pool {
            used: size - idle,
            idle,
            most,
            timeouts: TIMEOUTS.load(Ordering::Relaxed),
        }
    }

    /// Bytes on disk: the file with its WAL, or what PostgreSQL says.
    ///
    /// # Errors
    /// PostgreSQL does not say it.
    pub async fn size(&self) -> Result<i64, DbErr> {
        match &self.location {
            Location::Sqlite(path) => Ok(of_file(path) + of_file(&wal(path))),
            Location::Postgres(_) => {
                let query = "SELECT pg_database_size(current_database())::bigint AS n";
                let rows = sql::rows(&self.read, query, Vec::new()).await?;
                rows.first().map_or(Ok(0), |row| row.try_get("", "n"))
            }
        }
    }
}

fn most<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> u32 {
    pool.options().get_max_connections()
}

fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Nothing where there is none.
fn of_file(path: &Path) -> i64 {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn is_timeout(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
            matches!(inner.as_ref(), sqlx::Error::PoolTimedOut)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pool_says_how_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&Location::of(folder.path(), None), 3)
            .await
            .unwrap();
        let pool = db.read().get_sqlite_connection_pool().clone();
        let mut one = pool.acquire().await.unwrap();
        let stands = db.pool();
        assert_eq!((stands.used, stands.most), (1, 3));
        one.return_to_pool().await;
        let before = stands.idle;
        let stands = db.pool();
        assert_eq!((stands.used, stands.idle), (0, before + 1));
        noted(&DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout));
        assert!(db.pool().timeouts > stands.timeouts);
        assert!(!is_timeout(&DbErr::Custom("something else".to_owned())));
        db.migrate().await.unwrap();
        assert!(db.size().await.unwrap() > 0);
    }
}
