//! What is old goes, what is needed stays, and the archive has it before it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::retention::queries;
use openapi::connections::Connection;
use openapi::problem::Code;
use openapi::retention::{Retention, RetentionPreview, StorageSizes};
use openapi::sources::Source;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement, Value as Bound};
use serde_json::{Value, json};
use tests::fakes::ObjectStore;
use tests::server::{self, command};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Server, both, wait_until, wait_until_within};
use uuid::Uuid;

use crate::support::{all, delivered, now};

pub(crate) const DAY: i64 = 86_400_000;
pub(crate) const RETENTION: &str = "/api/v1/retention";

/// Ids that were given out: several pasts may share a database, and a moment.
static IDS: AtomicU64 = AtomicU64::new(0);

/// Rows of the past, written beside the server.
pub(crate) struct Past {
    pub(crate) db: DatabaseConnection,
    pub(crate) workspace: Uuid,
    pub(crate) source: Uuid,
    pub(crate) connection: Uuid,
    pub(crate) now: i64,
}

impl Past {
    /// For the source `alerts` and the connection `box`.
    pub(crate) async fn of(server: &Server) -> Self {
        let client = server.client();
        let sources: Vec<Source> = all(&client, "/api/v1/sources").await;
        let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
        let workspaces: Value = client.read("/api/v1/workspaces").await;
        Self {
            db: server.store.connect().await,
            workspace: workspaces["items"][0]["id"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
            source: sources.iter().find(|s| s.slug == "alerts").unwrap().id,
            connection: connections.iter().find(|c| c.name == "box").unwrap().id,
            now: now() * 1000,
        }
    }

    pub(crate) fn at(&self, days: i64) -> i64 {
        self.now - days * DAY
    }

    /// An id of that day, each larger than the one before.
    pub(crate) fn id(&self, ms: i64) -> Uuid {
        let count = u128::from(IDS.fetch_add(1, Ordering::Relaxed));
        Uuid::from_u128(u128::try_from(ms).unwrap() << 80 | 0x7000_8000 << 48 | count)
    }

    pub(crate) async fn insert(&self, table: &str, row: Vec<(&str, Bound)>) {
        self.insert_all(table, vec![row]).await;
    }

    pub(crate) async fn insert_all(&self, table: &str, rows: Vec<Vec<(&str, Bound)>>) {
        let names: Vec<&str> = rows[0].iter().map(|(name, _)| *name).collect();
        let mut marks = Vec::new();
        let mut values = Vec::new();
        for row in rows {
            let own: Vec<String> = row
                .into_iter()
                .map(|(_, value)| {
                    values.push(value);
                    format!("${}", values.len())
                })
                .collect();
            marks.push(format!("({})", own.join(", ")));
        }
        let text = format!(
            "INSERT INTO {table} ({}) VALUES {}",
            names.join(", "),
            marks.join(", ")
        );
        let statement =
            Statement::from_sql_and_values(self.db.get_database_backend(), text, values);
        self.db.execute_raw(statement).await.unwrap();
    }

    pub(crate) fn event_row(
        &self,
        id: Uuid,
        source: Uuid,
        ms: i64,
        body: &[u8],
    ) -> Vec<(&'static str, Bound)> {
        let text = |value: &str| Bound::from(value.to_owned());
        vec![
            ("id", id.into()),
            ("workspace_id", self.workspace.into()),
            ("source_id", source.into()),
            ("received_at", ms.into()),
            ("correlation_id", text(&id.to_string())),
            ("disposition", text("routed")),
            ("reason", text("matched")),
            ("method", text("POST")),
            ("content_type", text("application/json")),
            ("query", text("")),
            ("remote_addr", text("192.0.2.1")),
            ("headers", text(r#"[["x-test","yes"]]"#)),
            ("body", body.to_vec().into()),
            ("test", false.into()),
            ("title", text("an old event")),
            ("matched", text("[]")),
        ]
    }

    pub(crate) async fn event_of(&self, source: Uuid, days: i64) -> Uuid {
        let ms = self.at(days);
        let id = self.id(ms);
        self.insert("event", self.event_row(id, source, ms, b"{\"old\":true}"))
            .await;
        id
    }

    pub(crate) async fn event(&self, days: i64) -> Uuid {
        self.event_of(self.source, days).await
    }

    /// A delivery with one attempt; `ended` days ago.
    pub(crate) async fn delivery(&self, event: Uuid, days: i64, state: &str, ended: i64) -> Uuid {
        self.keyed(event, days, state, ended, None).await
    }

    pub(crate) async fn keyed(
        &self,
        event: Uuid,
        days: i64,
        state: &str,
        ended: i64,
        record: Option<(&str, &str)>,
    ) -> Uuid {
        let ms = self.at(days);
        let id = self.id(ms);
        let text = |value: &str| Bound::from(value.to_owned());
        let open = [
            "ready", "leased", "retrying", "windowed", "held", "paused", "parked",
        ]
        .contains(&state);
        self.insert(
            "delivery",
            vec![
                ("id", id.into()),
                ("workspace_id", self.workspace.into()),
                ("event_id", event.into()),
                ("correlation_id", text("c")),
                ("received_at", ms.into()),
                ("rule_name", text("r")),
                ("rule_revision", 1_i64.into()),
                ("step", 0_i32.into()),
                ("connection_id", self.connection.into()),
                ("operation", text("http.request")),
                ("lane", record.map(|(key, _)| key.to_owned()).into()),
                ("fields", text("{}")),
                ("message_id", text(&format!("msg_{}", id.simple()))),
                ("state", text(state)),
                ("behind", false.into()),
                ("due_at", i64::MAX.into()),
                ("fence", 0_i64.into()),
                ("attempts", 1_i32.into()),
                ("unsure", false.into()),
                ("effect", record.map(|_| "created".to_owned()).into()),
                ("record_id", record.map(|(_, id)| id.to_owned()).into()),
                ("created_at", ms.into()),
                ("updated_at", self.at(ended).into()),
                ("finished_at", (!open).then(|| self.at(ended)).into()),
            ],
        )
        .await;
        self.attempt(id, days).await;
        id
    }

    pub(crate) async fn attempt(&self, delivery: Uuid, days: i64) -> Uuid {
        let ms = self.at(days);
        let id = self.id(ms);
        self.insert(
            "attempt",
            vec![
                ("id", id.into()),
                ("workspace_id", self.workspace.into()),
                ("delivery_id", delivery.into()),
                ("number", 1_i32.into()),
                ("started_at", ms.into()),
                ("duration_ms", 3_i64.into()),
                ("outcome", Bound::from("delivered".to_owned())),
                ("exchanges", Bound::from("[]".to_owned())),
            ],
        )
        .await;
        id
    }

    pub(crate) async fn ids(&self, table: &str) -> BTreeSet<Uuid> {
        let statement = Statement::from_string(
            self.db.get_database_backend(),
            format!("SELECT id FROM {table}"),
        );
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter()
            .map(|row| row.try_get("", "id").unwrap())
            .collect()
    }
}

pub(crate) async fn read(client: &Client) -> Retention {
    client.read(RETENTION).await
}

/// Runs a clean-up and waits for its end.
pub(crate) async fn clean(client: &Client) -> Retention {
    // One that has just ended has its timer for a moment more, and as long another cannot begin.
    let before = wait_until("the last clean-up gives its timer back", async || {
        let now = read(client).await;
        let ended = now.last_run.as_ref().and_then(|run| run.finished_at);
        (ended.is_none() || now.next_run_at > ended).then_some(now.last_run)
    })
    .await
    .map(|run| run.started_at);
    client
        .post(&format!("{RETENTION}/run"), &json!({}))
        .await
        .done();
    wait_until("a clean-up ends", async || {
        let now = read(client).await;
        let run = now.last_run.as_ref()?;
        (Some(run.started_at) != before && run.finished_at.is_some()).then_some(now)
    })
    .await
}

pub(crate) async fn set(client: &Client, days: Value) -> Retention {
    let now = read(client).await;
    client.patch(RETENTION, now.revision, &days).await.ok()
}

pub(crate) fn file() -> File {
    File::new()
        .sandbox("box", json!({}))
        .source("alerts")
        .source_with("short", json!({ "retention_days": 3 }))
        .rule("copy", json!([]), json!([copy_to("box")]))
}

fn to_bucket(store: &ObjectStore, secret: &str) -> Options {
    Options::default()
        .set("archive_endpoint", &store.url)
        .set("archive_bucket", store.bucket)
        .set("archive_access_key", &store.key)
        .set("archive_secret_key", secret)
        .set("archive_allow_private", true)
}

both! {
    async fn old_things_go_and_needed_things_stay(db) {
        let server = Server::start(db).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let sources: Vec<Source> = all(&client, "/api/v1/sources").await;
        let short = sources.iter().find(|s| s.slug == "short").unwrap().id;
        set(&client, json!({ "events": 30, "deliveries": 20, "attempts": 10, "dead_letters": 60 })).await;

        // Goes: the event with all its finished deliveries.
        let done = past.event(40).await;
        past.delivery(done, 40, "delivered", 40).await;
        past.delivery(done, 40, "discarded", 5).await;
        let unmatched = past.event(31).await;
        let orphan = past.event_of(Uuid::from_u128(5), 31).await;
        let own_limit = past.event_of(short, 4).await;
        past.delivery(own_limit, 4, "delivered", 4).await;
        let long_dead = past.event(80).await;
        past.delivery(long_dead, 80, "dead", 70).await;

        // Stays: something is open, dead for a shorter time, linked, or not old enough.
        let held = past.event(40).await;
        let held_delivery = past.delivery(held, 40, "held", 40).await;
        let beside = past.delivery(held, 40, "delivered", 5).await;
        let dead = past.event(70).await;
        let dead_letter = past.delivery(dead, 70, "dead", 50).await;
        let linked = past.event(40).await;
        let creator = past.keyed(linked, 40, "delivered", 40, Some(("k", "42"))).await;
        past.insert("link", vec![
            ("id", past.id(past.now).into()), ("workspace_id", past.workspace.into()),
            ("connection_id", past.connection.into()), ("key", Bound::from("k".to_owned())),
            ("record_id", Bound::from("42".to_owned())), ("state", Bound::from("open".to_owned())),
            ("created_at", past.now.into()), ("updated_at", past.now.into()),
        ]).await;
        let young = past.event(29).await;
        let young_delivery = past.delivery(young, 15, "delivered", 15).await;
        let young_source = past.event_of(short, 2).await;

        // The delivery goes by its own limit, its event stays; what its repeat points to stays too.
        let older = past.event(28).await;
        past.delivery(older, 28, "delivered", 25).await;
        let repeated = past.event(28).await;
        let first = past.delivery(repeated, 28, "superseded", 25).await;
        let second = past.delivery(repeated, 15, "delivered", 15).await;
        past.db.execute_raw(Statement::from_sql_and_values(
            past.db.get_database_backend(), "UPDATE delivery SET replayed_as = $1 WHERE id = $2",
            [second.into(), first.into()],
        )).await.unwrap();

        let fresh = server.anonymous().hook("alerts", &json!({ "msg": "new" })).await.event_ids[0];
        let fresh_delivery = delivered(&client, fresh).await.id;

        let preview: RetentionPreview = client.read(&format!("{RETENTION}/preview")).await;
        assert_eq!((preview.would_delete.events, preview.at_least), (5, false));
        assert_eq!(past.ids("event").await.len(), 13, "a preview deletes nothing");
        let after = clean(&client).await;
        let run = after.last_run.unwrap();
        assert_eq!(run.error, None);
        assert_eq!((run.deleted.events, run.archived_bytes), (5, 0));
        assert_eq!(past.ids("event").await, BTreeSet::from([
            held, dead, linked, young, young_source, older, repeated, fresh,
        ]), "gone: {done} {unmatched} {orphan} {own_limit} {long_dead}");
        assert_eq!(past.ids("delivery").await, BTreeSet::from([
            held_delivery, beside, dead_letter, creator, young_delivery, first, second, fresh_delivery,
        ]));
        // Attempts older than ten days are left only where a delivery is open or a dead letter.
        let of = |id: Uuid| Statement::from_sql_and_values(
            past.db.get_database_backend(), "SELECT COUNT(*) AS n FROM attempt WHERE delivery_id = $1", [id.into()]);
        for (id, left) in [(held_delivery, 1_i64), (dead_letter, 1), (creator, 0), (young_delivery, 0), (fresh_delivery, 1)] {
            let row = past.db.query_one_raw(of(id)).await.unwrap().unwrap();
            assert_eq!(row.try_get::<i64>("", "n").unwrap(), left, "{id}");
        }
        let again = clean(&client).await.last_run.unwrap();
        assert_eq!(again.deleted, Default::default(), "a second run finds nothing");
        past.db.close().await.unwrap();
    }

    async fn a_workspace_sees_the_size_of_what_it_has(db) {
        let server = Server::start(db).await;
        let owner = server.session().await;
        server.apply(&File::new().sandbox("box", json!({})).source("a").rule("r", json!([]), json!([copy_to("box")])).text()).await;
        for n in 0..9 {
            server.anonymous().hook("a", &json!({ "n": n })).await;
        }
        crate::support::drained(&server).await;
        owner.post("/api/v1/workspaces", &json!({ "slug": "other", "name": "Other" })).await.done();
        let path = format!("{RETENTION}/sizes");
        let rows = |sizes: &StorageSizes, table: &str| {
            sizes.tables.iter().find(|t| t.table == table).map(|t| (t.rows, t.oldest_at.is_some())).unwrap()
        };
        let all: StorageSizes = owner.read(&path).await;
        assert!(all.all_workspaces);
        for table in ["event", "delivery", "attempt"] {
            assert_eq!(rows(&all, table), (9, true), "{table}");
        }
        let other = owner.clone().workspace("other");
        let none: StorageSizes = other.read(&path).await;
        assert!(!none.all_workspaces);
        for table in ["event", "delivery", "attempt", "refusal", "job"] {
            assert_eq!(rows(&none, table), (0, false), "{table}");
        }
        assert!(none.bytes < 10_000, "{none:?}");
        let file = File::new().sandbox("box", json!({})).source("b").rule("r", json!([]), json!([copy_to("box")])).text();
        let file = server.write("other.yaml", &file);
        let done = server.cli(&["apply", "--workspace", "other", "-f", file.to_str().unwrap()]).await;
        assert!(done.status.success());
        server.anonymous().hook("other/b", &json!({ "n": 1 })).await;
        crate::support::drained(&server).await;
        let one: StorageSizes = other.read(&path).await;
        for table in ["event", "delivery", "attempt"] {
            assert_eq!(rows(&one, table).0, 1, "{table}");
        }
        assert!(one.bytes > none.bytes);
    }

    async fn limits_are_checked_and_in_the_file(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let first = read(&client).await;
        assert_eq!((first.days.events, first.revision, first.archive.len()), (90, 0, 0));
        for (wrong, field) in [
            (json!({ "events": 30 }), "deliveries"),
            (json!({ "deliveries": 0 }), "deliveries"),
            (json!({ "attempts": 91 }), "attempts"),
            (json!({ "audit": 40_000 }), "audit"),
        ] {
            let problem = client.patch(RETENTION, 0, &wrong).await.problem(Code::ValidationFailed);
            assert_eq!(problem.errors[0].field, field);
        }
        client.patch(RETENTION, 7, &json!({})).await.problem(Code::RevisionStale);
        let text = json!({ "version": 1, "retention": { "events": 30, "deliveries": 30, "attempts": 7 },
            "sources": [{ "name": "a", "slug": "a", "auth": { "type": "none" }, "retention_days": 3 }] }).to_string();
        server.apply(&text).await;
        let now = read(&client).await;
        assert_eq!((now.days.events, now.days.attempts, now.days.audit), (30, 7, 365));
        assert_eq!((now.sources[0].source.as_str(), now.sources[0].days), ("a", 3));
        let exported = server.cli(&["export"]).await;
        let exported = String::from_utf8(exported.stdout).unwrap();
        assert!(exported.contains("retention_days: 3") && exported.contains("attempts: 7"), "{exported}");
        let again = server.write("again.yaml", &exported);
        let planned = server.cli(&["plan", "--exit-code", "-f", again.to_str().unwrap()]).await;
        assert!(planned.status.success(), "an export is no change");
        let file = server.write("wrong.yaml", &json!({ "version": 1, "retention": { "events": 1 } }).to_string());
        let refused = server.cli(&["apply", "-f", file.to_str().unwrap()]).await;
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("retention.deliveries"), "{said}");
    }

    async fn a_database_that_is_too_large_loses_its_oldest_finished_events(db) {
        let server = Server::start_with(db, Options::default().set("retention_max_mb", 8)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        // What cannot be compressed.
        let body: Vec<u8> = (0..40_000).map(|_| rand::random_range(b'a'..=b'z')).collect();
        let mut written = Vec::new();
        for hour in 0..40_i64 {
            let ms = past.at(2) + hour * 3_600_000;
            let rows: Vec<_> = (0..10).map(|_| {
                let id = past.id(ms);
                written.push(id);
                past.event_row(id, past.source, ms, &body)
            }).collect();
            past.insert_all("event", rows).await;
        }
        // The oldest of all is needed.
        past.delivery(written[0], 2, "held", 2).await;
        let sizes = async || -> StorageSizes { client.read(&format!("{RETENTION}/sizes")).await };
        let before = sizes().await;
        assert!(before.used_bytes > 8 << 20, "{before:?}");
        assert!(before.tables.iter().any(|t| t.table == "event" && t.rows == 400), "{before:?}");
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!(run.error, None);
        let left = past.ids("event").await;
        assert!(left.contains(&written[0]), "a held delivery keeps its event");
        let kept: Vec<usize> = (1..400).filter(|n| left.contains(&written[*n])).collect();
        assert!(kept.len() > 50 && kept.len() < 350, "{} left", kept.len());
        assert_eq!(kept.first().map(|first| 400 - first), Some(kept.len()), "the newest are left, without a gap");
        wait_until("the size says so", async || {
            (sizes().await.used_bytes <= 8 << 20).then_some(())
        }).await;
        if db == Database::Sqlite {
            let after = sizes().await;
            assert!(after.bytes < before.bytes, "space is given back: {} to {}", before.bytes, after.bytes);
        }
        let calm = clean(&client).await.last_run.unwrap();
        assert_eq!(calm.deleted.events, 0, "small enough is small enough");
        past.db.close().await.unwrap();
    }

    async fn a_folder_has_every_row_once_before_it_is_deleted(db) {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::default().set("archive_folder", folder.path().display());
        let server = Server::start_with(db, options).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let mut events = BTreeSet::new();
        let mut deliveries = BTreeSet::new();
        for days in [100, 101, 101] {
            let event = past.event(days).await;
            deliveries.insert(past.delivery(event, days, "delivered", days).await);
            events.insert(event);
        }
        // A file stands where the folder of deliveries belongs: nothing may be deleted.
        let blocked = folder.path().join("main/delivery");
        std::fs::create_dir_all(folder.path().join("main")).unwrap();
        std::fs::write(&blocked, "").unwrap();
        let failed = clean(&client).await;
        assert_eq!(failed.archive, ["folder"]);
        let run = failed.last_run.unwrap();
        assert!(run.error.unwrap().contains("archive"), "it says why");
        assert_eq!(past.ids("event").await, events);
        std::fs::remove_file(&blocked).unwrap();
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.error, run.deleted.events, run.deleted.attempts), (None, 3, 3));
        assert!(run.archived_bytes > 0);
        assert!(past.ids("event").await.is_empty() && past.ids("attempt").await.is_empty());

        let archived = lines(folder.path(), "event");
        assert_eq!(archived.len(), 2, "a folder for each day: {:?}", archived.keys());
        assert_eq!(ids_of(&archived), events, "once each");
        assert_eq!(ids_of(&lines(folder.path(), "delivery")), deliveries);
        let line = archived.values().flatten().next().unwrap();
        assert_eq!((&line["body"], &line["headers"][0][0]), (&json!("{\"old\":true}"), &json!("x-test")));
        // A later clean-up goes on behind.
        let event = past.event(101).await;
        events.insert(event);
        clean(&client).await;
        assert_eq!(ids_of(&lines(folder.path(), "event")), events);
        // Attempts went into the archive once more, since the first time their deliveries did not.
        let twice: usize = lines(folder.path(), "attempt").values().map(Vec::len).sum();
        assert_eq!(twice, 6);
        for (table, rows) in [("event", 4), ("attempt", 3)] {
            let mut cat = command(&Options::default());
            cat.args(["archive", "cat", folder.path().join("main").join(table).to_str().unwrap()]);
            let shown = server::run(cat).await;
            assert!(shown.status.success());
            let all = String::from_utf8(shown.stdout).unwrap();
            let ids: BTreeSet<String> = all.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string())
                .collect();
            assert_eq!((all.lines().count(), ids.len()), (rows, rows), "each row once: {all}");
        }
        past.db.close().await.unwrap();
    }

