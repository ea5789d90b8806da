//! Bringing the schema up to date, one process at a time.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, Instant};

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseBackend, DatabaseConnection, DbErr,
    Statement,
};

use super::away;

/// Number of the lock that migrations take on PostgreSQL; any number that nobody else uses.
const LOCK: i64 = 0x5169_6e61_6c62_6f78;

/// Longest wait of a migration for a table on PostgreSQL. Whoever comes later waits behind it, so it
/// gives way and comes back.
const WAIT: Duration = Duration::from_millis(500);
/// How long it gives way.
const PAUSE: Duration = Duration::from_millis(200);
/// After so long of that it gives up.
const PATIENCE: Duration = Duration::from_secs(600);

/// Migrates under a lock file beside the database; the system lets go of it after a crash.
pub async fn migrate_sqlite(path: &Path) -> Result<(), DbErr> {
    let file = path.with_extension("migrate.lock");
    let held = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(file)?;
        file.lock()?;
        std::io::Result::Ok(file)
    })
    .await
    .map_err(|e| DbErr::Custom(e.to_string()))?
    .map_err(|e| DbErr::Custom(format!("the lock of the migrations cannot be taken: {e}")))?;
    let alone = alone_sqlite(path).await?;
    let done = Migrator::up(&alone, None).await;
    let closed = alone.close().await;
    drop(held);
    done.and(closed)
}

/// A connection of its own, which waits while the file is locked.
pub async fn alone_sqlite(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let own = super::sqlite_options(path);
    alone(format!("sqlite://{}", path.display()), move |options| {
        options.map_sqlx_sqlite_opts(move |_| own.clone());
    })
    .await
}

/// A connection of its own.
pub async fn alone_postgres(url: &str) -> Result<DatabaseConnection, DbErr> {
    alone(url.to_owned(), |_| {}).await
}

async fn alone(
    url: String,
    set: impl FnOnce(&mut ConnectOptions),
) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    super::idle::unattended(&mut options)
        .max_connections(1)
        .min_connections(1)
        .sqlx_logging(false);
    set(&mut options);
    Database::connect(options).await
}

/// Migrates on a connection of its own: the lock belongs to the connection, and ends with it.
pub async fn migrate_postgres(url: &str) -> Result<(), DbErr> {
    let alone = alone_postgres(url).await?;
    take_turn(&alone).await?;
    let done = insist(&alone, Way::Up).await;
    let closed = alone.close().await;
    done.and(closed)
}

/// Undoes the last migrations, one by one: what is tried again is never more than was asked for.
pub async fn undo(alone: &DatabaseConnection, steps: u32) -> Result<(), DbErr> {
    if alone.get_database_backend() == DatabaseBackend::Postgres {
        take_turn(alone).await?;
    }
    for _ in 0..steps {
        insist(alone, Way::Down).await?;
    }
    Ok(())
}

/// Waits until nobody else migrates, and bounds the wait for each table.
async fn take_turn(alone: &DatabaseConnection) -> Result<(), DbErr> {
    let query = format!("SELECT pg_try_advisory_lock({LOCK})");
    let statement = Statement::from_string(DatabaseBackend::Postgres, query);
    // A statement that waits would be one that the building of an index waits for in its turn.
    while !alone
        .query_one_raw(statement.clone())
        .await?
        .is_some_and(|row| row.try_get_by_index(0).unwrap_or(false))
    {
        tokio::time::sleep(PAUSE).await;
    }
    let limit = format!("SET lock_timeout = {}", WAIT.as_millis());
    alone.execute_unprepared(&limit).await?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Way {
    /// All that is there.
    Up,
    /// One.
    Down,
}

/// Tries again while a table is in use: what was done so far stays, or is undone, and is repeated.
async fn insist(alone: &DatabaseConnection, way: Way) -> Result<(), DbErr> {
    let begun = Instant::now();
    loop {
        let done = match way {
            Way::Up => Migrator::up(alone, None).await,
            Way::Down => Migrator::down(alone, Some(1)).await,
        };
        match done {
            Err(error) if away::is_locked(&error) && begun.elapsed() < PATIENCE => {
                tracing::info!("A migration waits for a table that is in use.");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}
