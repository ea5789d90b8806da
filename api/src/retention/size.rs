//! How much there is, and giving space back.

use std::collections::HashMap;

use entity::{attempt, audit, delivery, event};
use openapi::retention::{StorageSizes, TableSize};
use sea_orm::sea_query::ColumnType;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait, IdenStatic as _, Iterable as _};
use uuid::Uuid;

use crate::clock::from_ms;
use crate::db::Db;
use crate::journal::sql::{self, Values};
use crate::scope::Scope;

/// Free pages that stay in the file for what comes next: 2 MiB of pages of 4 KiB.
const KEPT_PAGES: i64 = 512;
/// Pages of one step of giving back.
const STEP_PAGES: i64 = 256;
/// Rows that are looked at for the mean size of a row: of a workspace, of a table of SQLite, and of
/// one of PostgreSQL, which are taken by the page.
const SAMPLE: i64 = 200;
const SAMPLE_OF_PAGES: f64 = 10_000.0;
/// Rows up to which a table of PostgreSQL is counted.
const COUNTED: i64 = 200_000;
/// What a row takes beyond its columns, with its indexes.
const ROW: f64 = 200.0;
/// What a row of PostgreSQL takes in its page beyond its columns, and how much of a page is rows.
const TUPLE: f64 = 32.0;
const FILLED: f64 = 0.95;

/// The tables that grow. What the first of them hold gives way to the size of the database.
const TABLES: [&str; 9] = [
    "event",
    "delivery",
    "attempt",
    "refusal",
    "audit",
    "job",
    "stat_hour",
    "link",
    "sandbox_record",
];
const GIVE_WAY: [&str; 3] = ["event", "delivery", "attempt"];
/// Where rows of an event are, by which column, and what that needs.
const WITH_EVENTS: [(&str, &str, &str); 3] = [
    ("event", "t.id", ""),
    ("delivery", "t.event_id", ""),
    (
        "attempt",
        "d.event_id",
        "JOIN delivery d ON d.id = t.delivery_id",
    ),
];

/// Whose rows are looked at.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// Everybody's.
    All,
    /// Those of a workspace.
    Of(Uuid),
}

/// Sizes of the database and of its tables, all workspaces together: for whoever runs the server.
pub async fn sizes(db: &Db, scope: Scope) -> Result<StorageSizes, DbErr> {
    let tables = tables(db, scope, Whose::All).await?;
    let known: i64 = tables.iter().map(|t| t.bytes).sum();
    let (bytes, used_bytes) = if db.is_postgres() {
        postgres(db, known).await?
    } else {
        let (page, pages, free) = pages(db).await?;
        (page * pages, page * (pages - free))
    };
    Ok(StorageSizes {
        all_workspaces: true,
        bytes,
        used_bytes,
        tables,
    })
}

/// What a workspace has, as an estimate, and nothing of what others have.
pub async fn own_sizes(db: &Db, scope: Scope) -> Result<StorageSizes, DbErr> {
    let tables = tables(db, scope, Whose::Of(scope.workspace())).await?;
    let estimate = tables.iter().map(|t| t.bytes).sum();
    Ok(StorageSizes {
        all_workspaces: false,
        bytes: estimate,
        used_bytes: estimate,
        tables,
    })
}

async fn tables(db: &Db, scope: Scope, whose: Whose) -> Result<Vec<TableSize>, DbErr> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let (rows, bytes) = table_size(db, table, whose).await?;
        tables.push(TableSize {
            table: table.to_owned(),
            rows,
            bytes,
            oldest_at: oldest(db, table, scope, whose).await?.map(from_ms),
        });
    }
    Ok(tables)
}

/// Bytes in use: exact on SQLite. The files of PostgreSQL keep the space of rows that are gone, which
/// later ones take: what the rows fill of it counts.
///
/// # Errors
/// The database failed.
pub async fn used(db: &Db) -> Result<i64, DbErr> {
    if !db.is_postgres() {
        let (page, pages, free) = pages(db).await?;
        return Ok(page * (pages - free));
    }
    let mut known = 0;
    for table in TABLES {
        known += table_size(db, table, Whose::All).await?.1;
    }
    Ok(postgres(db, known).await?.1)
}

