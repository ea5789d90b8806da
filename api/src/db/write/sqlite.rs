//! The connection that writes to SQLite for all but the journal, and the line before the file.
//!
//! Invariant: whoever writes has the turn for himself, for one statement or for a whole transaction;
//! the others wait in line, the journal with its own connection (see [`super::Direct`]) among them. A
//! transaction is `IMMEDIATE`, so that a second process can never make it fail half way. It begins
//! with its first statement. Failure: after a statement that failed, or a
//! transaction that was dropped, what is open is rolled back before anybody else writes; if that
//! fails, the connection is made anew. A crash leaves the WAL, which the next open replays.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteQueryResult};
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection as _, Either, Executor as _, SqliteConnection,
};
use sea_orm::{ConnAcquireErr, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Longest wait in line.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// The connection, and the line before it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Mutex<Connection>>);

/// The turn of one who writes. Ends when it is dropped.
pub(super) type Turn = OwnedMutexGuard<Connection>;

#[derive(Debug)]
pub(super) struct Connection {
    raw: SqliteConnection,
    options: SqliteConnectOptions,
    /// A transaction was begun, and did not end well so far.
    open: bool,
}

/// A transaction. Dropped without a commit, nothing has happened.
#[derive(Debug)]
pub struct Transaction(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Absent once it has ended.
    connection: Option<Turn>,
}

impl Writer {
    /// Opens the database.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(options: SqliteConnectOptions) -> Result<Self, DbErr> {
        let raw = SqliteConnection::connect_with(&options)
            .await
            .map_err(|e| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(e))))?;
        Ok(Self(Arc::new(Mutex::new(Connection {
            raw,
            options,
            open: false,
        }))))
    }

    /// Waits in line; the connection comes without a transaction.
    pub(super) async fn turn(&self) -> Result<Turn, DbErr> {
        let line = Arc::clone(&self.0);
        let mut connection = match Arc::clone(&line).try_lock_owned() {
            Ok(connection) => connection,
            Err(_busy) => tokio::time::timeout(PATIENCE, line.lock_owned())
                .await
                .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?,
        };
        connection.end().await?;
        Ok(connection)
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        Ok(Transaction(Mutex::new(State {
            connection: Some(self.turn().await?),
        })))
    }

    pub async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut connection = self.turn().await?;
        let done = connection.run(statement, &mut Vec::new()).await;
        done.map(ExecResult::from).map_err(exec)
    }

    pub async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        self.turn().await?.run_unprepared(text).await
    }

    pub async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut rows = Vec::new();
        let mut connection = self.turn().await?;
        connection.run(statement, &mut rows).await.map_err(query)?;
        Ok(rows)
    }
}

impl Connection {
    /// Runs a statement. Its rows are added.
    async fn run(
        &mut self,
        statement: Statement,
        rows: &mut Vec<QueryResult>,
    ) -> Result<SqliteQueryResult, sqlx::Error> {
        let values = SqlxValues(statement.values.unwrap_or(sea_orm::Values(Vec::new())));
        let text = sqlx::query_with(AssertSqlSafe(statement.sql), values);
        let mut steps = self.raw.fetch_many(text);
        let mut done = SqliteQueryResult::default();
        while let Some(step) = steps.try_next().await? {
            match step {
                Either::Left(ended) => done = ended,
                Either::Right(row) => rows.push(row.into()),
            }
        }
        Ok(done)
    }

    async fn run_unprepared(&mut self, text: &str) -> Result<ExecResult, DbErr> {
        let text = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        self.raw.execute(text).await.map(Into::into).map_err(exec)
    }

    /// Rolls back what is open.
    async fn end(&mut self) -> Result<(), DbErr> {
        if !self.open {
            return Ok(());
        }
        let rolled_back = self.raw.execute(sqlx::raw_sql(ROLLBACK)).await;
        // When the disk is full, for one, SQLite ends a transaction by itself.
        let ended = match &rolled_back {
            Ok(_) => true,
            Err(sqlx::Error::Database(error)) => error.message().contains("no transaction"),
            Err(_) => false,
        };
        if !ended {
            tracing::warn!("The connection that writes is made anew.");
            self.raw = SqliteConnection::connect_with(&self.options)
                .await
                .map_err(|e| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(e))))?;
        }
        self.open = false;
        Ok(())
    }
}

impl Transaction {
    pub async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut state = self.0.lock().await;
        let connection = state.begun().await?;
        let done = connection.run(statement, &mut Vec::new()).await;
        done.map(ExecResult::from).map_err(exec)
    }

    pub async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        let mut state = self.0.lock().await;
        state.begun().await?.run_unprepared(text).await
    }

    pub async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut state = self.0.lock().await;
        let mut rows = Vec::new();
        let connection = state.begun().await?;
        connection.run(statement, &mut rows).await.map_err(query)?;
        Ok(rows)
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<(), DbErr> {
        let mut state = self.0.lock().await;
        let connection = state.connection()?;
        if connection.open {
            connection.run_unprepared(COMMIT).await?;
            connection.open = false;
        }
        Ok(())
    }

    /// Ends it without a trace.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.0.lock().await.connection()?.end().await
    }
}

impl State {
    fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        let connection = self.connection.as_deref_mut();
        connection.ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }

    /// The connection with the transaction begun.
    async fn begun(&mut self) -> Result<&mut Connection, DbErr> {
        let connection = self.connection()?;
        if !connection.open {
            // Before it is sent: a future that is dropped half way has sent it all the same.
            connection.open = true;
            connection.run_unprepared(BEGIN).await?;
        }
        Ok(connection)
    }
}

impl Drop for State {
    /// Nobody may come by for long, and what is open keeps other processes out.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if !connection.open {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = connection.end().await {
                    tracing::warn!(%error, "A transaction could not be rolled back.");
                }
            });
        }
    }
}

/// What the driver says of a statement that changes something.
pub(super) fn exec(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

/// What the driver says of a statement that reads.
pub(super) fn query(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
