//! The journal's own way to SQLite: no ORM, no messages to another thread.
//!
//! Invariant: it writes in its turn in the one line before the file, as everybody does; a
//! transaction is `IMMEDIATE`. Every call works on the thread that makes it and waits for the disk
//! there, so only a thread that may wait does: the journal's. Failure: what is open is rolled back
//! before anybody else writes; if that fails, the connection is made anew. A crash leaves the WAL,
//! which the next open replays.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};
use sea_orm::{ConnAcquireErr, DatabaseBackend, DbErr, Statement, Value};

use super::direct_error::{self as fault, opening};
use super::sqlite::{PATIENCE, Turn, Writer};
use crate::db::{PRAGMAS, Row, Sql};

/// Statements that are kept prepared: each text for batches of a few lengths.
const PREPARED: usize = 128;

/// A connection in the line of a [`Writer`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Direct {
    line: Writer,
    file: Arc<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Absent before the first transaction.
    connection: Mutex<Option<Connection>>,
}

/// A transaction. Dropped without a commit, nothing has happened.
#[derive(Debug)]
pub struct DirectTransaction {
    file: Arc<File>,
    /// The turn in the line, given back last.
    _turn: Turn,
}

impl Direct {
    /// A connection of its own that waits in this line. It is made with the first transaction.
    pub fn new(path: &Path, line: Writer) -> Self {
        let file = File {
            path: path.to_owned(),
            connection: Mutex::default(),
        };
        Self {
            line,
            file: Arc::new(file),
        }
    }

    /// Begins a transaction when it is its turn.
    ///
    /// # Errors
    /// No turn in time, or the file is locked by another process.
    pub async fn begin(&self) -> Result<DirectTransaction, DbErr> {
        let turn = self.line.turn().await?;
        self.file.begin()?;
        Ok(DirectTransaction {
            file: Arc::clone(&self.file),
            _turn: turn,
        })
    }
}

impl DirectTransaction {
    /// Runs a statement once for each row of values. Returns how many rows each run changed.
    ///
    /// # Errors
    /// One of them failed; those before it have run.
    pub fn each(
        &self,
        text: &str,
        rows: impl Iterator<Item = impl Iterator<Item = impl ToSql>>,
    ) -> Result<Vec<usize>, DbErr> {
        self.file.with(fault::exec, |connection| {
            let mut statement = connection.prepare_cached(text)?;
            let mut changed = Vec::with_capacity(rows.size_hint().0);
            for row in rows {
                for (at, value) in row.enumerate() {
                    statement.raw_bind_parameter(at + 1, value)?;
                }
                changed.push(statement.raw_execute()?);
            }
            Ok(changed)
        })
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// It failed, and nothing has happened.
    pub fn commit(self) -> Result<(), DbErr> {
        self.file.with(fault::exec, |connection| {
            connection.prepare_cached("COMMIT")?.raw_execute()
        })?;
        Ok(())
    }
}

impl Sql for DirectTransaction {
    fn backend(&self) -> DatabaseBackend {
        DatabaseBackend::Sqlite
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        let changed = self.file.with(fault::exec, |connection| {
            prepare(connection, &statement)?.raw_execute()
        })?;
        Ok(changed as u64)
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbErr> {
        self.file.with(fault::query, |connection| {
            read(&mut prepare(connection, &statement)?)
        })
    }
}

impl Drop for DirectTransaction {
    fn drop(&mut self) {
        self.file.end();
    }
}

impl File {
    fn begin(&self) -> Result<(), DbErr> {
        let mut connection = self.connection.lock();
        // What could not be rolled back goes with its connection.
        let usable = connection.as_ref().is_some_and(Connection::is_autocommit);
        if !usable {
            *connection = None;
            *connection = Some(connect(&self.path)?);
        }
        drop(connection);
        self.with(fault::exec, |connection| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()
        })?;
        Ok(())
    }

    /// Rolls back what is open.
    fn end(&self) {
        let connection = self.connection.lock();
        // When the disk is full, for one, SQLite ends a transaction by itself.
        let open = connection.as_ref().filter(|open| !open.is_autocommit());
        if let Some(connection) = open
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "A transaction could not be rolled back; its connection is made anew.");
        }
    }

    fn with<T>(
        &self,
        fault: fn(rusqlite::Error) -> DbErr,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbErr> {
        let connection = self.connection.lock();
        let Some(connection) = connection.as_ref() else {
            return Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed));
        };
        work(connection).map_err(fault)
    }
}

pub(super) fn connect(path: &Path) -> Result<Connection, DbErr> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
    connection.busy_timeout(PATIENCE).map_err(opening)?;
    for (name, value) in PRAGMAS {
        let set = format!("PRAGMA {name} = {value}");
        connection.execute_batch(&set).map_err(opening)?;
    }
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// Prepares a statement, and binds its values.
fn prepare<'c>(
    connection: &'c Connection,
    statement: &Statement,
) -> rusqlite::Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let values = statement.values.as_ref().map_or(&[][..], |v| &v.0);
    let mut unnamed = 0;
    for at in 1..=prepared.parameter_count() {
        // A mark like `$7` is a name, and stands where it is seen first.
        let number = match prepared.parameter_name(at) {
            Some(name) => name.get(1..).and_then(|number| number.parse().ok()),
            None => {
                unnamed += 1;
                Some(unnamed)
            }
        };
        let value = number.and_then(|number: usize| values.get(number.checked_sub(1)?));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(values.len(), at))?;
        prepared.raw_bind_parameter(at, Bound(value))?;
    }
    Ok(prepared)
}

fn read(prepared: &mut CachedStatement<'_>) -> rusqlite::Result<Vec<Row>> {
    let names: Arc<[String]> = prepared
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut rows = prepared.raw_query();
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..names.len()).map(|at| row.get(at));
        all.push(Row::Direct {
            names: Arc::clone(&names),
            values: values.collect::<rusqlite::Result<_>>()?,
        });
    }
    Ok(all)
}

/// A value as the ORM stores it in SQLite.
#[derive(Debug)]
pub struct Bound<V>(pub V);

impl<V: Borrow<Value>> ToSql for Bound<V> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number = |n: i64| ValueRef::Integer(n);
        let value: &Value = self.0.borrow();
        let value = match value {
            Value::Bool(value) => value.map(|value| number(value.into())),
            Value::Int(value) => value.map(|value| number(value.into())),
            Value::BigInt(value) => value.map(number),
            Value::String(value) => value.as_deref().map(|text| ValueRef::Text(text.as_bytes())),
            Value::Bytes(value) => value.as_deref().map(ValueRef::Blob),
            Value::Uuid(value) => value.as_ref().map(|id| ValueRef::Blob(id.as_bytes())),
            other => {
                let words = format!("no value for the journal: {other:?}");
                return Err(rusqlite::Error::ToSqlConversionFailure(words.into()));
            }
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}
