//! The two databases, each with a fresh one for a run.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

use crate::database::one;

/// Where data is stored.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file in the data folder.
    Sqlite,
    /// A fresh database in a cluster that is there.
    Postgres {
        /// Address of the cluster.
        cluster: String,
        /// Address of the database.
        url: String,
        /// Its name.
        name: String,
    },
}

impl Store {
    /// Makes a database in this cluster.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn postgres(cluster: &str) -> anyhow::Result<Self> {
        let name = format!("signalbox_bench_{:016x}", rand::random::<u64>());
        let mut url: url::Url = cluster.parse().context("the database's address")?;
        url.set_path(&name);
        let db = connect(cluster).await?;
        db.execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await?;
        db.close().await?;
        Ok(Self::Postgres {
            cluster: cluster.to_owned(),
            url: url.into(),
            name,
        })
    }

    /// Its name in the report.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// Its address for `--database-url`; none on SQLite.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres { url, .. } => Some(url),
        }
    }

    /// One connection, on SQLite to this file with the settings that make a commit durable.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(&self, file: &Path) -> anyhow::Result<DatabaseConnection> {
        match self {
            Self::Postgres { url, .. } => connect(url).await,
            Self::Sqlite => {
                let url = format!("sqlite://{}?mode=rwc", file.display());
                let mut options = one(url);
                options.map_sqlx_sqlite_opts(|o| {
                    o.pragma("journal_mode", "WAL")
                        .pragma("synchronous", "FULL")
                        .pragma("wal_autocheckpoint", "4000")
                        .busy_timeout(Duration::from_secs(10))
                });
                Ok(Database::connect(options).await?)
            }
        }
    }

    /// Where it keeps its files.
    ///
    /// # Errors
    /// It does not say.
    pub async fn place(&self, folder: &Path) -> anyhow::Result<String> {
        match self {
            Self::Sqlite => Ok(folder.display().to_string()),
            Self::Postgres { url, .. } => text(url, "SHOW data_directory").await,
        }
    }

    /// Its version.
    ///
    /// # Errors
    /// It does not say.
    pub async fn version(&self) -> anyhow::Result<String> {
        match self {
            Self::Sqlite => text("sqlite::memory:", "SELECT sqlite_version()").await,
            Self::Postgres { url, .. } => text(url, "SHOW server_version").await,
        }
    }

    /// Drops what was made.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn remove(&self) -> anyhow::Result<()> {
        if let Self::Postgres { cluster, name, .. } = self {
            let db = connect(cluster).await?;
            db.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                .await?;
            db.close().await?;
        }
        Ok(())
    }
}

async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    Ok(Database::connect(one(url)).await?)
}

async fn text(url: &str, query: &str) -> anyhow::Result<String> {
    let db = connect(url).await?;
    let statement = Statement::from_string(db.get_database_backend(), query);
    let row = db.query_one_raw(statement).await?.context("no answer")?;
    let text = row.try_get_by_index(0)?;
    db.close().await?;
    Ok(text)
}