    async fn a_bucket_gets_a_piece_again_under_another_name(db) {
        let store = ObjectStore::start().await;
        let folder = tempfile::tempdir().unwrap();
        let options = to_bucket(&store, &store.secret).set("archive_folder", folder.path().display());
        let server = Server::start_with(db, options).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let event = past.event(100).await;
        past.delivery(event, 100, "delivered", 100).await;
        // The bucket is not there yet.
        let run = clean(&client).await.last_run.unwrap();
        let error = run.error.unwrap();
        assert!(error.contains("404") && !error.contains("planted"), "{error}");
        assert_eq!(past.ids("event").await.len(), 1);
        store.make().await;
        // Attempts reach the bucket, then the folder of deliveries fails.
        let blocked = folder.path().join("main/delivery");
        std::fs::write(&blocked, "").unwrap();
        assert!(clean(&client).await.last_run.unwrap().error.is_some());
        let first = store.objects().await;
        assert_eq!(first.len(), 1, "{first:?}");
        std::fs::remove_file(&blocked).unwrap();
        let after = clean(&client).await;
        assert_eq!(after.archive, ["folder", "bucket"]);
        assert_eq!(after.last_run.unwrap().error, None);
        let objects = store.objects().await;
        assert_eq!(objects.len(), 4, "{objects:?}");
        let (name, tag) = first.first_key_value().unwrap();
        assert_eq!(objects.get(name), Some(tag), "nobody has touched it");
        assert!(name.starts_with("signalbox/main/attempt/"), "{name}");
        let again = objects.iter().filter(|(_, of)| *of == tag).count();
        assert_eq!(again, 2, "the same rows under two names: {objects:?}");
        let name = objects.keys().find(|name| name.contains("/event/")).unwrap();
        let text = unpacked(&store.get(name).await);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(&event.to_string()));
        assert!(past.ids("event").await.is_empty());
        assert!(!server.log().contains("planted"));
        past.db.close().await.unwrap();
    }

    async fn a_bucket_that_refuses_the_signature_keeps_the_rows(db) {
        let store = ObjectStore::start().await;
        store.make().await;
        let server = Server::start_with(db, to_bucket(&store, "planted-wrong-key")).await;
        server.apply(&file().text()).await;
        let past = Past::of(&server).await;
        past.event(100).await;
        let error = clean(&server.client()).await.last_run.unwrap().error.unwrap();
        assert!(error.contains("403") && !error.contains("planted"), "{error}");
        assert_eq!(past.ids("event").await.len(), 1);
        assert!(store.objects().await.is_empty());
        assert!(!server.log().contains("planted"));
        past.db.close().await.unwrap();
    }

    async fn the_clean_up_walks_indexes(db) {
        let server = Server::start(db).await;
        server.apply(&file().text()).await;
        let past = Past::of(&server).await;
        for days in 0..30 {
            let event = past.event(days).await;
            past.delivery(event, days, "delivered", days).await;
        }
        let backend = past.db.get_database_backend();
        if db == Database::Postgres {
            // On so few rows it would read them all; the question is whether it could do else.
            past.db.execute_unprepared("ANALYZE; SET enable_seqscan = off").await.unwrap();
        }
        let (id, ms, rows) = (
            || Bound::from(Uuid::from_u128(1)), || Bound::from(1_i64), || Bound::from(10_i64),
        );
        let marks = if db == Database::Postgres { ["$1", "$2", "$3"] } else { ["?", "?", "?"] };
        let one = format!("({})", marks[0]);
        let of_one = format!("({}, {})", marks[0], marks[1]);
        let after = if db == Database::Postgres { ["$3", "$4", "$5"] } else { ["?", "?", "?"] };
        let all = [
            (queries::next_source(), vec![id()]),
            (queries::events(), vec![id(), id(), id(), ms(), rows()]),
            (queries::oldest_events(), vec![id(), ms(), rows()]),
            (queries::links(&of_one, (after[0], after[1], after[2])), vec![id(), ms(), id(), id(), rows()]),
            (queries::sandbox(&of_one, (after[0], after[1], after[2])), vec![id(), ms(), id(), id(), rows()]),
            (queries::delete_links(&one, marks[1]), vec![id(), ms()]),
            (queries::delete_sandbox(&one, marks[1]), vec![id(), ms()]),
            (queries::hold_events(&one, db == Database::Postgres), vec![id()]),
            (queries::hold_deliveries_of(&one, db == Database::Postgres), vec![id()]),
            (queries::hold_deliveries(&one, db == Database::Postgres), vec![id()]),
            (queries::deliveries(), vec![id(), id(), id(), ms(), ms(), rows()]),
            (queries::delete_events(&one, marks[1]), vec![id(), ms()]),
            (queries::delete_deliveries(&one, marks[1]), vec![id(), ms()]),
            (queries::delete_deliveries_of(&one), vec![id()]),
            (queries::delete_attempts_of(&one), vec![id()]),
            (queries::delete_attempts_of_events(&one), vec![id()]),
            (queries::delete_attempts(&one), vec![id()]),
            (queries::refusals(), vec![id(), id(), rows()]),
            (queries::audit(), vec![id(), id(), rows()]),
            (queries::jobs(), vec![id(), id(), ms(), rows()]),
            (queries::delete_stats(), vec![id(), ms(), rows()]),
        ];
        for (query, values) in all {
            let explain = if db == Database::Postgres { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
            let statement = Statement::from_sql_and_values(backend, format!("{explain} {query}"), values);
            let plan: Vec<String> = past.db.query_all_raw(statement).await.unwrap().iter()
                .map(|row| match db {
                    Database::Postgres => row.try_get_by_index(0).unwrap(),
                    Database::Sqlite => row.try_get("", "detail").unwrap(),
                })
                .collect();
            for line in &plan {
                let whole = line.contains("Seq Scan")
                    || (line.contains("SCAN ") && !line.contains("USING") && !line.contains("SCAN v")
                        && !line.contains("CONSTANT ROW"));
                assert!(!whole, "{query}\n{}", plan.join("\n"));
            }
        }
        past.db.close().await.unwrap();
    }
}

