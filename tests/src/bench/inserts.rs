//! A limit of the machine: one writer that inserts rows of an event's size, many in a commit, each
//! commit on disk before the next begins. No HTTP, no rules, no second table.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, Value};
use uuid::Uuid;

use super::alert;
use super::latency::Latencies;
use super::store::Store;

/// What came of it.
#[derive(Debug)]
pub struct Inserts {
    /// Rows per second.
    pub rate: f64,
    /// The time of each commit.
    pub commits: Latencies,
}

/// Inserts `rows` rows a commit for `time`, into a table of its own.
///
/// # Errors
/// The database refuses.
pub async fn measure(
    store: &Store,
    file: &Path,
    rows: usize,
    time: Duration,
) -> anyhow::Result<Inserts> {
    let db = store.open(file).await?;
    let made = run(&db, store, rows, time).await;
    db.close().await?;
    made
}

async fn run(
    db: &DatabaseConnection,
    store: &Store,
    rows: usize,
    time: Duration,
) -> anyhow::Result<Inserts> {
    let (uuid, bytes) = match store {
        Store::Sqlite => ("uuid_text", "blob"),
        Store::Postgres { .. } => ("uuid", "bytea"),
    };
    db.execute_unprepared("DROP TABLE IF EXISTS bare").await?;
    db.execute_unprepared(&format!(
        "CREATE TABLE bare (id {uuid} PRIMARY KEY NOT NULL, source_id {uuid} NOT NULL, \
         received_at bigint NOT NULL, body {bytes} NOT NULL)"
    ))
    .await?;
    db.execute_unprepared("CREATE INDEX bare_source ON bare (source_id, received_at)")
        .await?;
    let sql = statement_of(rows);
    let source = Uuid::from_u128(rand::random());
    let body = vec![b'x'; alert::SIZE];
    let mut ids = Ids::new();
    let mut commits = Latencies::default();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let mut values: Vec<Value> = Vec::with_capacity(rows * 4);
        for _ in 0..rows {
            let (id, number) = ids.next();
            values.extend([id.into(), source.into(), number.into(), body.clone().into()]);
        }
        let statement = Statement::from_sql_and_values(db.get_database_backend(), &sql, values);
        let commit = Instant::now();
        db.execute_raw(statement).await?;
        commits.add(commit.elapsed());
    }
    Ok(Inserts {
        rate: (commits.len() * rows) as f64 / begun.elapsed().as_secs_f64(),
        commits,
    })
}

fn statement_of(rows: usize) -> String {
    let mut sql = "INSERT INTO bare (id, source_id, received_at, body) VALUES ".to_owned();
    for row in 0..rows {
        let n = row * 4;
        if row > 0 {
            sql.push_str(", ");
        }
        sql.push_str(&format!("(${}, ${}, ${}, ${})", n + 1, n + 2, n + 3, n + 4));
    }
    sql
}

/// Growing ids, as those of events are.
struct Ids {
    last: i64,
}

impl Ids {
    fn new() -> Self {
        Self { last: 0 }
    }

    fn next(&mut self) -> (Uuid, i64) {
        self.last += 1;
        let random: [u8; 10] = rand::random();
        let number = u64::try_from(self.last).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(number, &random).into_uuid();
        (id, self.last)
    }
}
