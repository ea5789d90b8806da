//! The journal's way to the database: a connection of its own, on SQLite without the ORM between.

use std::iter::repeat_n;

use sea_orm::{
    DatabaseBackend, DbErr, EntityName as _, EntityTrait, IdenStatic as _, Iterable as _,
    ModelTrait, Statement,
};

use super::bind::Bind;
use crate::db::{Db, DirectTransaction, Lists, OwnTransaction, Row, Single, Sql};

/// Where transactions begin.
#[derive(Clone, Debug)]
pub struct Store(Single);

/// A transaction of the journal. Dropped without a commit, nothing has happened.
#[derive(Debug)]
pub enum Txn {
    /// On SQLite.
    Direct(DirectTransaction),
    /// On PostgreSQL.
    Own(OwnTransaction),
}

impl Store {
    /// The way to this database.
    pub fn of(db: &Db) -> Self {
        Self(db.single().clone())
    }

    /// Whether it talks to a server, by a socket.
    pub const fn talks(&self) -> bool {
        matches!(self.0, Single::Postgres(_))
    }

    /// Accepts that make a commit worth it. One of PostgreSQL goes to and fro five times, and wakes
    /// another process each time.
    pub const fn company(&self) -> usize {
        match self.0 {
            Single::Sqlite(_) => 8,
            Single::Postgres(_) => 28,
        }
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Txn, DbErr> {
        Ok(match &self.0 {
            Single::Sqlite(direct) => Txn::Direct(direct.begin().await?),
            Single::Postgres(own) => Txn::Own(own.begin().await?),
        })
    }

    /// Takes leave of the database.
    pub async fn close(&self) {
        if let Single::Postgres(own) = &self.0 {
            own.close().await;
        }
    }
}

impl Txn {
    /// Inserts rows as they are: one by one by the same prepared statement on SQLite, where no message
    /// is to be saved, else many with a statement.
    pub async fn insert<M: ModelTrait + Bind>(&self, rows: &[&M]) -> Result<(), DbErr> {
        type Column<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;
        if rows.is_empty() {
            return Ok(());
        }
        let into = |names: &[&str]| {
            let table = M::Entity::default();
            format!(
                "INSERT INTO \"{}\" (\"{}\")",
                table.table_name(),
                names.join("\", \""),
            )
        };
        match self {
            Self::Direct(txn) => {
                let marks: Vec<&str> = repeat_n("?", M::COLUMNS.len()).collect();
                let text = format!("{} VALUES ({})", into(M::COLUMNS), marks.join(", "));
                txn.each(&text, rows.iter().map(|row| row.values()))?;
            }
            Self::Own(txn) => {
                let columns: Vec<Column<M>> = Column::<M>::iter().collect();
                let names: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
                let into = into(&names);
                let mut values = rows
                    .iter()
                    .map(|row| columns.iter().map(|column| row.get(*column)));
                while let Some(lists) = Lists::take(&mut values)? {
                    let text = format!("{into} SELECT * FROM {}", lists.table(0));
                    txn.with_lists(text, Vec::new(), lists).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Direct(txn) => txn.commit(),
            Self::Own(txn) => txn.commit().await,
        }
    }

    /// Ends it without a trace; so does dropping it, but then the connection is made anew.
    pub async fn rollback(self) {
        if let Self::Own(txn) = self
            && let Err(error) = txn.rollback().await
        {
            tracing::debug!(%error, "The journal's connection was lost.");
        }
    }
}

impl Sql for Txn {
    fn backend(&self) -> DatabaseBackend {
        match self {
            Self::Direct(txn) => txn.backend(),
            Self::Own(txn) => txn.backend(),
        }
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        match self {
            Self::Direct(txn) => txn.run(statement).await,
            Self::Own(txn) => txn.run(statement).await,
        }
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbErr> {
        match self {
            Self::Direct(txn) => txn.fetch(statement).await,
            Self::Own(txn) => txn.fetch(statement).await,
        }
    }
}