/// While a clean-up deletes, a request waits for one short transaction more, not for all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepts_hardly_notice_a_clean_up() {
    let server = Server::start(Database::Sqlite).await;
    server.apply(&file().text()).await;
    let client = server.client();
    let past = Past::of(&server).await;
    for _ in 0..40 {
        let ms = past.at(100);
        let rows: Vec<_> = (0..100)
            .map(|_| past.event_row(past.id(ms), past.source, ms, &[b'x'; 2_000]))
            .collect();
        past.insert_all("event", rows).await;
    }
    past.db.close().await.unwrap();
    let accepts = async |until: &dyn Fn() -> bool| {
        let anonymous = server.anonymous();
        let mut took = Vec::new();
        while took.len() < 30 || !until() {
            let begun = Instant::now();
            anonymous.hook("alerts", &json!({ "msg": "x" })).await;
            took.push(begun.elapsed());
        }
        took.sort();
        took[took.len() * 95 / 100]
    };
    let calm = accepts(&|| true).await;
    client
        .post(&format!("{RETENTION}/run"), &json!({}))
        .await
        .done();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let order = Ordering::SeqCst;
    let watch = async {
        wait_until_within(Duration::from_secs(60), "the clean-up ends", async || {
            let run = read(&client).await.last_run?;
            run.finished_at.filter(|_| run.deleted.events == 4_000)
        })
        .await;
        ended.store(true, order);
    };
    let done = || ended.load(order);
    let (busy, ()) = tokio::join!(accepts(&done), watch);
    // Both were measured on a machine that does other things too.
    let floor = Duration::from_millis(20);
    assert!(
        busy < calm.max(floor) * 8,
        "{busy:?} during a clean-up, {calm:?} without"
    );
}

/// Every line of the archive of a table, by day.
pub(crate) fn lines(folder: &Path, table: &str) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for day in std::fs::read_dir(folder.join("main").join(table)).unwrap() {
        let day = day.unwrap();
        let of = found
            .entry(day.file_name().to_string_lossy().into_owned())
            .or_default();
        for piece in std::fs::read_dir(day.path()).unwrap() {
            let text = unpacked(&std::fs::read(piece.unwrap().path()).unwrap());
            of.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap()),
            );
        }
    }
    found
}

pub(crate) fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// The ids of all lines; panics when one stands twice.
pub(crate) fn ids_of(lines: &BTreeMap<String, Vec<Value>>) -> BTreeSet<Uuid> {
    let all: Vec<Uuid> = lines
        .values()
        .flatten()
        .map(|line| line["id"].as_str().unwrap().parse().unwrap())
        .collect();
    let set: BTreeSet<Uuid> = all.iter().copied().collect();
    assert_eq!(set.len(), all.len(), "a row stands twice");
    set
}
