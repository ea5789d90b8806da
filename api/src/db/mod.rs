//! The database: one writer and many readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite everything that writes goes through `write`, whose pool has one connection,
//! and every transaction there is `IMMEDIATE`, so that a second process can never make it fail half
//! way; it waits its turn instead. `synchronous=FULL` makes a commit durable. A connection whose
//! transaction ended badly is never used again. A crash leaves the WAL, which the next open replays.

mod away;
mod lock;
mod outage;
mod schema;
mod writes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::{self, Connection as _, SqliteConnection};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection,
    DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};

use crate::journal::sql;

pub use away::is_away;
pub use lock::{DataLock, LockError};
pub use outage::Outage;
pub use writes::Trouble;
use writes::Writes;

/// Handles to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    write: DatabaseConnection,
    read: DatabaseConnection,
    location: Location,
    writes: Arc<Writes>,
}

/// Where the data lies.
#[derive(Clone, Debug)]
pub enum Location {
    /// `signalbox.db` in this folder.
    Sqlite(PathBuf),
    /// A `postgres://` address.
    Postgres(String),
}

impl Location {
    /// The database of a data folder, unless an address is given.
    pub fn of(data: &Path, url: Option<&str>) -> Self {
        match url {
            Some(url) => Self::Postgres(url.to_owned()),
            None => Self::Sqlite(data.join("signalbox.db")),
        }
    }
}

impl Db {
    /// Opens the database; makes the file when there is none. Does not migrate.
    ///
    /// `connections` bounds the readers on SQLite and the pool on PostgreSQL.
    ///
    /// # Errors
    /// The database cannot be reached or opened.
    pub async fn open(location: &Location, connections: u32) -> Result<Self, DbErr> {
        match location {
            Location::Sqlite(path) => Self::open_sqlite(path, connections).await,
            Location::Postgres(url) => {
                let mut options = ConnectOptions::new(url.clone());
                options
                    .max_connections(connections)
                    .min_connections(1)
                    .acquire_timeout(Duration::from_secs(5))
                    .connect_timeout(Duration::from_secs(5))
                    .sqlx_logging(false);
                let pool = Database::connect(options).await?;
                Ok(Self {
                    write: pool.clone(),
                    read: pool,
                    location: location.clone(),
                    writes: Arc::default(),
                })
            }
        }
    }

    async fn open_sqlite(path: &Path, readers: u32) -> Result<Self, DbErr> {
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let pool = |size: u32| {
            let mut options = ConnectOptions::new(url.clone());
            options
                .max_connections(size)
                .min_connections(1)
                .acquire_timeout(Duration::from_secs(10))
                .sqlx_logging(false)
                .map_sqlx_sqlite_opts(|o| {
                    o.pragma("auto_vacuum", "INCREMENTAL")
                        .pragma("journal_mode", "WAL")
                        .pragma("synchronous", "FULL")
                        .pragma("foreign_keys", "ON")
                        .pragma("temp_store", "MEMORY")
                        .pragma("cache_size", "-8000")
                        .pragma("wal_autocheckpoint", "4000")
                        .busy_timeout(Duration::from_secs(10))
                        .statement_cache_capacity(64)
                })
                .map_sqlx_sqlite_pool_opts(|o| {
                    o.after_release(|connection, _| Box::pin(is_whole(connection)))
                });
            Database::connect(options)
        };
        // The writer first: it makes the file and sets the pragmas that stay.
        let write = pool(1).await?;
        let read = pool(readers.max(1)).await?;
        Ok(Self {
            write,
            read,
            location: Location::Sqlite(path.to_owned()),
            writes: Arc::default(),
        })
    }

    /// Brings the schema up to date. Of several processes that try at once, one works and the
    /// others wait for it.
    ///
    /// # Errors
    /// A migration failed; the ones before it stay.
    pub async fn migrate(&self) -> Result<(), DbErr> {
        match &self.location {
            Location::Sqlite(path) => schema::migrate_sqlite(&self.write, path).await,
            Location::Postgres(url) => schema::migrate_postgres(url).await,
        }
    }

    /// A name for this installation, made once: it keeps two installations apart that share a Redis.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn installation(&self) -> Result<String, DbErr> {
        let made = i64::from_be_bytes(crate::ids::random()) & i64::MAX;
        let query = "INSERT INTO meta (name, value) VALUES ('installation', $1) \
                     ON CONFLICT (name) DO NOTHING";
        sql::execute(&self.write, query, vec![made.into()]).await?;
        let query = "SELECT value FROM meta WHERE name = 'installation'";
        let rows = sql::rows(&self.write, query, Vec::new()).await?;
        let value: i64 = rows
            .first()
            .map_or(Ok(made), |row| row.try_get("", "value"))?;
        Ok(format!("{value:016x}"))
    }

    /// For reading outside a transaction.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// For a single statement that writes.
    pub fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Which of the two it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.write.get_database_backend()
    }

    /// Whether it is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.backend() == DatabaseBackend::Postgres
    }

    /// Its address, if it is PostgreSQL.
    pub fn postgres_url(&self) -> Option<&str> {
        match &self.location {
            Location::Sqlite(_) => None,
            Location::Postgres(url) => Some(url),
        }
    }

    /// Says how a commit of events went.
    pub fn committed(&self, error: Option<&DbErr>) {
        self.writes.committed(error);
    }

    /// Says how a small write went that is made over and over.
    pub fn wrote(&self, error: Option<&DbErr>) {
        self.writes.wrote(error);
    }

    /// Why writes fail now; none: they do not.
    pub fn trouble(&self) -> Option<Trouble> {
        self.writes.trouble()
    }

    /// A transaction that writes. On SQLite it has the write lock from the start.
    ///
    /// # Errors
    /// No connection, or the lock was not free in time.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.write
            .begin_with_options(TransactionOptions {
                isolation_level: None,
                access_mode: Some(AccessMode::ReadWrite).filter(|_| self.is_postgres()),
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate)
                    .filter(|_| !self.is_postgres()),
            })
            .await
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.read.ping().await
    }
}

/// Whether a connection that comes back to its pool can be used again. When a commit fails because
/// the disk is full, SQLite has ended the transaction and the driver believes that it goes on: what
/// came next would be a savepoint of nothing, and its commit would make nothing durable. Such a
/// connection is closed.
async fn is_whole(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback may be under way; this waits for it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Adds one to the revision of the configuration, within the transaction that changes it.
/// Every node is told at the commit, looks at the number several times a second besides, and
/// compiles anew when it has grown.
///
/// # Errors
/// The statement failed.
pub async fn bump_configuration(txn: &impl ConnectionTrait) -> Result<(), DbErr> {
    txn.execute_unprepared("UPDATE meta SET value = value + 1 WHERE name = 'config_revision'")
        .await?;
    crate::nodes::notify_within(txn, crate::nodes::CONFIGURATION).await
}

/// Makes the data folder if it is not there, for its owner only.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(data: &Path) -> std::io::Result<()> {
    if data.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data)
}
