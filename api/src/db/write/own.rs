//! The journal's own connection to PostgreSQL.
//!
//! What it saves: a pool asks a connection that comes back whether it still answers, hands out
//! another one meanwhile, and each of them has to learn the statements.
//!
//! Invariant: one transaction at a time has the connection, and it is kept only after a transaction
//! that came to its end. Failure: one that does not, because it was dropped or the connection was
//! lost, closes the connection, with which the server takes everything back; the next transaction
//! makes a new one. A crash does the same.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection as _, Executor as _, IntoArguments, PgConnection, Postgres,
};
use sea_orm::{ConnAcquireErr, DatabaseBackend, DbErr, RuntimeErr, Statement, Value, Values};
use sea_query_sqlx::SqlxValues;

use super::lists::Lists;
use super::sqlite::{exec, query};
use crate::db::{Row, Sql};

/// Longest wait for a new connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// As for a transaction of the pool: a server that only reads says so at once.
const BEGIN: &str = "BEGIN READ WRITE";

/// The connection. Cheap to clone; one transaction at a time keeps it, others make one more.
#[derive(Clone, Debug)]
pub struct Own {
    options: Arc<PgConnectOptions>,
    /// Absent before the first transaction, while one is open, and after a failure.
    kept: Arc<Mutex<Option<PgConnection>>>,
}

/// A transaction. Dropped without a commit, nothing has happened.
#[derive(Debug)]
pub struct OwnTransaction {
    connection: tokio::sync::Mutex<PgConnection>,
    kept: Arc<Mutex<Option<PgConnection>>>,
}

impl Own {
    /// One that is made with the first transaction, as the pool makes its own. In the server's views
    /// it has a name, unless the address gives one.
    pub fn new(options: &PgConnectOptions) -> Self {
        let options = options.clone();
        let named = options.get_application_name().is_some();
        let options = if named {
            options
        } else {
            options.application_name("signalbox journal")
        };
        Self {
            options: Arc::new(options),
            kept: Arc::default(),
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The server cannot be reached, or takes no writes.
    pub async fn begin(&self) -> Result<OwnTransaction, DbErr> {
        let kept = self.kept.lock().take();
        let begun = match kept {
            Some(connection) => begun(connection).await,
            None => None,
        };
        let connection = match begun {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(OwnTransaction {
            connection: tokio::sync::Mutex::new(connection),
            kept: Arc::clone(&self.kept),
        })
    }

    /// A new connection, with a transaction begun.
    async fn connect(&self) -> Result<PgConnection, DbErr> {
        let connecting = PgConnection::connect_with(&self.options);
        let mut connection = tokio::time::timeout(PATIENCE, connecting)
            .await
            .map_err(|_elapsed| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?
            .map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
        begin(&mut connection).await.map_err(exec)?;
        Ok(connection)
    }

    /// Takes leave of the server.
    pub async fn close(&self) {
        let kept = self.kept.lock().take();
        if let Some(connection) = kept
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "The journal's connection did not end well.");
        }
    }
}

/// A connection that was kept, if it still answers: the server may have been restarted since.
async fn begun(mut connection: PgConnection) -> Option<PgConnection> {
    match tokio::time::timeout(PATIENCE, begin(&mut connection)).await {
        Ok(Ok(())) => Some(connection),
        Ok(Err(error)) => {
            tracing::debug!(%error, "The journal's connection was lost.");
            None
        }
        Err(_elapsed) => None,
    }
}

async fn begin(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(BEGIN)).await?;
    Ok(())
}

impl OwnTransaction {
    /// Runs a statement of which the first marks stand for `values`, and the next ones for a list
    /// each. Returns its rows.
    ///
    /// # Errors
    /// It failed.
    pub async fn with_lists(
        &self,
        text: String,
        values: Vec<Value>,
        lists: Lists,
    ) -> Result<Vec<Row>, DbErr> {
        let values = SqlxValues(Values(values));
        let mut arguments = IntoArguments::<Postgres>::into_arguments(values);
        lists
            .add_to(&mut arguments)
            .map_err(|error| exec(sqlx::Error::Encode(error)))?;
        let statement = sqlx::query_with(AssertSqlSafe(text), arguments);
        let mut connection = self.connection.lock().await;
        let rows = connection.fetch_all(statement).await.map_err(query)?;
        Ok(rows.into_iter().map(|row| Row::Orm(row.into())).collect())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The answer was lost, and it may be durable or not; or something of it failed, and it is not.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.end("COMMIT").await
    }

    /// Ends it without a trace.
    ///
    /// # Errors
    /// The connection failed; nothing has happened all the same.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.end("ROLLBACK").await
    }

    async fn end(self, text: &'static str) -> Result<(), DbErr> {
        let mut connection = self.connection.into_inner();
        let ended = connection.execute(sqlx::raw_sql(text)).await;
        ended.map_err(exec)?;
        *self.kept.lock() = Some(connection);
        Ok(())
    }
}

impl Sql for OwnTransaction {
    fn backend(&self) -> DatabaseBackend {
        DatabaseBackend::Postgres
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        let mut connection = self.connection.lock().await;
        let done = connection.execute(prepared(statement)).await;
        Ok(done.map_err(exec)?.rows_affected())
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbErr> {
        let mut connection = self.connection.lock().await;
        let rows = connection.fetch_all(prepared(statement)).await;
        let rows = rows.map_err(query)?;
        Ok(rows.into_iter().map(|row| Row::Orm(row.into())).collect())
    }
}

fn prepared(statement: Statement) -> sqlx::query::Query<'static, Postgres, SqlxValues> {
    let values = statement.values.unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}
