//! A limit of the machine: one writer that inserts rows of an event's size, many in a commit, each
//! commit on disk before the next begins. No HTTP, no rules, no second table.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, Statement, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::latency::Latencies;
use super::store::Store;
use super::{alert, load};

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
    let made = back_to_back(&db, store, rows, time).await;
    db.close().await?;
    made
}

async fn back_to_back(
    db: &DatabaseConnection,
    store: &Store,
    rows: usize,
    time: Duration,
) -> anyhow::Result<Inserts> {
    let mut bare = Bare::make(db, store, rows).await?;
    let mut commits = Latencies::default();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let statement = bare.statement();
        let commit = Instant::now();
        db.execute_raw(statement).await?;
        commits.add(commit.elapsed());
    }
    Ok(Inserts {
        rate: (commits.len() * rows) as f64 / begun.elapsed().as_secs_f64(),
        commits,
    })
}

/// Commits of one row at a rate. A disk that rests between two is slower than one that does not.
pub struct Paced {
    db: DatabaseConnection,
    bare: Bare,
}

impl Paced {
    /// With a table of its own.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn make(store: &Store, file: &Path) -> anyhow::Result<Self> {
        let db = store.open(file).await?;
        let bare = Bare::make(&db, store, 1).await?;
        Ok(Self { db, bare })
    }

    /// Commits so often in a second for `time`. Times count from the moment a commit was due.
    ///
    /// # Errors
    /// The database refuses, or cannot keep up.
    pub async fn measure(&mut self, rate: u32, time: Duration) -> anyhow::Result<Latencies> {
        let mut commits = Latencies::default();
        let (due, mut queue) = mpsc::channel(load::DUE);
        let pace = std::thread::spawn(move || load::pace(&due, rate, time));
        while let Some(at) = queue.recv().await {
            self.db.execute_raw(self.bare.statement()).await?;
            commits.add(at.elapsed());
        }
        let late = pace.join().unwrap_or(u64::MAX);
        anyhow::ensure!(late == 0, "{late} commits were not begun in time");
        Ok(commits)
    }

    /// Ends it.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.db.close().await?)
    }
}

/// The table, and what is put into it.
struct Bare {
    backend: DatabaseBackend,
    sql: String,
    rows: usize,
    source: Uuid,
    body: Vec<u8>,
    ids: Ids,
}

impl Bare {
    async fn make(db: &DatabaseConnection, store: &Store, rows: usize) -> anyhow::Result<Self> {
        make_table(db, store).await?;
        Ok(Self {
            backend: db.get_database_backend(),
            sql: statement_of(rows),
            rows,
            source: Uuid::from_u128(rand::random()),
            body: vec![b'x'; alert::SIZE],
            ids: Ids::new(),
        })
    }

    fn statement(&mut self) -> Statement {
        let mut values: Vec<Value> = Vec::with_capacity(self.rows * 4);
        for _ in 0..self.rows {
            let (id, number) = self.ids.next();
            let body = self.body.clone();
            values.extend([id.into(), self.source.into(), number.into(), body.into()]);
        }
        Statement::from_sql_and_values(self.backend, &self.sql, values)
    }
}

async fn make_table(db: &DatabaseConnection, store: &Store) -> anyhow::Result<()> {
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
    Ok(())
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
