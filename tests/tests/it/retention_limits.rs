//! What a clean-up goes by, and what it does while its archive takes nothing.

use std::collections::BTreeSet;

use openapi::connections::Connection;
use openapi::retention::RetentionPreview;
use openapi::sources::Source;
use sea_orm::Value as Bound;
use serde_json::{Value, json};
use tests::fakes::FakeShelf;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};
use uuid::Uuid;

use crate::retention::{Past, RETENTION, clean, file, set};
use crate::retention_replays::{begin, ended, to_shelf};
use crate::support::all;

/// More than a batch has at first.
const MANY: i64 = 300;

/// Another workspace with a source and a connection, as rows of the past are written to it.
pub(crate) async fn other(server: &Server) -> (Client, Past) {
    let owner = server.session().await;
    let asked = json!({ "slug": "other", "name": "Other" });
    owner.post("/api/v1/workspaces", &asked).await.done();
    let text = File::new()
        .sandbox("box", json!({}))
        .source("alerts")
        .rule("copy", json!([]), json!([copy_to("box")]))
        .text();
    let file = server.write("other.yaml", &text);
    let done = server
        .cli(&[
            "apply",
            "--workspace",
            "other",
            "-f",
            file.to_str().unwrap(),
        ])
        .await;
    assert!(done.status.success());
    let client = owner.workspace("other");
    let mut past = Past::of(server).await;
    let sources: Vec<Source> = all(&client, "/api/v1/sources").await;
    let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
    let workspaces: Value = client.read("/api/v1/workspaces").await;
    let mut own = workspaces["items"].as_array().unwrap().iter();
    let own = own.find(|w| w["slug"] == "other").unwrap();
    past.workspace = own["id"].as_str().unwrap().parse().unwrap();
    past.source = sources[0].id;
    past.connection = connections[0].id;
    (client, past)
}

