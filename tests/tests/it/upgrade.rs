//! A database of the version before this one: it is brought up to date, everything is there, and what
//! waited goes on. While the update rolls over the nodes, the old version still writes.
//!
//! `tests/fixtures/previous/` holds what the old version left behind when it was killed; its README
//! says how it was made.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use migration::{Migrator, MigratorTrait as _};
use openapi::deliveries::{Delivery, State};
use sea_orm::{ConnectionTrait as _, IsolationLevel, Statement, TransactionTrait as _};
use serde_json::{Value, json};
use tests::database::Store;
use tests::fakes::{FakeSink, Fault};
use tests::server::{Credentials, both as both_streams};
use tests::yaml::{File, copy_to, quick};
use tests::{Database, Options, Server, both, wait_until};

use crate::process::{same, schema};
use crate::support::{all, delivered, drained, event, in_state};

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

    async fn a_migration_that_broke_off_is_finished(db) {
        let folder = tempfile::TempDir::new().unwrap();
        if db == Database::Sqlite {
            std::fs::File::create(folder.path().join("signalbox.db")).unwrap();
        }
        let store = Store::make(db, folder.path()).await;
        let connection = store.connect().await;
        Migrator::up(&connection, None).await.unwrap();
        let whole = schema(&store).await;
        let alone: Vec<String> = Migrator::migrations()
            .iter()
            .filter(|m| m.use_transaction() == Some(false))
            .map(|m| m.name().to_owned())
            .collect();
        assert!(!alone.is_empty());
        // All of it is done but the note of it, and some of it is not.
        let names = alone.join("', '");
        store.run(&format!("DELETE FROM seaql_migrations WHERE version IN ('{names}')")).await;
        for statement in [
            "DROP INDEX delivery_lane_parked",
            "DROP INDEX audit_at",
            "DROP INDEX audit_seq",
            "ALTER TABLE audit DROP COLUMN request_id",
            "ALTER TABLE source DROP COLUMN split",
            "DROP TABLE source_silence",
        ] {
            store.run(statement).await;
        }
        if db == Database::Postgres {
            // What is left of an index that could not be built.
            store.run(
                "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'delivery_dead_list'::regclass",
            )
            .await;
        }
        Migrator::up(&connection, None).await.unwrap();
        connection.close().await.unwrap();
        let (mut whole, mut now) = (whole, schema(&store).await);
        if db == Database::Sqlite {
            // A column that was added again is the last one of its table.
            for lines in [&mut whole, &mut now] {
                lines.retain(|line| !line.starts_with("audit:") && !line.starts_with("source:"));
            }
        }
        same(&whole, &now);
        if db == Database::Postgres {
            let invalid = "SELECT COUNT(*) FROM pg_index WHERE NOT indisvalid";
            assert_eq!(store.number(invalid).await, 0);
        }
    }

    async fn what_the_version_before_left_behind_survives_the_way_back(db) {
        let old = old(db).await;
        let (before, shape) = (counts(&old.store).await, schema(&old.store).await);
        let connection = old.store.connect().await;
        let done = Migrator::get_applied_migrations(&connection).await.unwrap().len();
        Migrator::up(&connection, None).await.unwrap();
        assert_ne!(schema(&old.store).await, shape);
        let more = Migrator::migrations().len() - done;
        let back = Server::of(old.store, old.folder, old.credentials, Options::default());
        let undone = back.cli(&["migrate", "down", &more.to_string()]).await;
        assert!(undone.status.success(), "{}", both_streams(&undone));
        assert_eq!(counts(&back.store).await, before);
        if db == Database::Postgres {
            same(&shape, &schema(&back.store).await);
        }
        connection.close().await.unwrap();
        // And forth once more.
        back.resume().await;
        back.client().get("/api/v1/deliveries").await.done();
    }

    async fn a_column_of_the_version_after_stands_in_nobodys_way(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let mut in_lane = copy_to("sink");
        in_lane["deliver"]["key"] = json!("one");
        let file = File::new()
            .http_with("sink", &sink.url, json!({ "retry": quick(), "coalesce": false }))
            .source("alerts")
            .rule("copy", json!([]), json!([in_lane]));
        server.apply(&file.text()).await;
        let client = server.client();
        // Statements that return deliveries, prepared by each connection: claims, and what is next in
        // a lane.
        let round = async || {
            sink.fault(Fault::status(500).times(3));
            for n in 0..6 {
                server.anonymous().hook("alerts", &json!({ "n": n })).await;
            }
            drained(&server).await;
        };
        for _ in 0..3 {
            round().await;
        }
        let store = server.store.connect().await;
        store.execute_unprepared("ALTER TABLE delivery ADD COLUMN of_tomorrow TEXT").await.unwrap();
        store.close().await.unwrap();
        for _ in 0..3 {
            round().await;
        }
        let ended: Vec<Delivery> = all(&client, "/api/v1/deliveries").await;
        assert_eq!(ended.len(), 36);
        assert!(ended.iter().all(|d| d.state == State::Delivered), "{ended:?}");
        let counts = sink.counts();
        assert_eq!((counts.taken, counts.ids), (36, 36), "nothing was sent twice");
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

/// Columns of a delivery that the version before wrote.
const OLD_COLUMNS: &str = "workspace_id, event_id, correlation_id, received_at, rule_id, rule_name, \
    rule_revision, step, connection_id, operation, lane, action, fields, message_id, state, behind, \
    due_at, lease_owner, fence, attempts, tried_at, unsure, error_code, error, effect, record_id, \
    record_url, replay_of, replayed_as, created_at, updated_at, finished_at";
/// Longest that the work may stand still; what a migration does to a table takes none of it.
const PATIENCE: &str = "SET statement_timeout = '5s'";

/// The work of servers of the version before: writes and reads, over and over.
struct Work {
    stop: AtomicBool,
    rounds: AtomicU64,
}

impl Work {
    async fn go_on(&self, store: &Store) -> u64 {
        let db = store.connect().await;
        db.execute_unprepared(PATIENCE).await.unwrap();
        let mut written = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let id = uuid::Uuid::from_u128(rand::random());
            let statements = [
                format!(
                    "INSERT INTO delivery (id, {OLD_COLUMNS}) SELECT '{id}', {OLD_COLUMNS} \
                         FROM delivery WHERE state = 'delivered' ORDER BY id LIMIT 1"
                ),
                format!(
                    "UPDATE delivery SET fence = fence + 1, updated_at = updated_at + 1 WHERE id = '{id}'"
                ),
                "SELECT id, settings FROM connection WHERE enabled".to_owned(),
                "SELECT id, match_mode FROM source WHERE enabled".to_owned(),
                format!(
                    "SELECT {OLD_COLUMNS} FROM delivery WHERE state IN ('ready', 'retrying') \
                         ORDER BY due_at LIMIT 10"
                ),
            ];
            for statement in statements {
                let done = db.execute_unprepared(&statement).await;
                assert!(done.is_ok(), "{statement}: {done:?}");
            }
            written += 1;
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
        db.close().await.unwrap();
        written
    }

    /// Waits until the work has gone on for a while.
    async fn goes_on(&self) {
        let so_far = self.rounds.load(Ordering::SeqCst);
        wait_until("the work goes on", async || {
            (self.rounds.load(Ordering::SeqCst) > so_far + 40).then_some(())
        })
        .await;
    }
}

/// Waits until somebody waits for a lock to do this.
async fn waits(store: &Store, statement: &str) {
    let query = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND state = 'active' AND wait_event_type = 'Lock' AND query LIKE '{statement}'"
    );
    wait_until(&format!("{statement} waits"), async || {
        (store.number(&query).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_works_while_the_schema_changes() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let old = old(db).await;
    let before = old.store.number("SELECT COUNT(*) FROM delivery").await;
    let server = Server::of(old.store, old.folder, old.credentials, Options::default());
    let store = Arc::clone(&server.store);
    let work = Arc::new(Work {
        stop: AtomicBool::new(false),
        rounds: AtomicU64::new(0),
    });
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (work, store) = (Arc::clone(&work), Arc::clone(&store));
            tokio::spawn(async move { work.go_on(&store).await })
        })
        .collect();
    // Two that are in no hurry: one has written a delivery, one only looks at something else.
    let writes = store.connect().await;
    let writes = writes.begin().await.unwrap();
    let touch = "UPDATE delivery SET updated_at = updated_at WHERE state = 'dead'";
    writes.execute_unprepared(touch).await.unwrap();
    let reads = store.connect().await;
    let isolation = Some(IsolationLevel::RepeatableRead);
    let reads = reads.begin_with_config(isolation, None).await.unwrap();
    reads
        .execute_unprepared("SELECT 1 FROM sandbox_record")
        .await
        .unwrap();

    let (migrated, ()) = tokio::join!(server.cli(&["migrate"]), async {
        // A change of the table waits for the first, and nobody waits behind it for long.
        waits(&store, "ALTER TABLE \"delivery\"%").await;
        work.goes_on().await;
        writes.commit().await.unwrap();
        // An index is built for as long as the second looks, and nobody waits for it at all.
        waits(&store, "CREATE INDEX CONCURRENTLY%").await;
        work.goes_on().await;
        reads.commit().await.unwrap();
    });
    assert!(migrated.status.success(), "{}", both_streams(&migrated));
    work.goes_on().await;
    work.stop.store(true, Ordering::SeqCst);
    let mut written = 0;
    for worker in workers {
        written += worker.await.unwrap();
    }
    let invalid = "SELECT COUNT(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(store.number(invalid).await, 0);
    let now = store.number("SELECT COUNT(*) FROM delivery").await;
    assert_eq!(now, before + i64::try_from(written).unwrap());
    server.resume().await;
    server.client().get("/api/v1/deliveries").await.done();
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
