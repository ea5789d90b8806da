//! How much there is, and giving space back.

use openapi::retention::{StorageSizes, TableSize};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::clock::from_ms;
use crate::db::Db;
use crate::journal::sql;
use crate::scope::Scope;

/// Free pages that stay in the file for what comes next: 2 MiB of pages of 4 KiB.
const KEPT_PAGES: i64 = 512;
/// Pages of one step of giving back.
const STEP_PAGES: i64 = 256;
/// Rows that are looked at for the mean size of a row.
const SAMPLE: i64 = 200;
/// Rows up to which a table of PostgreSQL is counted.
const COUNTED: i64 = 200_000;
/// What a row takes beyond its long columns, with its indexes.
const ROW: f64 = 400.0;

/// The tables that grow, and the long columns of each.
const TABLES: &[(&str, &[&str])] = &[
    ("event", &["headers", "matched", "title"]),
    ("delivery", &["fields", "rule_name"]),
    ("attempt", &["exchanges"]),
    ("refusal", &[]),
    ("audit", &["before", "after"]),
    ("job", &["params"]),
    ("stat_hour", &[]),
];

/// Whose rows are looked at.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// Everybody's.
    All,
    /// Those of a workspace.
    Of(Uuid),
}

impl Whose {
    /// The condition, with its value.
    fn rows(self) -> (&'static str, Vec<sea_orm::Value>) {
        match self {
            Self::All => ("", Vec::new()),
            Self::Of(id) => ("WHERE workspace_id = $1", vec![id.into()]),
        }
    }
}

/// Sizes of the database and of its tables, all workspaces together: for whoever runs the server.
pub async fn sizes(db: &Db, scope: Scope) -> Result<StorageSizes, DbErr> {
    let tables = tables(db, scope, Whose::All).await?;
    let estimate = tables.iter().map(|t| t.bytes).sum();
    let (bytes, used_bytes) = database(db, estimate).await?;
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
    for (table, columns) in TABLES {
        let (rows, bytes) = table_size(db, table, columns, whose).await?;
        tables.push(TableSize {
            table: (*table).to_owned(),
            rows,
            bytes,
            oldest_at: oldest(db, table, scope, whose).await?.map(from_ms),
        });
    }
    Ok(tables)
}

/// Bytes in use: exact on SQLite, estimated on PostgreSQL, whose files keep the space of deleted
/// rows.
pub async fn used(db: &Db) -> Result<i64, DbErr> {
    let mut estimate = 0;
    if db.is_postgres() {
        for (table, columns) in TABLES {
            estimate += table_size(db, table, columns, Whose::All).await?.1;
        }
    }
    Ok(database(db, estimate).await?.1)
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

async fn table_size(
    db: &Db,
    table: &str,
    columns: &[&str],
    whose: Whose,
) -> Result<(i64, i64), DbErr> {
    let rows = match whose {
        Whose::All => rows(db, table).await?,
        Whose::Of(workspace) => own_rows(db, table, workspace).await?,
    };
    let mut length = columns
        .iter()
        .map(|column| format!("LENGTH(\"{column}\")"))
        .collect::<Vec<_>>();
    if table == "event" {
        length.push(if db.is_postgres() {
            "OCTET_LENGTH(body)".to_owned()
        } else {
            "LENGTH(body)".to_owned()
        });
    }
    if length.is_empty() {
        return Ok((rows, whole(rows, ROW / 2.0)));
    }
    let length = length.join(" + ");
    let as_float = "CAST(COALESCE(AVG(n), 0) AS DOUBLE PRECISION)";
    let (of, values) = match (table, whose) {
        // There is no index by workspace.
        ("attempt", Whose::Of(id)) => (
            "WHERE delivery_id IN (SELECT id FROM (SELECT id FROM delivery WHERE workspace_id = $1 \
             ORDER BY id DESC LIMIT 50) AS late)",
            vec![id.into()],
        ),
        _ => whose.rows(),
    };
    let query = format!(
        "SELECT {as_float} AS mean FROM (SELECT {length} AS n FROM \"{table}\" {of} ORDER BY id DESC LIMIT {SAMPLE}) s"
    );
    let mean: f64 = match sql::rows(db.read(), query, values).await?.first() {
        Some(row) => row.try_get("", "mean")?,
        None => 0.0,
    };
    Ok((rows, whole(rows, mean + ROW)))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "an estimate for people"
)]
fn whole(rows: i64, each: f64) -> i64 {
    (rows as f64 * each) as i64
}

/// Size of the files, and of what is in use.
async fn database(db: &Db, estimate: i64) -> Result<(i64, i64), DbErr> {
    if db.is_postgres() {
        let all = number(
            db,
            "SELECT pg_database_size(current_database())::bigint AS n",
        )
        .await?;
        return Ok((all, estimate.min(all)));
    }
    let (page, pages, free) = pages(db).await?;
    Ok((page * pages, page * (pages - free)))
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