both! {
    async fn a_run_goes_by_the_limits_as_they_become(db) {
        let shelf = FakeShelf::start().unwrap();
        let server = Server::start_with(db, to_shelf(&shelf)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let fill = async |count: i64| {
            let rows: Vec<_> = (0..count)
                .map(|_| past.event_row(past.id(past.at(100)), past.source, past.at(100), b"{}"))
                .collect();
            past.insert_all("event", rows).await;
        };
        fill(MANY).await;
        // The first batch is under way when somebody says that events are kept for good.
        begin(&client, &shelf, "/event/").await;
        set(&client, json!({ "events": 0 })).await;
        shelf.release();
        let run = ended(&client).await;
        assert_eq!(run.error, None);
        let left = i64::try_from(past.ids("event").await.len()).unwrap();
        assert!(left > MANY / 2 && left < MANY, "{left} are left");
        assert_eq!(i64::try_from(run.deleted.events).unwrap(), MANY - left);
        // A source that is to keep its own is heard as well, and so is the archive's flag.
        set(&client, json!({ "events": 90 })).await;
        fill(MANY).await;
        let pieces = shelf.objects().len();
        begin(&client, &shelf, "/event/").await;
        set(&client, json!({ "archive": false })).await;
        shelf.release();
        assert_eq!(ended(&client).await.error, None);
        assert!(past.ids("event").await.is_empty());
        assert_eq!(shelf.objects().len(), pieces + 1, "the rest went without the archive");
        past.db.close().await.unwrap();
    }

    async fn attempts_that_were_kept_for_good_go_when_they_no_longer_are(db) {
        let server = Server::start(db).await;
        server.apply(&file().text()).await;
        let client = server.client();
        // Others have limits, by which attempts are looked at.
        let (_, beside) = other(&server).await;
        let past = Past::of(&server).await;
        set(&client, json!({ "events": 0, "deliveries": 0, "attempts": 0 })).await;
        let event = past.event(60).await;
        past.delivery(event, 60, "delivered", 60).await;
        let event = beside.event(60).await;
        beside.delivery(event, 60, "delivered", 60).await;
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.error, past.ids("attempt").await.len()), (None, 1));
        set(&client, json!({ "attempts": 30 })).await;
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.deleted.attempts, past.ids("attempt").await.len()), (1, 0));
        past.db.close().await.unwrap();
        beside.db.close().await.unwrap();
    }

    async fn without_its_archive_a_run_does_what_needs_none(db) {
        let shelf = FakeShelf::start().unwrap();
        let server = Server::start_with(db, to_shelf(&shelf)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let (others, beside) = other(&server).await;
        set(&others, json!({ "archive": false })).await;
        let past = Past::of(&server).await;
        let kept = past.event(100).await;
        let delivery = past.delivery(kept, 100, "delivered", 100).await;
        let gone = beside.event(100).await;
        beside.delivery(gone, 100, "delivered", 100).await;
        past.insert("refusal", vec![
            ("id", past.id(past.at(100)).into()), ("workspace_id", past.workspace.into()),
            ("source_id", past.source.into()), ("at", past.at(100).into()), ("status", 401_i32.into()),
            ("reason", Bound::from("unauthorized".to_owned())), ("remote_addr", Bound::from("192.0.2.1".to_owned())),
            ("content_type", Bound::from(String::new())), ("size", 0_i64.into()),
        ]).await;
        shelf.answer(503);
        let run = clean(&client).await.last_run.unwrap();
        assert!(run.error.unwrap().contains("archive"));
        assert_eq!((run.deleted.events, run.deleted.refusals), (0, 1));
        assert_eq!(past.ids("event").await, BTreeSet::from([kept]), "not {gone}");
        assert_eq!(past.ids("delivery").await, BTreeSet::from([delivery]));
        assert_eq!(past.ids("attempt").await.len(), 1);
        // A run is counted last, a moment after people see its end.
        let counted = async |outcome: &str| {
            let line = format!("signalbox_clean_ups_total{{outcome=\"{outcome}\"}} 1");
            wait_until(&line, async || {
                let text = client.get("/metrics").await.text();
                text.contains(&line).then_some(text)
            })
            .await
        };
        let text = counted("archive").await;
        assert!(text.contains("signalbox_clean_up_done_timestamp_seconds 0"), "{text}");
        shelf.answer(200);
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.error, run.deleted.events), (None, 1));
        let text = counted("done").await;
        assert!(!text.contains("signalbox_clean_up_done_timestamp_seconds 0"), "{text}");
        past.db.close().await.unwrap();
        beside.db.close().await.unwrap();
    }

    async fn closed_links_and_what_the_sandbox_recorded_go(db) {
        let server = Server::start(db).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let text = |value: &str| Bound::from(value.to_owned());
        let link = async |key: &str, state: &str, days: i64| -> Uuid {
            let id = past.id(past.at(800));
            past.insert("link", vec![
                ("id", id.into()), ("workspace_id", past.workspace.into()),
                ("connection_id", past.connection.into()), ("key", text(key)), ("record_id", text(key)),
                ("state", text(state)), ("created_at", past.at(800).into()), ("updated_at", past.at(days).into()),
            ]).await;
            id
        };
        let record = async |number: i64, key: &str, days: i64| -> Uuid {
            let id = past.id(past.at(800));
            past.insert("sandbox_record", vec![
                ("id", id.into()), ("workspace_id", past.workspace.into()),
                ("connection_id", past.connection.into()), ("number", number.into()), ("key", text(key)),
                ("message_id", text(&format!("msg_{number}"))), ("operation", text("ticket.upsert")),
                ("state", text("open")), ("title", text("t")), ("fields", text("{}")), ("notes", text("[]")),
                ("created_at", past.at(800).into()), ("updated_at", past.at(days).into()),
            ]).await;
            id
        };
        let closed = link("a", "closed", 400).await;
        let open = link("b", "open", 400).await;
        let reclosed = link("c", "closed", 300).await;
        let old = record(1, "a", 100).await;
        let linked = record(2, "b", 100).await;
        let young = record(3, "c", 80).await;
        let last = record(4, "d", 100).await;
        let preview: RetentionPreview = client.read(&format!("{RETENTION}/preview")).await;
        assert_eq!((preview.would_delete.links, preview.would_delete.sandbox), (1, 1));
        // A link stays as long as events may.
        set(&client, json!({ "events": 500 })).await;
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.deleted.links, run.deleted.sandbox), (0, 1), "{closed}, {old}");
        set(&client, json!({ "events": 90 })).await;
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.deleted.links, run.deleted.sandbox), (1, 0));
        assert_eq!(past.ids("link").await, BTreeSet::from([open, reclosed]));
        assert_eq!(past.ids("sandbox_record").await, BTreeSet::from([linked, young, last]));
        let sizes: openapi::retention::StorageSizes = client.read(&format!("{RETENTION}/sizes")).await;
        for (table, rows) in [("link", 2), ("sandbox_record", 3)] {
            assert!(sizes.tables.iter().any(|t| t.table == table && t.rows == rows), "{sizes:?}");
        }
        past.db.close().await.unwrap();
    }
}