/// Bytes of all that does not give way to the size of the database.
///
/// # Errors
/// The database failed.
pub async fn rest(db: &Db) -> Result<i64, DbErr> {
    let mut bytes = 0;
    for table in all_tables(db).await? {
        if !GIVE_WAY.contains(&table.as_str()) {
            bytes += table_size(db, &table, Whose::All).await?.1;
        }
    }
    Ok(bytes)
}

/// Bytes of events with all that was made of them.
///
/// # Errors
/// The database failed.
pub async fn of_events(db: &Db, ids: &[Uuid]) -> Result<HashMap<Uuid, i64>, DbErr> {
    let mut sizes = HashMap::new();
    for (table, key, join) in WITH_EVENTS {
        let length = length(db, table).await?;
        add(db, ids, (table, key, join), &length, &mut sizes).await?;
    }
    Ok(sizes)
}

/// Rows that go to the archive, with all that was made of them.
#[derive(Clone, Copy, Debug)]
pub enum Written {
    /// Events, with deliveries and attempts.
    Events,
    /// Deliveries, with attempts.
    Deliveries,
    /// Attempts.
    Attempts,
    /// Lines of the audit log.
    Audit,
}

/// About how many bytes rows are when they are read to be written, whatever they take in their tables,
/// where they may be compressed.
///
/// # Errors
/// The database failed.
pub async fn written(db: &Db, what: Written, ids: &[Uuid]) -> Result<HashMap<Uuid, i64>, DbErr> {
    let tables: &[(&str, &str, &str)] = match what {
        Written::Events => &WITH_EVENTS,
        Written::Deliveries => &[("delivery", "t.id", ""), ("attempt", "t.delivery_id", "")],
        Written::Attempts => &[("attempt", "t.id", "")],
        Written::Audit => &[("audit", "t.id", "")],
    };
    let mut sizes = HashMap::new();
    for (table, key, join) in tables.iter().copied() {
        let length = match table {
            "event" => octets::<event::Entity>(),
            "delivery" => octets::<delivery::Entity>(),
            "attempt" => octets::<attempt::Entity>(),
            _ => octets::<audit::Entity>(),
        };
        add(db, ids, (table, key, join), &length, &mut sizes).await?;
    }
    Ok(sizes)
}

/// The sum of the lengths of the columns of a row `t` that may be of any length.
fn octets<E: EntityTrait>() -> String {
    let lengths: Vec<String> = E::Column::iter()
        .filter(|column| is_of_any_length(column.def().get_column_type()))
        .map(|column| format!("COALESCE(OCTET_LENGTH(t.\"{}\"), 0)", column.as_str()))
        .collect();
    lengths.join(" + ")
}

const fn is_of_any_length(column: &ColumnType) -> bool {
    matches!(
        column,
        ColumnType::Text | ColumnType::String(_) | ColumnType::Blob | ColumnType::VarBinary(_)
    )
}

/// Adds the sizes of the rows of a table to those that they belong to.
async fn add(
    db: &Db,
    ids: &[Uuid],
    (table, key, join): (&str, &str, &str),
    length: &str,
    sizes: &mut HashMap<Uuid, i64>,
) -> Result<(), DbErr> {
    let mut marks = Values::of(db.read());
    for id in ids {
        marks.row([(*id).into()]);
    }
    let query = format!(
        "WITH v(id) AS (VALUES {}) SELECT {key} AS id, CAST(SUM({length}) AS BIGINT) AS bytes, \
         COUNT(*) AS n FROM \"{table}\" t {join} WHERE {key} IN (SELECT id FROM v) GROUP BY {key}",
        marks.text
    );
    for row in sql::rows(db.read(), query, marks.values).await? {
        let bytes: i64 = row.try_get("", "bytes")?;
        let rows: i64 = row.try_get("", "n")?;
        *sizes.entry(row.try_get("", "id")?).or_default() += bytes + whole(rows, ROW);
    }
    Ok(())
}

