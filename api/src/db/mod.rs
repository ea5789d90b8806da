//! The database: one writer and many readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite everything that writes goes through `write`, one at a time.
//! `synchronous=FULL` makes a commit durable. A crash leaves the WAL, which the next open replays.

mod away;
mod idle;
mod lock;
mod outage;
mod pool;
mod schema;
mod sql;
mod statistics;
mod write;
mod writes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DbErr,
};
use tokio_util::sync::CancellationToken;

use crate::journal::sql as statements;

pub use away::{is_away, is_full};
pub use lock::{DataLock, LockError};
pub use outage::Outage;
pub use pool::{Pool, noted};
pub use sql::{Field, Row, Sql};
use statistics::Statistics;
use write::BACKSTOP;
pub use write::{
    Bound, Direct, DirectTransaction, Lists, Own, OwnTransaction, Transaction, Writer,
};
pub use writes::Trouble;
use writes::Writes;

/// Handles to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    write: Writer,
    read: DatabaseConnection,
    single: Single,
    location: Location,
    writes: Arc<Writes>,
}

/// A connection for the one who writes all the time.
#[derive(Clone, Debug)]
pub enum Single {
    /// To SQLite, for one thread that talks to it itself, in the line of all who write.
    Sqlite(Direct),
    /// To PostgreSQL, beside the pool.
    Postgres(Own),
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
                idle::unattended(&mut options)
                    .max_connections(connections)
                    .min_connections(1)
                    .acquire_timeout(Duration::from_secs(5))
                    .connect_timeout(Duration::from_secs(5))
                    // A question before each use would be one more way to the server and back.
                    .test_before_acquire_if_idle_for(Duration::from_secs(1))
                    .sqlx_logging(false);
                let pool = Database::connect(options).await?;
                let (write, own) = Writer::postgres(pool.clone());
                Ok(Self {
                    write,
                    read: pool,
                    single: Single::Postgres(own),
                    location: location.clone(),
                    writes: Arc::default(),
                })
            }
        }
    }

    async fn open_sqlite(path: &Path, readers: u32) -> Result<Self, DbErr> {
        // The writer first: it makes the file and sets the pragmas that stay.
        // More texts than a reader has: statements that go together are kept together.
        let options = sqlite_options(path).statement_cache_capacity(128);
        let (write, direct) = Writer::sqlite(options).await?;
        let options = reader_options(path);
        let mut pool = ConnectOptions::new(format!("sqlite://{}", path.display()));
        idle::unattended(&mut pool)
            .max_connections(readers.max(1))
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(10))
            // A file does not go away.
            .test_before_acquire(false)
            .sqlx_logging(false)
            .map_sqlx_sqlite_opts(move |_| options.clone());
        let read = Database::connect(pool).await?;
        Ok(Self {
            write,
            read,
            single: Single::Sqlite(direct),
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
            Location::Sqlite(path) => schema::migrate_sqlite(path).await,
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
        statements::execute(&self.write, query, vec![made.into()]).await?;
        let query = "SELECT value FROM meta WHERE name = 'installation'";
        let rows = statements::rows(&self.write, query, Vec::new()).await?;
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
    pub fn write(&self) -> &Writer {
        &self.write
    }

    /// The connection of the one who writes all the time: the journal. It is made when it is used.
    pub const fn single(&self) -> &Single {
        &self.single
    }

    /// Does what the database wants done while a server runs, until `shutdown`.
    pub async fn upkeep(&self, shutdown: CancellationToken) {
        let idle = idle::keep(self.read.clone(), shutdown.clone());
        match &self.location {
            Location::Sqlite(path) => {
                let checkpoints = self.write.checkpoints(path);
                let kept = checkpoints.map(|checkpoints| checkpoints.keep(shutdown));
                tokio::join!(idle, OptionFuture::from(kept));
            }
            Location::Postgres(_) => {
                let statistics = Statistics::new(self.read.clone());
                tokio::join!(idle, statistics.keep(shutdown));
            }
        }
    }

    /// Undoes the last migrations.
    ///
    /// # Errors
    /// A migration could not be undone; the ones after it are.
    pub async fn undo(&self, steps: u32) -> Result<(), DbErr> {
        let alone = match &self.location {
            Location::Sqlite(path) => schema::alone_sqlite(path).await,
            Location::Postgres(url) => schema::alone_postgres(url).await,
        }?;
        let done = schema::undo(&alone, steps).await;
        let closed = alone.close().await;
        done.and(closed)
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

    /// A transaction that writes. On SQLite nobody else writes until it ends.
    ///
    /// # Errors
    /// No connection in time.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        self.write.begin().await
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.read.ping().await
    }
}

/// How every connection to the file is set.
const PRAGMAS: &[(&str, &str)] = &[
    ("synchronous", "FULL"),
    ("foreign_keys", "ON"),
    ("temp_store", "MEMORY"),
    ("cache_size", "-8000"),
    ("wal_autocheckpoint", BACKSTOP),
];

/// How a connection that writes to the file is made, which makes the file if need be.
fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    reader_options(path)
        .create_if_missing(true)
        .pragma("auto_vacuum", "INCREMENTAL")
}

/// How a connection that only reads is made: without the pragma of above, which is a write each time
/// and would wait for whoever writes just then.
fn reader_options(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(64)
        // Rows come in batches; each that does not fit waits for the one before it to be taken.
        .row_buffer_size(512)
        .disable_statement_logging();
    PRAGMAS.iter().fold(options, |options, (name, value)| {
        options.pragma(*name, *value)
    })
}

/// Adds one to the revision of the configuration, within the transaction that changes it.
/// Every node is told at the commit, looks at the number several times a second besides, and
/// compiles anew when it has grown.
///
/// # Errors
/// The statement failed.
pub async fn bump_configuration(txn: &impl Sql) -> Result<(), DbErr> {
    let query = "UPDATE meta SET value = value + 1 WHERE name = 'config_revision'";
    statements::execute(txn, query, Vec::new()).await?;
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
