//! The way of everything that writes: one connection on SQLite, the pool on PostgreSQL.

mod checkpoint;
mod direct;
mod direct_error;
mod lists;
mod own;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr,
    ExecResult, QueryResult, Statement, TransactionOptions, TransactionTrait as _,
};

pub use checkpoint::{BACKSTOP, Checkpoints};
pub use direct::{Bound, Direct, DirectTransaction};
pub use lists::Lists;
pub use own::{Own, OwnTransaction};

/// For single statements that write, and to begin transactions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer(Way);

#[derive(Clone, Debug)]
enum Way {
    Sqlite(sqlite::Writer),
    Postgres(DatabaseConnection),
}

/// A transaction. Dropped without [`Transaction::commit`], nothing has happened.
#[derive(Debug)]
pub struct Transaction(Begun);

#[derive(Debug)]
enum Begun {
    Sqlite(sqlite::Transaction),
    Postgres(DatabaseTransaction),
}

impl Writer {
    /// Opens the one connection to SQLite. With a way for one thread that talks to SQLite itself, in
    /// the same line.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn sqlite(options: SqliteConnectOptions) -> Result<(Self, Direct), DbErr> {
        let path = options.get_filename().to_owned();
        let writer = sqlite::Writer::open(options).await?;
        let direct = Direct::new(&path, writer.clone());
        Ok((Self(Way::Sqlite(writer)), direct))
    }

    /// Writes through a pool of PostgreSQL. With a connection of its own for one who writes all the
    /// time.
    pub fn postgres(pool: DatabaseConnection) -> (Self, Own) {
        let own = Own::new(&pool.get_postgres_connection_pool().connect_options());
        (Self(Way::Postgres(pool)), own)
    }

    /// Who moves the WAL on, in the same line; nobody on PostgreSQL.
    pub fn checkpoints(&self, path: &Path) -> Option<Checkpoints> {
        match &self.0 {
            Way::Sqlite(writer) => Some(Checkpoints::new(path, writer.clone())),
            Way::Postgres(_) => None,
        }
    }

    /// Begins a transaction. On SQLite it has the turn of the writer from here on, and the lock of
    /// the file from its first statement.
    ///
    /// # Errors
    /// No connection in time.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        Ok(Transaction(match &self.0 {
            Way::Sqlite(writer) => Begun::Sqlite(writer.begin().await?),
            Way::Postgres(pool) => {
                let options = TransactionOptions {
                    isolation_level: None,
                    access_mode: Some(AccessMode::ReadWrite),
                    sqlite_transaction_mode: None,
                };
                Begun::Postgres(pool.begin_with_options(options).await?)
            }
        }))
    }
}

impl Transaction {
    /// Makes it durable.
    ///
    /// # Errors
    /// Something of it failed, and nothing has happened; or the answer was lost, and all of it may
    /// have.
    pub async fn commit(self) -> Result<(), DbErr> {
        match self.0 {
            Begun::Sqlite(txn) => txn.commit().await,
            Begun::Postgres(txn) => txn.commit().await,
        }
    }

    /// Ends it without a trace.
    ///
    /// # Errors
    /// The connection failed; nothing has happened all the same.
    pub async fn rollback(self) -> Result<(), DbErr> {
        match self.0 {
            Begun::Sqlite(txn) => txn.rollback().await,
            Begun::Postgres(txn) => txn.rollback().await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for Writer {
    fn get_database_backend(&self) -> DatabaseBackend {
        match &self.0 {
            Way::Sqlite(_) => DatabaseBackend::Sqlite,
            Way::Postgres(_) => DatabaseBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Way::Sqlite(writer) => writer.execute(statement).await,
            Way::Postgres(pool) => pool.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Way::Sqlite(writer) => writer.execute_unprepared(text).await,
            Way::Postgres(pool) => pool.execute_unprepared(text).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.0 {
            Way::Sqlite(writer) => writer.query(statement).await,
            Way::Postgres(pool) => pool.query_all_raw(statement).await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        match &self.0 {
            Begun::Sqlite(_) => DatabaseBackend::Sqlite,
            Begun::Postgres(_) => DatabaseBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Begun::Sqlite(txn) => txn.execute(statement).await,
            Begun::Postgres(txn) => txn.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Begun::Sqlite(txn) => txn.execute_unprepared(text).await,
            Begun::Postgres(txn) => txn.execute_unprepared(text).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.0 {
            Begun::Sqlite(txn) => txn.query(statement).await,
            Begun::Postgres(txn) => txn.query_all_raw(statement).await,
        }
    }
}
