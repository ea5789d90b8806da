//! Bringing the schema up to date, one process at a time.

use std::fs::OpenOptions;
use std::path::Path;

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbErr};

/// Number of the lock that migrations take on PostgreSQL; any number that nobody else uses.
const LOCK: i64 = 0x5169_6e61_6c62_6f78;

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
    alone
        .execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})"))
        .await?;
    let done = Migrator::up(&alone, None).await;
    let closed = alone.close().await;
    done.and(closed)
}
