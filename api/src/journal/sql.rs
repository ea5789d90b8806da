//! Statements with many rows, in one form for both databases.
//!
//! Their texts hold as many rows as a power of two says, so that a few prepared statements serve
//! batches of every size: parsing a long text costs more than running it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use entity::delivery;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DbErr, EntityName as _, EntityTrait, IdenStatic as _,
    Iterable as _, ModelTrait, QueryResult, Statement, Value,
};

use crate::db::{Row, Sql};

/// Rows of one statement, a power of two: well under SQLite's 32,766 parameters for the widest
/// table.
pub const ROWS: usize = 256;

/// The columns of the deliveries that a statement returns. By name: of a prepared statement that
/// returns whatever there is, PostgreSQL takes no more once a later version has added a column.
pub fn returned() -> &'static str {
    static RETURNED: LazyLock<String> = LazyLock::new(|| {
        let columns = delivery::Column::iter().map(|column| {
            let name = column.as_str();
            format!("delivery.\"{name}\" AS \"{name}\"")
        });
        columns.collect::<Vec<_>>().join(", ")
    });
    &RETURNED
}

/// Cuts into pieces whose lengths are powers of two.
pub fn pieces<T>(mut rest: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = 1 << rest.len().min(ROWS).checked_ilog2()?;
        let (piece, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(piece)
    })
}

/// The condition that deliveries which are found by their ids are in this state, in a form that serves
/// no index. Few deliveries are open at a time, so PostgreSQL would take an index of the open ones for
/// a short way; after a flood it is full of entries of those that were open once, until they are
/// vacuumed, and a statement for one delivery reads them all.
pub fn state_is(state: &str) -> String {
    format!("delivery.state || '' = '{state}'")
}

/// The same for one of several states.
pub fn state_among(states: &[&str]) -> String {
    let words: Vec<String> = states.iter().map(|word| format!("'{word}'")).collect();
    format!("delivery.state || '' IN ({})", words.join(", "))
}

/// Cuts into chunks of [`ROWS`], and repeats the last element until each is as long as a power of
/// two: for statements that a repeated row does not change.
pub fn padded<T>(all: &[T]) -> impl Iterator<Item = impl Iterator<Item = &T>> {
    all.chunks(ROWS).map(|chunk| {
        let missing = chunk.len().next_power_of_two() - chunk.len();
        let repeated = chunk.last().into_iter().cycle().take(missing);
        chunk.iter().chain(repeated)
    })
}

/// Inserts rows as they are.
pub async fn insert<M: ModelTrait>(db: &impl Sql, rows: &[&M]) -> Result<(), DbErr> {
    for statement in inserts(db, rows) {
        db.run(statement).await?;
    }
    Ok(())
}

/// The statements that insert rows.
pub fn inserts<M: ModelTrait>(db: &impl Sql, rows: &[&M]) -> impl Iterator<Item = Statement> {
    type Column<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;
    let columns: Vec<Column<M>> = Column::<M>::iter().collect();
    let table = M::Entity::default();
    pieces(rows).map(move |piece| {
        let mut values = Values::of(db);
        values.values.reserve(piece.len() * columns.len());
        for row in piece {
            values.row(columns.iter().map(|column| row.get(*column)));
        }
        let mut text = format!("INSERT INTO \"{}\" (", table.table_name());
        for (n, column) in columns.iter().enumerate() {
            text.push_str(if n == 0 { "\"" } else { "\", \"" });
            text.push_str(column.as_str());
        }
        text.push_str("\") VALUES ");
        text.push_str(&values.text);
        statement(db.backend(), text, values.values)
    })
}

/// Writes `($1, $2), ($3, $4)` for as many rows as there are, and collects their values.
///
/// On SQLite it writes `(?, ?), (?, ?)`: a mark with a number is a name there, and names are looked
/// up one after the other, which makes the cost of a statement grow with the square of its marks.
/// So the marks have to stand in the text in the order in which their values were added.
pub struct Values {
    /// The text.
    pub text: String,
    /// The values, in order.
    pub values: Vec<Value>,
    numbered: bool,
}

impl Values {
    /// None yet, for statements of this database.
    pub fn of(db: &impl Sql) -> Self {
        Self {
            text: String::new(),
            values: Vec::new(),
            numbered: db.backend() == DatabaseBackend::Postgres,
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
            if self.numbered {
                // Writing to a string does not fail.
                let _ = write!(self.text, "${}", self.values.len());
            } else {
                self.text.push('?');
            }
        }
        self.text.push(')');
    }

    /// Adds a value that stands after the rows; returns its mark.
    pub fn single(&mut self, value: Value) -> String {
        self.values.push(value);
        if self.numbered {
            format!("${}", self.values.len())
        } else {
            "?".to_owned()
        }
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

/// The same for what may be the journal's.
pub async fn fetch(
    db: &impl Sql,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Vec<Row>, DbErr> {
    db.fetch(statement(db.backend(), sql, values)).await
}

/// Runs a statement; returns how many rows it changed.
pub async fn execute(
    db: &impl Sql,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<u64, DbErr> {
    db.run(statement(db.backend(), sql, values)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two_and_all_of_it() {
        for count in 0..700 {
            let all: Vec<usize> = (0..count).collect();
            let mut together = Vec::new();
            for piece in pieces(&all) {
                assert!(piece.len().is_power_of_two() && piece.len() <= ROWS);
                together.extend_from_slice(piece);
            }
            assert_eq!(together, all);
        }
    }

    #[test]
    fn padding_repeats_only_the_last() {
        for count in 0..700_usize {
            let all: Vec<usize> = (0..count).collect();
            let mut together: Vec<usize> = Vec::new();
            for chunk in padded(&all) {
                let chunk: Vec<usize> = chunk.copied().collect();
                assert!(chunk.len().is_power_of_two() && chunk.len() <= ROWS);
                together.extend(chunk);
            }
            together.dedup();
            assert_eq!(together, all);
        }
    }
}
