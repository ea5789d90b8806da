//! A database of the version before this one: it is brought up to date, everything is there, and what
//! waited goes on. While the update rolls over the nodes, the old version still writes.
//!
//! `tests/fixtures/previous/` holds what the old version left behind when it was killed; its README
//! says how it was made.

use std::path::PathBuf;

use migration::{Migrator, MigratorTrait as _};
use openapi::deliveries::State;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tests::database::Store;
use tests::fakes::FakeSink;
use tests::server::Credentials;
use tests::{Database, Options, Server, both, wait_until};

use crate::support::{all, delivered, event, in_state};

/// Where the old version's connections pointed to.
const OLD_SINK: &str = "http://127.0.0.1:9";

/// Tables of the old version that hold rows, each with how many there were.
const TABLES: &[&str] = &[
    "workspace",
    "user",
    "member",
    "credential",
    "sealed_secret",
    "source",
    "connection",
    "rule",
    "event",
    "refusal",
    "delivery",
    "attempt",
    "link",
    "stat_hour",
    "sandbox_record",
];

fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/previous");
    let path = PathBuf::from(folder).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn name(db: Database, of: &str) -> String {
    match db {
        Database::Sqlite => format!("sqlite.{of}"),
        Database::Postgres => format!("postgres.{of}"),
    }
}

fn dump(db: Database) -> String {
    fixture(&name(db, "sql"))
}

struct Old {
    store: Store,
    folder: tempfile::TempDir,
    credentials: Credentials,
}

/// The old database, as the killed server left it.
async fn old(db: Database) -> Old {
    let folder = tempfile::TempDir::new().unwrap();
    if db == Database::Sqlite {
        std::fs::File::create(folder.path().join("signalbox.db")).unwrap();
    }
    let store = Store::make(db, folder.path()).await;
    store.run(&dump(db)).await;
    std::fs::write(
        folder.path().join("keys.json"),
        fixture(&name(db, "keys.json")),
    )
    .unwrap();
    Old {
        store,
        folder,
        credentials: serde_json::from_str(&fixture(&name(db, "credentials.json"))).unwrap(),
    }
}

async fn counts(store: &Store) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in TABLES {
        let query = format!("SELECT COUNT(*) FROM \"{table}\"");
        counts.push((*table, store.number(&query).await));
    }
    counts
}

async fn ids(store: &Store, state: &str) -> Vec<uuid::Uuid> {
    let db = store.connect().await;
    let query = format!("SELECT id FROM delivery WHERE state = '{state}' ORDER BY id");
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), query))
        .await
        .unwrap();
    db.close().await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", "id").unwrap())
        .collect()
}

