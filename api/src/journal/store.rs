//! The journal's way to the database: on SQLite a connection of its own, without the ORM between; on
//! PostgreSQL the pool.

use std::iter::repeat_n;

use sea_orm::{
    DatabaseBackend, DbErr, EntityName as _, EntityTrait, IdenStatic as _, Iterable as _,
    ModelTrait, Statement,
};

use super::sql;
use crate::db::{Db, Direct, DirectTransaction, Row, Sql, Transaction};

/// Where transactions begin.
#[derive(Clone, Debug)]
pub enum Store {
    /// SQLite.
    Direct(Direct),
    /// PostgreSQL.
    Pool(Db),
}

/// A transaction of the journal. Dropped without a commit, nothing has happened.
#[derive(Debug)]
pub enum Txn {
    /// On SQLite.
    Direct(DirectTransaction),
    /// On PostgreSQL.
    Pool(Transaction),
}

impl Store {
    /// The way to this database.
    pub fn of(db: &Db) -> Self {
        match db.direct() {
            Some(direct) => Self::Direct(direct),
            None => Self::Pool(db.clone()),
        }
    }

    /// Whether its calls wait for the disk on the thread that makes them.
    pub const fn blocks(&self) -> bool {
        matches!(self, Self::Direct(_))
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Txn, DbErr> {
        Ok(match self {
            Self::Direct(direct) => Txn::Direct(direct.begin().await?),
            Self::Pool(db) => Txn::Pool(db.begin().await?),
        })
    }
}

impl Txn {
    /// Inserts rows as they are: one by one by the same prepared statement where no message is to be
    /// saved, else many with a statement.
    pub async fn insert<M: ModelTrait>(&self, rows: &[&M]) -> Result<(), DbErr> {
        let Self::Direct(txn) = self else {
            for statement in sql::inserts(self, rows) {
                self.run(statement).await?;
            }
            return Ok(());
        };
        type Column<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;
        if rows.is_empty() {
            return Ok(());
        }
        let columns: Vec<Column<M>> = Column::<M>::iter().collect();
        let names: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
        let marks: Vec<&str> = repeat_n("?", names.len()).collect();
        let text = format!(
            "INSERT INTO \"{}\" (\"{}\") VALUES ({})",
            M::Entity::default().table_name(),
            names.join("\", \""),
            marks.join(", "),
        );
        let values = rows
            .iter()
            .map(|row| columns.iter().map(|column| row.get(*column)));
        txn.each(&text, values)?;
        Ok(())
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Direct(txn) => txn.commit(),
            Self::Pool(txn) => txn.commit().await,
        }
    }
}

impl Sql for Txn {
    fn backend(&self) -> DatabaseBackend {
        match self {
            Self::Direct(txn) => txn.backend(),
            Self::Pool(txn) => txn.backend(),
        }
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        match self {
            Self::Direct(txn) => txn.run(statement).await,
            Self::Pool(txn) => txn.run(statement).await,
        }
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbErr> {
        match self {
            Self::Direct(txn) => txn.fetch(statement).await,
            Self::Pool(txn) => txn.fetch(statement).await,
        }
    }
}
