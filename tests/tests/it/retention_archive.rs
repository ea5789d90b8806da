//! The archive has every row, whoever dies between writing and deleting.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tests::fakes::FakeShelf;
use tests::server::{self, command};
use tests::{Database, Options, Proxy, Server, both, wait_until};
use uuid::Uuid;

use crate::retention::{Past, clean, file, unpacked};
use crate::retention_replays::{begin, ended, to_shelf};

/// The pieces of a table in the order of their names, each with the rows that are in it.
fn pieces(shelf: &FakeShelf, table: &str) -> Vec<(String, Vec<Uuid>)> {
    let part = format!("signalbox/main/{table}/");
    shelf
        .objects()
        .into_iter()
        .filter_map(|(name, bytes)| {
            let name = name.strip_prefix(&part)?.to_owned();
            let rows = unpacked(&bytes)
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
                .map(|id| id.as_str().unwrap().parse().unwrap())
                .collect();
            Some((name, rows))
        })
        .collect()
}

/// The claim under which a piece was written: its installation, and the number that grows.
fn claim(name: &str) -> (String, u64) {
    let piece = name.split('/').next_back().unwrap();
    let parts: Vec<&str> = piece.trim_end_matches(".jsonl.gz").split('-').collect();
    let [installation, fence, number, random] = parts.as_slice() else {
        panic!("{name}");
    };
    assert_eq!(
        (installation.len(), number.len(), random.len()),
        (16, 6, 8),
        "{name}"
    );
    ((*installation).to_owned(), fence.parse().unwrap())
}

/// Every row is there, and those that are there twice are in pieces of different claims.
fn complete(pieces: &[(String, Vec<Uuid>)], rows: &BTreeSet<Uuid>) {
    let mut found: BTreeMap<Uuid, Vec<(String, u64)>> = BTreeMap::new();
    for (name, ids) in pieces {
        for id in ids {
            found.entry(*id).or_default().push(claim(name));
        }
    }
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), *rows);
    for claims in found.values() {
        let fences: BTreeSet<u64> = claims.iter().map(|(_, fence)| *fence).collect();
        assert_eq!(fences.len(), claims.len(), "{claims:?}");
        assert!(
            claims.iter().all(|(of, _)| *of == claims[0].0),
            "{claims:?}"
        );
    }
}

async fn shown(folder: &Path) -> Vec<Uuid> {
    let mut cat = command(&Options::default());
    cat.args(["archive", "cat", folder.to_str().unwrap()]);
    let shown = server::run(cat).await;
    assert!(shown.status.success());
    let text = String::from_utf8(shown.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .map(|id| id.as_str().unwrap().parse().unwrap())
        .collect()
}

both! {
    async fn a_server_that_dies_before_it_deletes_loses_nothing(db) {
        let shelf = FakeShelf::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = to_shelf(&shelf)
            .set("archive_folder", folder.path().display())
            .set("lease_seconds", 3);
        let server = Server::start_with(db, options).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let mut events = BTreeSet::new();
        let mut deliveries = BTreeSet::new();
        for _ in 0..3 {
            let event = past.event(100).await;
            events.insert(event);
            deliveries.insert(past.delivery(event, 100, "delivered", 100).await);
        }
        // The last piece of the batch is in the bucket, and nothing is deleted.
        begin(&client, &shelf, "/event/").await;
        server.kill();
        shelf.release();
        assert_eq!(past.ids("event").await, events);
        // Meanwhile one goes another way.
        let other = past.event(100).await;
        events.insert(other);
        server.resume().await;
        wait_until("the next server deletes them", async || {
            past.ids("event").await.is_empty().then_some(())
        }).await;
        let run = ended(&server.client()).await;
        assert_eq!((run.error, run.deleted.events), (None, 4));
        assert!(shelf.replaced().is_empty(), "nobody writes over a piece");
        for (table, rows) in [("event", &events), ("delivery", &deliveries)] {
            let pieces = pieces(&shelf, table);
            assert_eq!(pieces.len(), 2, "{pieces:?}");
            complete(&pieces, rows);
            let once = shown(&folder.path().join("main").join(table)).await;
            assert_eq!((once.len(), &once.into_iter().collect::<BTreeSet<_>>()), (rows.len(), rows));
        }
        past.db.close().await.unwrap();
    }

    async fn two_installations_in_one_bucket_keep_apart(db) {
        let shelf = FakeShelf::start().unwrap();
        let mut all = BTreeSet::new();
        for _ in 0..2 {
            let server = Server::start_with(db, to_shelf(&shelf)).await;
            server.apply(&file().text()).await;
            let past = Past::of(&server).await;
            all.insert(past.event(100).await);
            let run = clean(&server.client()).await.last_run.unwrap();
            assert_eq!((run.error, run.deleted.events), (None, 1));
            past.db.close().await.unwrap();
        }
        let pieces = pieces(&shelf, "event");
        let installations: BTreeSet<String> = pieces.iter().map(|(name, _)| claim(name).0).collect();
        assert_eq!((pieces.len(), installations.len()), (2, 2), "{pieces:?}");
        assert!(shelf.replaced().is_empty());
        let rows: BTreeSet<Uuid> = pieces.into_iter().flat_map(|(_, rows)| rows).collect();
        assert_eq!(rows, all);
    }
}

/// A node that is taken for dead in the middle of a batch writes over nothing, and deletes nothing of
/// what another went on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_deletes_nothing_under_its_old_claim() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let shelf = FakeShelf::start().unwrap();
    let options = to_shelf(&shelf).set("lease_seconds", 3);
    let other = Server::start_with(db, options.clone()).await;
    other.apply(&file().text()).await;
    let past = Past::of(&other).await;
    let mut events = BTreeSet::new();
    for _ in 0..3 {
        let event = past.event(100).await;
        past.delivery(event, 100, "delivered", 100).await;
        events.insert(event);
    }
    let url = other.store.url().unwrap();
    let way = Proxy::before(url).await;
    let away = other.another(options.database(&way.url(url)));
    other.terminate().await;
    away.resume().await;
    begin(&away.client(), &shelf, "/delivery/").await;
    way.close();
    // While its piece is on the way, another node takes over and does it all.
    other.resume().await;
    wait_until("the other node deletes them", async || {
        past.ids("event").await.is_empty().then_some(())
    })
    .await;
    let run = ended(&other.client()).await;
    assert_eq!((run.error, run.deleted.events), (None, 3));
    // Somebody wants events for good now. What comes back must not go by what it knew.
    crate::retention::set(&other.client(), serde_json::json!({ "events": 0 })).await;
    let kept = past.event(100).await;
    way.open();
    wait_until("it starts anew", async || {
        away.log().contains("it starts anew").then_some(())
    })
    .await;
    shelf.release();
    let run = clean(&away.client()).await.last_run.unwrap();
    assert_eq!((run.error, run.deleted.events), (None, 0));
    assert_eq!(past.ids("event").await, BTreeSet::from([kept]));
    assert!(shelf.replaced().is_empty(), "nobody writes over a piece");
    complete(&pieces(&shelf, "event"), &events);
    past.db.close().await.unwrap();
}
