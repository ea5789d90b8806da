//! The two databases, and one of its own for every test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, Statement};

/// Address of the PostgreSQL cluster that tests make their databases in.
pub const CLUSTER: &str = "SIGNALBOX_TEST_DATABASE_URL";
/// Set: a test that needs PostgreSQL fails where there is none, instead of being passed over.
pub const REQUIRED: &str = "SIGNALBOX_TEST_REQUIRE_POSTGRES";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file in the test's data folder.
    Sqlite,
    /// A fresh database in the cluster of the test run.
    Postgres,
}

impl Database {
    /// PostgreSQL, if the test run has one.
    ///
    /// # Panics
    /// It has none although it must.
    pub fn postgres() -> Option<Self> {
        if std::env::var_os(CLUSTER).is_some() {
            return Some(Self::Postgres);
        }
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "{CLUSTER} names no PostgreSQL, and this run must not do without"
        );
        #[expect(
            clippy::print_stderr,
            reason = "the only way to say that nothing was tested"
        )]
        {
            eprintln!("not run: {CLUSTER} names no PostgreSQL");
        }
        None
    }
}

/// A database made for one test and dropped with it.
#[derive(Debug)]
pub enum Store {
    /// `signalbox.db` in this folder.
    Sqlite(PathBuf),
    /// A database of its own.
    Postgres {
        /// Its address.
        url: String,
        /// Its name.
        name: String,
    },
    /// A database in a cluster of the test's own.
    Elsewhere {
        /// Its address.
        url: String,
    },
}

impl Store {
    /// Makes it.
    ///
    /// # Panics
    /// The cluster cannot be reached.
    pub async fn make(kind: Database, data: &Path) -> Self {
        match kind {
            Database::Sqlite => Self::Sqlite(data.to_owned()),
            Database::Postgres => {
                let name = format!("signalbox_test_{:016x}", rand::random::<u64>());
                in_cluster(&format!("CREATE DATABASE {name}")).await;
                let mut url = cluster();
                url.set_path(&name);
                Self::Postgres {
                    url: url.into(),
                    name,
                }
            }
        }
    }

    /// A new database in another cluster.
    ///
    /// # Panics
    /// The cluster cannot be reached.
    pub async fn make_in(cluster: &str) -> Self {
        let name = format!("signalbox_test_{:016x}", rand::random::<u64>());
        let db = open(cluster.to_owned()).await;
        db.execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        db.close().await.unwrap();
        let mut url: url::Url = cluster.parse().unwrap();
        url.set_path(&name);
        // It goes with its cluster.
        Self::Elsewhere { url: url.into() }
    }

    /// Runs statements.
    ///
    /// # Panics
    /// One of them fails.
    pub async fn run(&self, statements: &str) {
        in_time(statements, async {
            let db = self.connect().await;
            db.execute_unprepared(statements).await.unwrap();
            db.close().await.unwrap();
        })
        .await;
    }

    /// Its address for `--database-url`; none on SQLite.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres { url, .. } | Self::Elsewhere { url } => Some(url),
        }
    }

    /// A connection of the test's own, beside the server's.
    ///
    /// # Panics
    /// It cannot be opened.
    pub async fn connect(&self) -> DatabaseConnection {
        let url = match self {
            Self::Sqlite(data) => format!("sqlite://{}", data.join("signalbox.db").display()),
            Self::Postgres { url, .. } | Self::Elsewhere { url } => url.clone(),
        };
        open(url).await
    }

    /// The first column of the first row, a number.
    ///
    /// # Panics
    /// The query fails or yields nothing.
    pub async fn number(&self, query: &str) -> i64 {
        in_time(query, async {
            let db = self.connect().await;
            let statement = Statement::from_string(db.get_database_backend(), query);
            let row = db.query_one_raw(statement).await.unwrap();
            let number = row.expect("a row").try_get_by_index(0).unwrap();
            db.close().await.unwrap();
            number
        })
        .await
    }

    /// Every value of every table as text, for searching; bytes as lossy UTF-8.
    ///
    /// # Panics
    /// A query fails.
    pub async fn dump(&self) -> String {
        dump::everything(self).await
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let Self::Postgres { name, .. } = self else {
            return;
        };
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // The test's own runtime cannot be waited for in a destructor.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(in_cluster(&drop));
        });
        dropped.join().ok();
    }
}

/// Longest look into a database.
const LONGEST: Duration = Duration::from_secs(120);

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LONGEST, work).await;
    done.unwrap_or_else(|_| panic!("no answer: {what}"))
}

fn cluster() -> url::Url {
    let text = std::env::var(CLUSTER).expect(CLUSTER);
    text.parse().expect(CLUSTER)
}

async fn in_cluster(statement: &str) {
    let db = open(cluster().into()).await;
    db.execute_unprepared(statement).await.expect(statement);
    db.close().await.unwrap();
}

async fn open(url: String) -> DatabaseConnection {
    sea_orm::Database::connect(one(url)).await.unwrap()
}

/// One connection. The pool's keeper may spin for ever: github.com/transact-rs/sqlx/pull/4289
pub(crate) fn one(url: impl Into<String>) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false);
    options
}

mod dump {
    use sea_orm::ConnectionTrait as _;

    use super::{Statement, Store};

    pub(super) async fn everything(store: &Store) -> String {
        let db = store.connect().await;
        let names = async |query: String| -> Vec<String> {
            let statement = Statement::from_string(db.get_database_backend(), query);
            let rows = db.query_all_raw(statement).await.unwrap();
            rows.iter()
                .map(|row| row.try_get_by_index(0).unwrap())
                .collect()
        };
        let mut text = String::new();
        for table in names(tables(store).to_owned()).await {
            for column in names(columns(store, &table)).await {
                let value = as_text(store, &column);
                for value in names(format!("SELECT COALESCE({value}, '') FROM \"{table}\"")).await {
                    text.push_str(&format!("{table}.{column}: {}\n", readable(&value)));
                }
            }
        }
        db.close().await.unwrap();
        text
    }

    fn tables(store: &Store) -> &'static str {
        match store {
            Store::Sqlite(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
            Store::Postgres { .. } | Store::Elsewhere { .. } => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
            }
        }
    }

    fn columns(store: &Store, table: &str) -> String {
        match store {
            Store::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}')"),
            Store::Postgres { .. } | Store::Elsewhere { .. } => format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
        }
    }

    /// Bytes as `\x` and hexadecimal digits, which is how PostgreSQL shows them.
    fn as_text(store: &Store, column: &str) -> String {
        match store {
            Store::Sqlite(_) => format!(
                "CASE typeof(\"{column}\") WHEN 'blob' THEN '\\x' || hex(\"{column}\") \
                 ELSE CAST(\"{column}\" AS TEXT) END"
            ),
            Store::Postgres { .. } | Store::Elsewhere { .. } => format!("\"{column}\"::text"),
        }
    }

    fn readable(value: &str) -> String {
        match value.strip_prefix("\\x").map(hex::decode) {
            Some(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => value.to_owned(),
        }
    }
}
