//! Statements with many rows, in one form for both databases.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement, Value};

/// Rows of one statement: well under SQLite's 32,766 parameters for the widest table.
pub const ROWS: usize = 400;

/// Writes `($1, $2), ($3, $4)` for as many rows as there are, and collects their values.
#[derive(Default)]
pub struct Values {
    /// The text.
    pub text: String,
    /// The values, in order.
    pub values: Vec<Value>,
}

impl Values {
    /// Starts with values that stand outside the rows, as `$1` and on.
    pub fn after(values: Vec<Value>) -> Self {
        Self {
            text: String::new(),
            values,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, row: impl IntoIterator<Item = Value>) {
        self.text
            .push_str(if self.text.is_empty() { "(" } else { ", (" });
        let mut first = true;
        for value in row {
            if !first {
                self.text.push_str(", ");
            }
            first = false;
            self.values.push(value);
            self.text.push('$');
            self.text.push_str(&self.values.len().to_string());
        }
        self.text.push(')');
    }
}

/// A statement of this backend.
pub fn statement(
    backend: DatabaseBackend,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Statement {
    Statement::from_sql_and_values(backend, sql.into(), values)
}

/// Runs a statement that returns rows.
pub async fn rows(
    db: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    let statement = statement(db.get_database_backend(), sql, values);
    db.query_all_raw(statement).await
}

/// Runs a statement; returns how many rows it changed.
pub async fn execute(
    db: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<u64, DbErr> {
    let statement = statement(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}
