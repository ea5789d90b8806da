use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement, TransactionTrait as _, Value};

use super::checkpoint::ENOUGH;
use super::{Bound, Direct, Writer};
use crate::db::away::{is_away, is_full};
use crate::db::{Db, Location, Sql as _, sqlite_options};
use crate::journal::sql;

async fn writer(folder: &tempfile::TempDir) -> (Writer, Direct) {
    let options = sqlite_options(&folder.path().join("test.db"));
    let (writer, direct) = Writer::sqlite(options).await.unwrap();
    let table = "CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT NOT NULL)";
    writer.execute_unprepared(table).await.unwrap();
    (writer, direct)
}

fn statement(text: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

fn insert(n: i64) -> Statement {
    statement(
        "INSERT INTO t (n, text) VALUES (?, ?)",
        vec![n.into(), "x".into()],
    )
}

async fn count(writer: &Writer) -> i64 {
    let rows = sql::rows(writer, "SELECT COUNT(*) AS count FROM t", Vec::new());
    rows.await.unwrap()[0].try_get("", "count").unwrap()
}

#[tokio::test]
async fn marks_with_numbers_and_without_mean_the_same_on_both_ways() {
    let folder = tempfile::TempDir::new().unwrap();
    let (writer, direct) = writer(&folder).await;
    let txn = direct.begin().await.unwrap();
    txn.each(
        "INSERT INTO t (n, text) VALUES (?, ?)",
        (1..=3_i64).map(|n| [n.into(), "x".into()].into_iter().map(Bound::<Value>)),
    )
    .unwrap();
    let numbered = "UPDATE t SET text = $2 WHERE n = $1";
    let changed = txn.run(statement(numbered, vec![2_i64.into(), "y".into()]));
    assert_eq!(changed.await.unwrap(), 1);
    let query = statement(
        "SELECT n, text FROM t WHERE text = ? ORDER BY n",
        vec!["x".into()],
    );
    let rows = txn.fetch(query).await.unwrap();
    let found: Vec<(i64, String)> = rows
        .iter()
        .map(|row| (row.get("n").unwrap(), row.get("text").unwrap()))
        .collect();
    assert_eq!(found, [(1, "x".to_owned()), (3, "x".to_owned())]);
    assert!(rows[0].get::<i64>("text").is_err(), "it is no number");
    assert!(rows[0].get::<i64>("other").is_err(), "there is none");
    txn.commit().unwrap();

    let txn = writer.begin().await.unwrap();
    let changed = sql::execute(&txn, numbered, vec![3.into(), "z".into()]);
    assert_eq!(changed.await.unwrap(), 1);
    txn.commit().await.unwrap();
    let rows = sql::fetch(&writer, "SELECT text FROM t WHERE n = 3", Vec::new());
    let text: String = rows.await.unwrap()[0].get("text").unwrap();
    assert_eq!(text, "z");
}

#[tokio::test]
async fn the_journals_way_waits_in_the_same_line_and_leaves_nothing_half_done() {
    let folder = tempfile::TempDir::new().unwrap();
    let (writer, direct) = writer(&folder).await;
    let dropped = direct.begin().await.unwrap();
    dropped.run(insert(1)).await.unwrap();
    let other = writer.clone();
    let mut waits = tokio::spawn(async move { other.execute_raw(insert(2)).await });
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waits).await;
    assert!(early.is_err(), "it waits in line");
    drop(dropped);
    waits.await.unwrap().unwrap();

    let failed = direct.begin().await.unwrap();
    failed.run(insert(3)).await.unwrap();
    let error = failed.run(insert(3)).await.unwrap_err();
    assert!(error.to_string().contains("UNIQUE"), "{error}");
    assert!(!is_away(&error), "the statement is wrong, not the database");
    drop(failed);

    // SQLite ends this one by itself.
    let ended = direct.begin().await.unwrap();
    let query = "INSERT OR ROLLBACK INTO t (n, text) VALUES (1, 'x'), (1, 'x')";
    ended.run(statement(query, Vec::new())).await.unwrap_err();
    ended.commit().unwrap_err();

    let held = writer.begin().await.unwrap();
    held.execute_raw(insert(4)).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), direct.begin()).await;
    assert!(waiting.is_err(), "so does the journal");
    held.rollback().await.unwrap();
    direct.begin().await.unwrap().commit().unwrap();
    assert_eq!(count(&writer).await, 1);
}

#[tokio::test]
async fn what_the_file_refuses_is_told_from_a_wrong_statement() {
    let folder = tempfile::TempDir::new().unwrap();
    let (writer, direct) = writer(&folder).await;
    let txn = direct.begin().await.unwrap();
    // A limit that the file has reached, as a disk would.
    txn.fetch(statement("PRAGMA max_page_count = 1", Vec::new()))
        .await
        .unwrap();
    let long = "x".repeat(100_000);
    let insert = "INSERT INTO t (n, text) VALUES (?, ?)";
    let error = txn
        .run(statement(insert, vec![1_i64.into(), long.into()]))
        .await
        .unwrap_err();
    assert!(is_away(&error) && is_full(&error), "{error}");
    drop(txn);
    let nowhere = Direct::new(&folder.path().join("nowhere.db"), line_of(&writer));
    let error = nowhere.begin().await.unwrap_err();
    assert!(is_away(&error), "{error}");
}

