//! The cap on the size of the database.

use std::collections::BTreeSet;

use openapi::retention::StorageSizes;
use sea_orm::Value as Bound;
use serde_json::json;
use tests::fakes::FakeShelf;
use tests::{Options, Server, both};
use uuid::Uuid;

use crate::retention::{Past, RETENTION, clean, file, set};
use crate::retention_limits::other;
use crate::retention_replays::to_shelf;

const CAP: i64 = 8 << 20;

/// What cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|_| rand::random_range(b'a'..=b'z'))
        .collect()
}

async fn fill(past: &Past, days: i64, count: usize, body: &[u8]) -> BTreeSet<Uuid> {
    let mut written = BTreeSet::new();
    for _ in 0..count / 50 {
        let rows: Vec<_> = (0..50)
            .map(|_| {
                let id = past.id(past.at(days));
                written.insert(id);
                past.event_row(id, past.source, past.at(days), body)
            })
            .collect();
        past.insert_all("event", rows).await;
    }
    written
}

both! {
    async fn small_events_do_not_hide_large_ones_of_before(db) {
        let server = Server::start_with(db, Options::default().set("retention_max_mb", 8)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let large = fill(&past, 5, 300, &noise(40_000)).await;
        let small = fill(&past, 1, 1_000, b"{}").await;
        let sizes = async || -> StorageSizes { client.read(&format!("{RETENTION}/sizes")).await };
        let before = sizes().await;
        assert!(before.used_bytes > CAP, "{before:?}");
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!(run.error, None);
        let left = past.ids("event").await;
        assert!(small.is_subset(&left), "the newest stay");
        let kept = large.intersection(&left).count();
        assert!(kept > 50 && kept < 250, "as many go as have to: {kept} are left");
        let after = sizes().await;
        assert!(after.used_bytes <= CAP, "{after:?}");
        // The files of PostgreSQL are as large as before; that costs nobody an event.
        let calm = clean(&client).await.last_run.unwrap();
        assert_eq!((calm.error, calm.deleted.events), (None, 0));
        past.db.close().await.unwrap();
    }

    async fn nobody_pays_for_those_who_wait_for_the_archive(db) {
        let shelf = FakeShelf::start().unwrap();
        let server = Server::start_with(db, to_shelf(&shelf).set("retention_max_mb", 8)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let (others, beside) = other(&server).await;
        set(&others, json!({ "archive": false })).await;
        let past = Past::of(&server).await;
        let oldest = fill(&past, 5, 300, &noise(40_000)).await;
        let younger = fill(&beside, 4, 50, &noise(40_000)).await;
        shelf.answer(503);
        let run = clean(&client).await.last_run.unwrap();
        let said = run.error.unwrap();
        assert!(said.contains("bucket") && said.contains("larger than it may be"), "{said}");
        assert_eq!(past.ids("event").await, &oldest | &younger);
        shelf.answer(200);
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!(run.error, None);
        let left = past.ids("event").await;
        assert!(younger.is_subset(&left), "the oldest of all went");
        let kept = oldest.intersection(&left).count();
        assert!(kept > 0 && kept < 250, "as many go as have to: {kept} are left");
        past.db.close().await.unwrap();
        beside.db.close().await.unwrap();
    }

    async fn what_is_large_without_its_events_costs_no_event(db) {
        let server = Server::start_with(db, Options::default().set("retention_max_mb", 8)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let events = fill(&past, 5, 50, b"{}").await;
        let text = |value: &str| Bound::from(value.to_owned());
        for number in 0..12_i64 {
            let fields = String::from_utf8(noise(1 << 20)).unwrap();
            past.insert("sandbox_record", vec![
                ("id", past.id(past.now).into()), ("workspace_id", past.workspace.into()),
                ("connection_id", past.connection.into()), ("number", number.into()),
                ("message_id", text(&format!("msg_{number}"))), ("operation", text("ticket.create")),
                ("state", text("open")), ("title", text("t")), ("fields", fields.into()), ("notes", text("[]")),
                ("created_at", past.now.into()), ("updated_at", past.now.into()),
            ]).await;
        }
        let run = clean(&client).await.last_run.unwrap();
        let said = run.error.unwrap();
        assert!(said.contains("not for its events"), "{said}");
        assert_eq!((run.deleted.events, past.ids("event").await), (0, events));
        past.db.close().await.unwrap();
    }
}
