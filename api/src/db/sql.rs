//! Statements and rows, whichever way they go to the database.
//!
//! The journal talks to SQLite without the ORM (see [`super::Direct`]); everybody else, and
//! PostgreSQL, through it. Plain SQL works both ways by this trait.

use std::sync::Arc;

use rusqlite::types::Value as Raw;
use sea_orm::sea_query::ColumnType;
use sea_orm::{
    ActiveModelTrait, ColumnTrait as _, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait,
    FromQueryResult, IdenStatic as _, Iterable as _, ModelTrait, QueryResult, Statement,
    TryGetable, TryIntoModel, Value,
};
use uuid::Uuid;

/// Runs statements.
pub trait Sql: Sync {
    /// Which of the two databases it is.
    fn backend(&self) -> DatabaseBackend;

    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    /// It failed.
    fn run(&self, statement: Statement) -> impl Future<Output = Result<u64, DbErr>> + Send;

    /// Runs a statement that returns rows.
    ///
    /// # Errors
    /// It failed.
    fn fetch(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, DbErr>> + Send;
}

impl<C: ConnectionTrait> Sql for C {
    fn backend(&self) -> DatabaseBackend {
        self.get_database_backend()
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        Ok(self.execute_raw(statement).await?.rows_affected())
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().map(Row::Orm).collect())
    }
}

/// A row of a result.
#[derive(Debug)]
pub enum Row {
    /// As the ORM gives it.
    Orm(QueryResult),
    /// As SQLite gives it.
    Direct {
        /// The names of the columns.
        names: Arc<[String]>,
        /// Their values, in the same order.
        values: Vec<Raw>,
    },
}

impl Row {
    /// The value of a column.
    ///
    /// # Errors
    /// There is no such column, or its value is of another type.
    pub fn get<T: Field>(&self, column: &str) -> Result<T, DbErr> {
        match self {
            Self::Orm(row) => row.try_get("", column),
            Self::Direct { .. } => T::of(self.raw(column)?).ok_or_else(|| wrong(column)),
        }
    }

    /// The row as a model of its table.
    ///
    /// # Errors
    /// A column is missing, or its value is of another type.
    pub fn model<M>(&self) -> Result<M, DbErr>
    where
        M: ModelTrait + FromQueryResult,
        <M::Entity as EntityTrait>::ActiveModel: TryIntoModel<M>,
    {
        if let Self::Orm(row) = self {
            return M::from_query_result(row, "");
        }
        let mut model = <M::Entity as EntityTrait>::ActiveModel::default();
        for column in <M::Entity as EntityTrait>::Column::iter() {
            let name = column.as_str();
            let value = typed(column.def().get_column_type(), self.raw(name)?);
            model.try_set(column, value.ok_or_else(|| wrong(name))?)?;
        }
        model.try_into_model()
    }

    fn raw(&self, column: &str) -> Result<&Raw, DbErr> {
        let found = match self {
            Self::Orm(_) => None,
            Self::Direct { names, values } => names
                .iter()
                .position(|name| name == column)
                .and_then(|at| values.get(at)),
        };
        found.ok_or_else(|| wrong(column))
    }
}

fn wrong(column: &str) -> DbErr {
    DbErr::Type(format!("the column {column} is missing or of another type"))
}

/// A type that a column can be read as.
pub trait Field: TryGetable {
    /// Reads a value of SQLite.
    fn of(value: &Raw) -> Option<Self>;
}

impl Field for i64 {
    fn of(value: &Raw) -> Option<Self> {
        match value {
            Raw::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

impl Field for i32 {
    fn of(value: &Raw) -> Option<Self> {
        i64::of(value)?.try_into().ok()
    }
}

impl Field for bool {
    fn of(value: &Raw) -> Option<Self> {
        i64::of(value).map(|number| number != 0)
    }
}

impl Field for String {
    fn of(value: &Raw) -> Option<Self> {
        match value {
            Raw::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl Field for Uuid {
    fn of(value: &Raw) -> Option<Self> {
        match value {
            Raw::Blob(bytes) => Self::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

impl<T: Field> Field for Option<T>
where
    Self: TryGetable,
{
    fn of(value: &Raw) -> Option<Self> {
        match value {
            Raw::Null => Some(None),
            value => T::of(value).map(Some),
        }
    }
}

/// The value of a column of this type.
fn typed(kind: &ColumnType, value: &Raw) -> Option<Value> {
    fn of<T: Field>(value: &Raw) -> Option<Value>
    where
        Option<T>: TryGetable + Into<Value>,
    {
        Option::<T>::of(value).map(Into::into)
    }
    match kind {
        ColumnType::Uuid => of::<Uuid>(value),
        ColumnType::Boolean => of::<bool>(value),
        ColumnType::Integer => of::<i32>(value),
        ColumnType::BigInteger => of::<i64>(value),
        ColumnType::Text | ColumnType::String(_) => of::<String>(value),
        _ => None,
    }
}