fn line_of(writer: &Writer) -> super::sqlite::Writer {
    match &writer.0 {
        super::Way::Sqlite(writer) => writer.clone(),
        super::Way::Postgres(_) => unreachable!("it is SQLite"),
    }
}

#[tokio::test]
async fn a_dropped_or_failed_transaction_leaves_nothing_and_the_next_one_works() {
    let folder = tempfile::TempDir::new().unwrap();
    let (writer, _direct) = writer(&folder).await;
    let dropped = writer.begin().await.unwrap();
    dropped.execute_raw(insert(1)).await.unwrap();
    drop(dropped);
    assert_eq!(count(&writer).await, 0);

    let failed = writer.begin().await.unwrap();
    failed.execute_raw(insert(1)).await.unwrap();
    failed.execute_raw(insert(1)).await.unwrap_err();
    drop(failed);
    assert_eq!(count(&writer).await, 0);

    let undone = writer.begin().await.unwrap();
    undone.execute_raw(insert(1)).await.unwrap();
    undone.rollback().await.unwrap();
    // SQLite ends this one by itself.
    let ended = writer.begin().await.unwrap();
    let query = "INSERT OR ROLLBACK INTO t (n, text) VALUES (1, 'x'), (1, 'x')";
    ended
        .execute_raw(statement(query, Vec::new()))
        .await
        .unwrap_err();
    drop(ended);
    writer.begin().await.unwrap().commit().await.unwrap();
    writer.execute_raw(insert(2)).await.unwrap();
    assert_eq!(count(&writer).await, 1);
}

#[tokio::test]
async fn nobody_writes_into_a_transaction_of_another() {
    let folder = tempfile::TempDir::new().unwrap();
    let (writer, _direct) = writer(&folder).await;
    let txn = writer.begin().await.unwrap();
    txn.execute_raw(insert(1)).await.unwrap();
    let other = writer.clone();
    let mut waits = tokio::spawn(async move { other.execute_raw(insert(2)).await });
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waits).await;
    assert!(early.is_err(), "it waits in line");
    drop(txn);
    waits.await.unwrap().unwrap();
    let rows = sql::rows(&writer, "SELECT n FROM t", Vec::new())
        .await
        .unwrap();
    let found: Vec<i64> = rows
        .iter()
        .map(|row| row.try_get("", "n").unwrap())
        .collect();
    assert_eq!(found, [2]);
}

/// Writes somewhat more than so many pages.
async fn fill(writer: &Writer, pages: i64) {
    let txn = writer.begin().await.unwrap();
    let text = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1) \
                INSERT INTO t (text) SELECT hex(zeroblob(2000)) FROM n";
    txn.execute_raw(statement(text, vec![pages.into()]))
        .await
        .unwrap();
    txn.commit().await.unwrap();
}

#[tokio::test]
async fn the_wal_is_moved_on_beside_those_who_write_and_begins_anew() {
    let folder = tempfile::TempDir::new().unwrap();
    let (writer, _direct) = writer(&folder).await;
    let path = folder.path().join("test.db");
    let stop = tokio_util::sync::CancellationToken::new();
    let keeper = tokio::spawn(writer.checkpoints(&path).unwrap().keep(stop.clone()));
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    let mut longest = 0;
    for round in 1..=4 {
        fill(&writer, ENOUGH + 100).await;
        longest = longest.max(size("test.db-wal"));
        // All of it is in the file, page by page.
        let all = u64::try_from(round * ENOUGH * 4096).unwrap();
        tokio::time::timeout(Duration::from_secs(60), async {
            while size("test.db") < all {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the WAL is moved on");
        // Whoever moves it has its turn no longer.
        writer.begin().await.unwrap().rollback().await.unwrap();
    }
    let pages = longest / 4096;
    // One that wrote just then puts a new beginning off to the next round.
    assert!(
        pages < 3 * u64::try_from(ENOUGH).unwrap(),
        "one or two rounds, not four: {pages}"
    );
    stop.cancel();
    keeper.await.unwrap();
}

/// A new connection that reads needs nothing from those who write.
#[tokio::test]
async fn readers_come_while_somebody_writes() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = Location::Sqlite(folder.path().join("test.db"));
    let readers = 4;
    let db = Db::open(&file, readers).await.unwrap();
    let table = "CREATE TABLE t (n INTEGER PRIMARY KEY)";
    db.write().execute_unprepared(table).await.unwrap();
    let writes = db.begin().await.unwrap();
    let insert = "INSERT INTO t (n) VALUES (1)";
    writes.execute_unprepared(insert).await.unwrap();
    let mut reads = Vec::new();
    for _ in 0..readers {
        // Less than anybody waits for the lock of the file.
        let read = tokio::time::timeout(super::sqlite::PATIENCE / 2, db.read().begin());
        reads.push(read.await.expect("nobody waits").unwrap());
    }
    writes.commit().await.unwrap();
}