async fn all_tables(db: &Db) -> Result<Vec<String>, DbErr> {
    let query = if db.is_postgres() {
        "SELECT c.relname::text AS name FROM pg_class c WHERE c.relkind = 'r' \
         AND c.relnamespace = current_schema()::regnamespace"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    };
    names(db, query.to_owned()).await
}

async fn names(db: &Db, query: String) -> Result<Vec<String>, DbErr> {
    sql::rows(db.read(), query, Vec::new())
        .await?
        .iter()
        .map(|row| row.try_get("", "name"))
        .collect()
}

/// The sum of the lengths of the columns of a row `t`, as they are stored.
async fn length(db: &Db, table: &str) -> Result<String, DbErr> {
    let (query, function) = if db.is_postgres() {
        (
            format!(
                "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = '\"{table}\"'::regclass \
                 AND attnum > 0 AND NOT attisdropped"
            ),
            "pg_column_size",
        )
    } else {
        (
            format!("SELECT name FROM pragma_table_info('{table}')"),
            "LENGTH",
        )
    };
    let columns = names(db, query).await?;
    let lengths: Vec<String> = columns
        .iter()
        .map(|name| format!("COALESCE({function}(t.\"{name}\"), 0)"))
        .collect();
    Ok(lengths.join(" + "))
}

/// Rows of a table. A large one of PostgreSQL is not counted: its statistics know well enough.
pub async fn rows(db: &Db, table: &str) -> Result<i64, DbErr> {
    if db.is_postgres() {
        let known = format!(
            "SELECT COALESCE(MAX(n_live_tup), 0)::bigint AS n FROM pg_stat_user_tables WHERE relname = '{table}'"
        );
        let known = number(db, &known).await?;
        if known > COUNTED {
            return Ok(known);
        }
    }
    number(db, &format!("SELECT COUNT(*) AS n FROM \"{table}\"")).await
}

/// Rows of a workspace. Attempts are not found by workspace: as many to a delivery as of late.
async fn own_rows(db: &Db, table: &str, workspace: Uuid) -> Result<i64, DbErr> {
    let query = if table == "attempt" {
        format!(
            "SELECT (SELECT COUNT(*) FROM delivery WHERE workspace_id = $1) * \
             (SELECT COUNT(*) FROM attempt WHERE delivery_id IN (SELECT id FROM (SELECT id FROM \
             delivery WHERE workspace_id = $1 ORDER BY id DESC LIMIT {SAMPLE}) AS late)) / \
             (SELECT CASE WHEN COUNT(*) = 0 THEN 1 ELSE COUNT(*) END FROM (SELECT id FROM delivery \
             WHERE workspace_id = $1 ORDER BY id DESC LIMIT {SAMPLE}) AS late) AS n"
        )
    } else {
        format!("SELECT COUNT(*) AS n FROM \"{table}\" WHERE workspace_id = $1")
    };
    match sql::rows(db.read(), query, vec![workspace.into()])
        .await?
        .first()
    {
        Some(row) => row.try_get("", "n"),
        None => Ok(0),
    }
}

/// Rows and bytes of a table.
async fn table_size(db: &Db, table: &str, whose: Whose) -> Result<(i64, i64), DbErr> {
    let rows = match whose {
        Whose::All => rows(db, table).await?,
        Whose::Of(workspace) => own_rows(db, table, workspace).await?,
    };
    if rows == 0 {
        return Ok((0, 0));
    }
    let mean = mean(db, table, rows, whose).await?;
    if !db.is_postgres() || matches!(whose, Whose::Of(_)) {
        return Ok((rows, whole(rows, mean + ROW)));
    }
    // The part of the table that its rows fill, and as much of its indexes.
    let query = format!(
        "SELECT pg_table_size('\"{table}\"'::regclass)::bigint AS own, \
         pg_total_relation_size('\"{table}\"'::regclass)::bigint AS total"
    );
    let (own, total): (i64, i64) = match sql::rows(db.read(), query, Vec::new()).await?.first() {
        Some(row) => (row.try_get("", "own")?, row.try_get("", "total")?),
        None => (0, 0),
    };
    Ok((rows, filled(rows, mean, own, total)))
}

