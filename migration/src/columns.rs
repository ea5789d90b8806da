//! Short words for the columns of a table, and for what every migration does.
//!
//! What is done outside a transaction can be repeated: it may have broken off anywhere.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

/// A table to be created, if a run that broke off has not done it.
pub fn table(name: &str) -> TableCreateStatement {
    Table::create()
        .table(Alias::new(name))
        .if_not_exists()
        .to_owned()
}

/// A column that always has a value.
pub fn required(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).not_null().to_owned()
}

/// A column that may be empty.
pub fn optional(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).null().to_owned()
}

/// The primary key over these columns.
pub fn primary(columns: &[&str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index.to_owned()
}

/// Runs statements written by hand, one after the other.
pub async fn run(m: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        m.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}

/// Drops tables, with their indexes.
pub async fn drop_tables(m: &SchemaManager<'_>, names: &[&str]) -> Result<(), DbErr> {
    for name in names {
        let table = Table::drop()
            .table(Alias::new(*name))
            .if_exists()
            .to_owned();
        m.drop_table(table).await?;
    }
    Ok(())
}

/// Adds a column, unless it is there. It may be empty or has a default that is a constant, so that
/// no row is written anew.
pub async fn add(m: &SchemaManager<'_>, table: &str, mut column: ColumnDef) -> Result<(), DbErr> {
    if m.has_column(table, column.get_column_name()).await? {
        return Ok(());
    }
    let change = Table::alter()
        .table(Alias::new(table))
        .add_column(&mut column)
        .to_owned();
    m.alter_table(change).await
}

/// Drops columns that are there.
pub async fn drop_columns(m: &SchemaManager<'_>, table: &str, names: &[&str]) -> Result<(), DbErr> {
    for name in names {
        if m.has_column(table, name).await? {
            run(m, &[&format!("ALTER TABLE {table} DROP COLUMN {name}")]).await?;
        }
    }
    Ok(())
}

/// An index of a table that has rows, and is read and written while it is built.
pub struct BesideWork {
    kind: &'static str,
    name: &'static str,
    on: &'static str,
}

/// An index: its name, and what follows `ON`.
pub const fn index(name: &'static str, on: &'static str) -> BesideWork {
    let kind = "INDEX";
    BesideWork { kind, name, on }
}

/// The same over what exists once.
pub const fn unique(name: &'static str, on: &'static str) -> BesideWork {
    let kind = "UNIQUE INDEX";
    BesideWork { kind, name, on }
}

/// Builds indexes that are not there, outside a transaction. On PostgreSQL nobody waits for it; it
/// waits for the transactions that were begun before.
pub async fn build(m: &SchemaManager<'_>, indexes: &[BesideWork]) -> Result<(), DbErr> {
    for BesideWork { kind, name, on } in indexes {
        if m.get_database_backend() == DbBackend::Postgres {
            let create = format!("CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {on}");
            if broke_off(m, name).await? {
                drop_indexes(m, &[name]).await?;
            }
            unhurried(m, &create).await?;
        } else {
            run(m, &[&format!("CREATE {kind} IF NOT EXISTS {name} ON {on}")]).await?;
        }
    }
    Ok(())
}

/// Drops indexes that are there, outside a transaction.
pub async fn drop_indexes(m: &SchemaManager<'_>, names: &[&str]) -> Result<(), DbErr> {
    for name in names {
        if m.get_database_backend() == DbBackend::Postgres {
            unhurried(m, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
        } else {
            run(m, &[&format!("DROP INDEX IF EXISTS {name}")]).await?;
        }
    }
    Ok(())
}

/// Whether an index is there that was never finished: it is written to, and serves nobody.
async fn broke_off(m: &SchemaManager<'_>, name: &str) -> Result<bool, DbErr> {
    let query = format!(
        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('{name}') AND NOT indisvalid"
    );
    let statement = Statement::from_string(DbBackend::Postgres, query);
    let row = m.get_connection().query_one_raw(statement).await?;
    Ok(row.is_some())
}

/// Runs a statement that nobody waits for, however long it waits for others.
async fn unhurried(m: &SchemaManager<'_>, statement: &str) -> Result<(), DbErr> {
    let limit = Statement::from_string(
        DbBackend::Postgres,
        "SELECT current_setting('lock_timeout')",
    );
    let row = m.get_connection().query_one_raw(limit).await?;
    let limit: String = row.map_or(Ok("0".to_owned()), |row| row.try_get_by_index(0))?;
    run(m, &["SET lock_timeout = 0"]).await?;
    let done = run(m, &[statement]).await;
    run(m, &[&format!("SET lock_timeout = '{limit}'")]).await?;
    done
}