both! {
    async fn a_database_of_the_version_before_goes_on(db) {
        let sink = FakeSink::start().await.unwrap();
        let old = old(db).await;
        let before = counts(&old.store).await;
        assert!(before.iter().all(|(_, rows)| *rows > 0), "{before:?}");
        let (ready, leased, retrying) = (
            ids(&old.store, "ready").await,
            ids(&old.store, "leased").await,
            ids(&old.store, "retrying").await,
        );
        let (held, paused, dead) = (
            ids(&old.store, "held").await,
            ids(&old.store, "paused").await,
            ids(&old.store, "dead").await,
        );
        for (state, found) in [("ready", &ready), ("leased", &leased), ("retrying", &retrying),
            ("held", &held), ("paused", &paused), ("dead", &dead)] {
            assert!(!found.is_empty(), "the old database has none that is {state}");
        }
        let move_to = format!("UPDATE connection SET settings = replace(settings, '{OLD_SINK}', '{}')", sink.url);
        old.store.run(&move_to).await;

        let options = Options::default().set("lease_seconds", 3);
        let server = Server::of(old.store, old.folder, old.credentials, options);
        server.resume().await;
        let client = server.client();
        // What waited goes on, what was under way is repeated or looked up.
        for id in retrying.iter().chain(&leased) {
            in_state(&client, *id, State::Delivered).await;
        }
        // Nothing is gone.
        for ((table, rows), (_, now)) in before.iter().zip(counts(&server.store).await) {
            assert!(now >= *rows, "{table}: {rows}, then {now}");
        }
        // People and keys are who they were, and sealed secrets open.
        server.session().await.get("/api/v1/session").await;
        let sealed: Vec<Value> = all(&client, "/api/v1/sources").await;
        assert!(!sealed.is_empty());
        let signed = server.anonymous().call(reqwest::Method::POST, "/hooks/sealed")
            .header("authorization", "Bearer the-old-secret")
            .json(&json!({ "kind": "new", "n": 1 }));
        let accepted: openapi::sources::Accepted = signed.send().await.ok();
        let new = delivered(&client, accepted.event_ids[0]).await;
        let seen = sink.seen();
        let arrived = &seen[&new.message_id];
        assert!(arrived.headers.iter().any(|(name, _)| name == "webhook-signature"), "{arrived:?}");
        // What waits for a person, or for a connection, still does, and can be taken up.
        for id in &held {
            let shown = in_state(&client, *id, State::Held).await;
            assert_eq!(shown.id, *id);
        }
        let released = client.post(&format!("/api/v1/deliveries/{}/release", held[0]), &json!({})).await;
        released.done();
        in_state(&client, held[0], State::Delivered).await;
        let connections: Vec<Value> = all(&client, "/api/v1/connections").await;
        let by_name = |name: &str| connections.iter().find(|c| c["name"] == name).unwrap().clone();
        let tested = client.post(&format!("/api/v1/connections/{}/test", by_name("refusing")["id"].as_str().unwrap()), &json!({})).await;
        tested.done();
        for id in &paused {
            in_state(&client, *id, State::Delivered).await;
        }
        let off = by_name("off");
        let path = format!("/api/v1/connections/{}", off["id"].as_str().unwrap());
        client.patch(&path, off["revision"].as_i64().unwrap(), &json!({ "enabled": true })).await.done();
        for id in &ready {
            in_state(&client, *id, State::Delivered).await;
        }
        // An old event still has its trace and its bytes.
        let page: Vec<Value> = all(&client, "/api/v1/events").await;
        let oldest: uuid::Uuid = page.last().unwrap()["id"].as_str().unwrap().parse().unwrap();
        assert!(!event(&client, oldest).await.deliveries.is_empty());
        // created = final + open.
        let count = async |of: &str| server.store.number(&format!("SELECT COUNT(*) FROM delivery WHERE {of}")).await;
        assert_eq!(
            count("TRUE").await,
            count("finished_at IS NOT NULL").await + server.store.number(crate::support::OPEN).await
        );
        assert_eq!(count("state = 'leased'").await, 0);
    }

    async fn the_version_before_still_writes_into_the_new_schema(db) {
        let old = old(db).await;
        let connection = old.store.connect().await;
        Migrator::up(&connection, None).await.unwrap();
        // Its statements name the columns that it knows.
        let text = dump(db);
        let inserts: Vec<&str> = statements(&text).filter(|s| s.starts_with("INSERT INTO")).collect();
        let mut written = 0;
        for table in TABLES {
            connection.execute_unprepared(&format!("DELETE FROM \"{table}\"")).await.unwrap();
            for statement in &inserts {
                let rest = statement.trim_start_matches("INSERT INTO ").trim_start_matches("public.");
                let name = rest.split(['(', ' ']).next().unwrap().trim_matches('"');
                if name == *table {
                    let done = connection.execute_unprepared(statement).await;
                    assert!(done.is_ok(), "{statement}: {done:?}");
                    written += 1;
                }
            }
        }
        assert!(written > TABLES.len());
        connection.close().await.unwrap();
        // And the new version reads what it wrote.
        let server = Server::of(old.store, old.folder, old.credentials, Options::default());
        server.resume().await;
        server.client().get("/api/v1/deliveries").await.done();
        wait_until("it is ready", async || {
            let answer = server.anonymous().get("/readyz").await;
            answer.status.is_success().then_some(())
        })
        .await;
    }
}

/// The statements of a dump: each ends with a semicolon at the end of a line.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split(";\n").map(|statement| {
        let lines = statement.trim_start();
        // Comments before it.
        let mut rest = lines;
        while rest.starts_with("--") {
            rest = rest
                .split_once('\n')
                .map_or("", |(_, rest)| rest.trim_start());
        }
        rest
    })
}
