//! Short words for the columns of a table, and for what every migration does.

use sea_orm_migration::prelude::*;

/// A table to be created.
pub fn table(name: &str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
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
        m.drop_table(Table::drop().table(Alias::new(*name)).to_owned())
            .await?;
    }
    Ok(())
}