/// What rows fill of a table of PostgreSQL with its indexes.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn filled(rows: i64, mean: f64, own: i64, total: i64) -> i64 {
    let live = rows as f64 * (mean + TUPLE) / FILLED;
    let share = (live / (own.max(1) as f64)).min(1.0);
    whole(total, share)
}

/// The mean length of the columns of a row: of a sample of all, or of the newest of a workspace.
async fn mean(db: &Db, table: &str, rows: i64, whose: Whose) -> Result<f64, DbErr> {
    let length = length(db, table).await?;
    let (of, values) = match (table, whose) {
        (_, Whose::All) if db.is_postgres() => {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let percent = (100.0 * SAMPLE_OF_PAGES / (rows.max(1) as f64)).clamp(0.000_1, 100.0);
            (
                format!("\"{table}\" t TABLESAMPLE SYSTEM ({percent})"),
                Vec::new(),
            )
        }
        // Those that have no number have a few rows at most.
        (_, Whose::All) => (spread(db, table).await?, Vec::new()),
        // There is no index by workspace.
        ("attempt", Whose::Of(id)) => (
            format!(
                "(SELECT * FROM attempt WHERE delivery_id IN (SELECT id FROM (SELECT id FROM \
                 delivery WHERE workspace_id = $1 ORDER BY id DESC LIMIT 50) AS late) \
                 ORDER BY id DESC LIMIT {SAMPLE}) t"
            ),
            vec![id.into()],
        ),
        ("stat_hour", Whose::Of(id)) => (
            format!("(SELECT * FROM stat_hour WHERE workspace_id = $1 LIMIT {SAMPLE}) t"),
            vec![id.into()],
        ),
        (_, Whose::Of(id)) => (
            format!(
                "(SELECT * FROM \"{table}\" WHERE workspace_id = $1 ORDER BY id DESC LIMIT {SAMPLE}) t"
            ),
            vec![id.into()],
        ),
    };
    let query =
        format!("SELECT CAST(COALESCE(AVG({length}), 0) AS DOUBLE PRECISION) AS mean FROM {of}");
    match sql::rows(db.read(), query, values).await?.first() {
        Some(row) => row.try_get("", "mean"),
        None => Ok(0.0),
    }
}

/// Rows of a table of SQLite, evenly from the first to the last that was written.
async fn spread(db: &Db, table: &str) -> Result<String, DbErr> {
    let query = format!(
        "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = '{table}' \
         AND sql LIKE '%WITHOUT ROWID%'"
    );
    if number(db, &query).await? > 0 {
        return Ok(format!("(SELECT * FROM \"{table}\" LIMIT {SAMPLE}) t"));
    }
    Ok(format!(
        "(WITH RECURSIVE step(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step \
         WHERE n < {SAMPLE}), ends(low, high) AS (SELECT (SELECT MIN(rowid) FROM \"{table}\"), \
         (SELECT MAX(rowid) FROM \"{table}\")) SELECT DISTINCT (SELECT rowid FROM \"{table}\" \
         WHERE rowid >= low + (high - low) * n / {SAMPLE} ORDER BY rowid LIMIT 1) AS place \
         FROM step, ends) p JOIN \"{table}\" t ON t.rowid = p.place"
    ))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "an estimate for people"
)]
fn whole(rows: i64, each: f64) -> i64 {
    (rows as f64 * each) as i64
}

/// Size of the files of PostgreSQL, and of what is in use: of the tables that grow as is known, of
/// the others all.
async fn postgres(db: &Db, known: i64) -> Result<(i64, i64), DbErr> {
    let all = number(
        db,
        "SELECT pg_database_size(current_database())::bigint AS n",
    )
    .await?;
    let others = number(
        db,
        &format!(
            "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint AS n FROM pg_class c \
             WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace \
             AND c.relname NOT IN ('{}')",
            TABLES.join("','")
        ),
    )
    .await?;
    Ok((all, (known + others).min(all)))
}

