use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement, Value};

use super::Writer;
use crate::db::sqlite_options;
use crate::journal::sql;

async fn writer(folder: &tempfile::TempDir) -> Writer {
    let options = sqlite_options(&folder.path().join("test.db"));
    let writer = Writer::sqlite(options).await.unwrap();
    let table = "CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT NOT NULL)";
    writer.execute_unprepared(table).await.unwrap();
    writer
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
async fn what_was_deferred_is_there_for_what_follows_and_after_the_commit() {
    let folder = tempfile::TempDir::new().unwrap();
    let writer = writer(&folder).await;
    let txn = writer.begin().await.unwrap();
    txn.defer(insert(1)).await.unwrap();
    txn.defer(insert(2)).await.unwrap();
    // Numbered marks count from the begin of their own values.
    let numbered = "UPDATE t SET text = $2 WHERE n = $1";
    txn.defer(statement(numbered, vec![2.into(), "y".into()]))
        .await
        .unwrap();
    txn.defer(insert(3)).await.unwrap();
    let query = "SELECT n FROM t WHERE text = ? ORDER BY n";
    let rows = sql::rows(&txn, query, vec!["x".into()]).await.unwrap();
    let found: Vec<i64> = rows
        .iter()
        .map(|row| row.try_get("", "n").unwrap())
        .collect();
    assert_eq!(found, [1, 3]);
    let changed = sql::execute(&txn, "DELETE FROM t WHERE n > $1", vec![1.into()]);
    assert_eq!(changed.await.unwrap(), 2, "of the last statement alone");
    txn.defer(insert(4)).await.unwrap();
    txn.commit().await.unwrap();
    assert_eq!(count(&writer).await, 2);
}

#[tokio::test]
async fn a_dropped_or_failed_transaction_leaves_nothing_and_the_next_one_works() {
    let folder = tempfile::TempDir::new().unwrap();
    let writer = writer(&folder).await;
    let dropped = writer.begin().await.unwrap();
    dropped.execute_raw(insert(1)).await.unwrap();
    drop(dropped);
    assert_eq!(count(&writer).await, 0);

    let failed = writer.begin().await.unwrap();
    failed.defer(insert(1)).await.unwrap();
    failed.defer(insert(1)).await.unwrap();
    failed.commit().await.unwrap_err();
    assert_eq!(
        count(&writer).await,
        0,
        "a deferred statement fails with the commit"
    );

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
    let writer = writer(&folder).await;
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
