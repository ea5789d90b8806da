//! The process: stopping, starting twice, the schema of its database.

use std::time::Duration;

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;
use tests::database::Store;
use tests::fakes::FakeSink;
use tests::server::both as output;
use tests::yaml::{File, copy_to};
use tests::{Database, Server, both, wait_until};

both! {
    async fn a_gentle_stop_ends_what_is_in_flight(db) {
        let sink = FakeSink::start().await.unwrap();
        sink.latency(Duration::from_millis(700));
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url).source("a").rule("r", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        for n in 0..5 {
            server.anonymous().hook("a", &json!({ "n": n })).await;
        }
        wait_until("all calls are under way", async || (sink.counts().requests == 5).then_some(())).await;
        let status = server.terminate().await;
        assert!(status.success(), "{status}");
        let count = async |of: &str| server.store.number(&format!("SELECT COUNT(*) FROM delivery WHERE {of}")).await;
        assert_eq!(count("state = 'delivered'").await, 5, "what was under way was written");
        assert_eq!(count("lease_owner IS NOT NULL AND state = 'leased'").await, 0);
        assert_eq!(sink.counts().taken, 5, "and nothing was sent twice");
        server.resume().await;
        server.anonymous().hook("a", &json!({ "n": 5 })).await;
        crate::support::drained(&server).await;
        assert_eq!(sink.counts().ids, 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_file_refuses_to_start() {
    let server = Server::start(Database::Sqlite).await;
    let second = server.cli(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(second.status.code(), Some(1), "{}", output(&second));
    assert!(
        output(&second).contains("another Signalbox server"),
        "{}",
        output(&second)
    );
    server.anonymous().get("/readyz").await.done();
    let third = server.cli(&["bootstrap", "--json"]).await;
    assert_eq!(third.status.code(), Some(1), "{}", output(&third));
    assert!(third.stdout.is_empty(), "nothing is shown twice");
}

both! {
    async fn migrations_go_up_down_and_up_again(db) {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::make(db, folder.path()).await;
        if db == Database::Sqlite {
            std::fs::File::create(folder.path().join("signalbox.db")).unwrap();
        }
        let connection = store.connect().await;
        Migrator::up(&connection, None).await.unwrap();
        let first = schema(&store).await;
        assert!(first.len() > 40, "{first:#?}");
        // One by one, so that each can be undone.
        for _ in Migrator::migrations() {
            Migrator::down(&connection, Some(1)).await.unwrap();
        }
        let bare: Vec<String> = schema(&store).await.into_iter().filter(|line| !line.contains("seaql_migrations")).collect();
        assert!(bare.is_empty(), "left behind: {bare:#?}");
        Migrator::up(&connection, None).await.unwrap();
        same(&first, &schema(&store).await);
        connection.close().await.unwrap();
    }
}

/// Two schemas are one.
pub(crate) fn same(first: &[String], second: &[String]) {
    let lost: Vec<_> = first.iter().filter(|line| !second.contains(line)).collect();
    let new: Vec<_> = second.iter().filter(|line| !first.contains(line)).collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "lost {lost:#?}, new {new:#?}"
    );
}

/// Every table, column, index and constraint, one line each.
pub(crate) async fn schema(store: &Store) -> Vec<String> {
    let queries: &[&str] = match store {
        Store::Sqlite(_) => &[
            "SELECT name || ': ' || COALESCE(sql, '') FROM sqlite_master ORDER BY name",
            "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || COALESCE(c.dflt_value, '') \
             FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1",
        ],
        Store::Postgres { .. } | Store::Elsewhere { .. } => &[
            "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '') \
             FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1",
            "SELECT indexname || ': ' || indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
            "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE connamespace = 'public'::regnamespace ORDER BY 1",
        ],
    };
    let db = store.connect().await;
    let mut lines = Vec::new();
    for query in queries {
        let statement = Statement::from_string(db.get_database_backend(), *query);
        for row in db.query_all_raw(statement).await.unwrap() {
            lines.push(row.try_get_by_index::<String>(0).unwrap());
        }
    }
    db.close().await.unwrap();
    lines
}