/// Size of a page, pages, free pages.
async fn pages(db: &Db) -> Result<(i64, i64, i64), DbErr> {
    let page = number(db, "SELECT page_size AS n FROM pragma_page_size").await?;
    let pages = number(db, "SELECT page_count AS n FROM pragma_page_count").await?;
    let free = number(db, "SELECT freelist_count AS n FROM pragma_freelist_count").await?;
    Ok((page, pages, free))
}

/// Gives some free pages back to the file system. Returns whether there are more. PostgreSQL does
/// this by itself, with its vacuum.
pub async fn give_back(db: &Db) -> Result<bool, DbErr> {
    if db.is_postgres() {
        return Ok(false);
    }
    let (_, _, free) = pages(db).await?;
    if free <= KEPT_PAGES {
        return Ok(false);
    }
    let step = STEP_PAGES.min(free - KEPT_PAGES);
    sql::execute(
        db.write(),
        format!("PRAGMA incremental_vacuum({step})"),
        Vec::new(),
    )
    .await?;
    Ok(free - step > KEPT_PAGES)
}

async fn oldest(db: &Db, table: &str, scope: Scope, whose: Whose) -> Result<Option<i64>, DbErr> {
    let of = vec![scope.workspace().into()];
    if table == "stat_hour" {
        let query = "SELECT hour FROM stat_hour WHERE workspace_id = $1 ORDER BY hour LIMIT 1";
        return match sql::rows(db.read(), query, of).await?.first() {
            Some(row) => Ok(Some(row.try_get("", "hour")?)),
            None => Ok(None),
        };
    }
    if table == "attempt" {
        if let Whose::Of(_) = whose {
            return Ok(None);
        }
        // There is no index by workspace; the oldest of all is close enough.
        let query = "SELECT id FROM attempt ORDER BY id LIMIT 1";
        return first_id(db, query, Vec::new()).await;
    }
    let query = format!("SELECT id FROM {table} WHERE workspace_id = $1 ORDER BY id LIMIT 1");
    first_id(db, &query, of).await
}

/// When the first row was made: its id says it.
async fn first_id(db: &Db, query: &str, values: Vec<sea_orm::Value>) -> Result<Option<i64>, DbErr> {
    let Some(row) = sql::rows(db.read(), query, values)
        .await?
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let id: Uuid = row.try_get("", "id")?;
    Ok(i64::try_from(id.as_u128() >> 80).ok())
}

async fn number(db: &Db, query: &str) -> Result<i64, DbErr> {
    match sql::rows(db.read(), query, Vec::new()).await?.first() {
        Some(row) => row.try_get("", "n"),
        None => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns that are counted; of all others the length is known.
    fn counted<E: EntityTrait>() -> Vec<&'static str> {
        let mut counted = Vec::new();
        for column in E::Column::iter() {
            match column.def().get_column_type() {
                ColumnType::Uuid
                | ColumnType::Boolean
                | ColumnType::Integer
                | ColumnType::BigInteger => {}
                other => {
                    let name = column.as_str();
                    assert!(is_of_any_length(other), "{name} is {other:?}");
                    counted.push(name);
                }
            }
        }
        counted
    }

    #[test]
    fn every_column_that_may_be_long_is_counted() {
        let events = counted::<event::Entity>();
        for name in ["query", "headers", "body", "envelope", "matched"] {
            assert!(events.contains(&name), "{name}");
        }
        assert!(counted::<delivery::Entity>().contains(&"fields"));
        assert_eq!(
            counted::<attempt::Entity>(),
            ["outcome", "error_code", "error", "exchanges"]
        );
        assert!(counted::<audit::Entity>().contains(&"before"));
        assert_eq!(
            octets::<attempt::Entity>().matches("OCTET_LENGTH").count(),
            4
        );
    }

    #[test]
    fn free_space_of_a_table_does_not_count() {
        // A thousand rows of a thousand bytes, in a table that once had ten times as many.
        let now = filled(1_000, 1_000.0, 11_000_000, 12_000_000);
        assert!((1_000_000..1_400_000).contains(&now), "{now}");
        // However the estimate errs, a table is not larger than it is.
        assert_eq!(filled(1_000, 1_000.0, 500_000, 600_000), 600_000);
        assert_eq!(filled(0, 0.0, 0, 0), 0);
    }
}
