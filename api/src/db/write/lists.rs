//! Rows as PostgreSQL takes many of them at once: a list for each column, which `UNNEST` makes rows
//! of again. The text of a statement is the same however many there are, so one prepared statement
//! serves all, and the server plans it once.

use std::fmt::Write as _;

use sea_orm::sqlx::Arguments as _;
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::postgres::PgArguments;
use sea_orm::{DbErr, Value};
use uuid::Uuid;

/// Bytes after which a statement takes no further row: far from what the server takes at most, and
/// little beside what is copied for it.
const ENOUGH: usize = 4 << 20;

/// Some rows, by column.
#[derive(Debug, PartialEq)]
pub struct Lists(Vec<List>);

/// A column of them.
#[derive(Debug, PartialEq)]
enum List {
    Bool(Vec<Option<bool>>),
    Int(Vec<Option<i32>>),
    BigInt(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Option<Uuid>>),
}

impl Lists {
    /// Takes rows, all of them unless they are large: what is left is for the next statement. None
    /// if there are none.
    ///
    /// # Errors
    /// The rows have not the same types, or a type that no table of the journal has.
    pub fn take<R>(rows: &mut impl Iterator<Item = R>) -> Result<Option<Self>, DbErr>
    where
        R: IntoIterator<Item = Value>,
    {
        let Some(first) = rows.next() else {
            return Ok(None);
        };
        let (least, _) = rows.size_hint();
        let mut size = 0;
        let mut lists = Vec::new();
        for value in first {
            size += weight(&value);
            lists.push(List::of(value, least + 1)?);
        }
        while size < ENOUGH {
            let Some(row) = rows.next() else { break };
            let mut values = row.into_iter();
            for list in &mut lists {
                let value = values.next().ok_or_else(wrong)?;
                size += weight(&value);
                list.push(value)?;
            }
        }
        Ok(Some(Self(lists)))
    }

    /// `UNNEST($3, $4, …)`, where so many marks stand for other values.
    pub fn table(&self, before: usize) -> String {
        let mut text = "UNNEST(".to_owned();
        for n in 0..self.0.len() {
            let comma = if n == 0 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}${}", before + n + 1);
        }
        text.push(')');
        text
    }

    /// Binds them, in order.
    pub(super) fn add_to(self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        for list in self.0 {
            match list {
                List::Bool(list) => arguments.add(list),
                List::Int(list) => arguments.add(list),
                List::BigInt(list) => arguments.add(list),
                List::Text(list) => arguments.add(list),
                List::Bytes(list) => arguments.add(list),
                List::Uuid(list) => arguments.add(list),
            }?;
        }
        Ok(())
    }
}

impl List {
    /// A list with its first value, and room for so many.
    fn of(first: Value, room: usize) -> Result<Self, DbErr> {
        let mut list = match &first {
            Value::Bool(_) => Self::Bool(Vec::with_capacity(room)),
            Value::Int(_) => Self::Int(Vec::with_capacity(room)),
            Value::BigInt(_) => Self::BigInt(Vec::with_capacity(room)),
            Value::String(_) => Self::Text(Vec::with_capacity(room)),
            Value::Bytes(_) => Self::Bytes(Vec::with_capacity(room)),
            Value::Uuid(_) => Self::Uuid(Vec::with_capacity(room)),
            _ => return Err(wrong()),
        };
        list.push(first)?;
        Ok(list)
    }

    fn push(&mut self, value: Value) -> Result<(), DbErr> {
        match (self, value) {
            (Self::Bool(list), Value::Bool(value)) => list.push(value),
            (Self::Int(list), Value::Int(value)) => list.push(value),
            (Self::BigInt(list), Value::BigInt(value)) => list.push(value),
            (Self::Text(list), Value::String(value)) => list.push(value),
            (Self::Bytes(list), Value::Bytes(value)) => list.push(value),
            (Self::Uuid(list), Value::Uuid(value)) => list.push(value),
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

/// About how many bytes it has on its way to the server.
fn weight(value: &Value) -> usize {
    let long = match value {
        Value::String(Some(text)) => text.len(),
        Value::Bytes(Some(bytes)) => bytes.len(),
        _ => 0,
    };
    long + 16
}

fn wrong() -> DbErr {
    DbErr::Type("rows of a statement have not the types of its lists".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: i64, text: Option<&str>) -> [Value; 2] {
        [n.into(), text.map(ToOwned::to_owned).into()]
    }

    #[test]
    fn rows_become_columns() {
        let mut rows = [row(1, Some("a")), row(2, None)].into_iter();
        let lists = Lists::take(&mut rows).expect("types").expect("rows");
        assert_eq!(lists.table(0), "UNNEST($1, $2)");
        assert_eq!(lists.table(2), "UNNEST($3, $4)");
        let expected = [
            List::BigInt(vec![Some(1), Some(2)]),
            List::Text(vec![Some("a".to_owned()), None]),
        ];
        assert_eq!(lists.0, expected);
        assert!(Lists::take(&mut rows).expect("types").is_none());
    }

    #[test]
    fn large_rows_are_left_for_the_next_statement() {
        let large = "x".repeat(ENOUGH / 2);
        let mut rows = (0..7).map(|n| row(n, Some(&large)));
        let mut counts = Vec::new();
        while let Some(lists) = Lists::take(&mut rows).expect("types") {
            let [List::BigInt(numbers), _] = &lists.0[..] else {
                panic!("{:?}", lists.table(0));
            };
            counts.push(numbers.len());
        }
        assert_eq!(counts, [2, 2, 2, 1]);
    }

    #[test]
    fn types_that_differ_are_refused() {
        for second in [vec![1_i64.into()], vec!["a".into(), 1_i64.into()]] {
            let mut rows = [row(1, None).to_vec(), second].into_iter();
            assert!(Lists::take(&mut rows).is_err());
        }
        assert!(Lists::take(&mut [[Value::Double(None)]].into_iter()).is_err());
    }
}
