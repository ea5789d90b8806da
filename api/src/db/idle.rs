//! Connections that nobody needs any more.
//!
//! The pool can look after that itself, but it miscounts in a rare moment and then spins for ever on
//! a thread that others need (github.com/transact-rs/sqlx/pull/4289, in no release so far). So its
//! own keeper is off, and one connection is closed a minute: what a rush has left goes, and none
//! grows old.
//!
//! Invariant: one connection stays. A pool that is busy has none to spare, and keeps all.

use std::time::Duration;

use sea_orm::sqlx::{self, Pool};
use sea_orm::{ConnectOptions, DatabaseBackend, DatabaseConnection};
use tokio_util::sync::CancellationToken;

/// How often one is closed.
const PAUSE: Duration = Duration::from_secs(60);

/// Leaves the pool's own keeper off.
pub fn unattended(options: &mut ConnectOptions) -> &mut ConnectOptions {
    options.idle_timeout(None).max_lifetime(None)
}

/// Closes what is idle, until `shutdown`.
pub async fn keep(pool: DatabaseConnection, shutdown: CancellationToken) {
    let rounds = async {
        loop {
            tokio::time::sleep(PAUSE).await;
            match pool.get_database_backend() {
                DatabaseBackend::Sqlite => close_one(pool.get_sqlite_connection_pool()).await,
                _ => close_one(pool.get_postgres_connection_pool()).await,
            }
        }
    };
    // A database that is silent is not waited for.
    tokio::select! {
        () = rounds => {}
        () = shutdown.cancelled() => {}
    }
}

/// Closes the one that was idle for longest.
async fn close_one<DB: sqlx::Database>(pool: &Pool<DB>) {
    if pool.size() < 2 {
        return;
    }
    if let Some(connection) = pool.try_acquire()
        && let Err(error) = connection.close().await
    {
        tracing::debug!(%error, "A connection did not end well.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Db, Location};

    #[tokio::test]
    async fn what_a_rush_left_is_closed_but_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&Location::of(folder.path(), None), 4)
            .await
            .unwrap();
        let pool = db.read().get_sqlite_connection_pool();
        let mut rush = Vec::new();
        for _ in 0..4 {
            rush.push(pool.acquire().await.unwrap());
        }
        assert_eq!(pool.size(), 4);
        close_one(pool).await;
        assert_eq!(pool.size(), 4, "all are in use");
        for mut connection in rush {
            connection.return_to_pool().await;
        }
        for left in [3, 2, 1, 1] {
            close_one(pool).await;
            assert_eq!(pool.size(), left);
        }
        db.ping().await.unwrap();
    }
}
