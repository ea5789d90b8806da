//! A clean-up and a replay that want the same event.

use std::collections::BTreeSet;

use openapi::events::Replayed;
use openapi::problem::Code;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait as _};
use serde_json::json;
use tests::fakes::FakeShelf;
use tests::{Client, Database, Options, Server, both, wait_until};
use uuid::Uuid;

use crate::retention::{Past, RETENTION, clean, file, read};
use crate::support::drained;

/// An archive whose answers can be held.
pub(crate) fn to_shelf(shelf: &FakeShelf) -> Options {
    Options::default()
        .set("archive_endpoint", &shelf.url)
        .set("archive_bucket", "shelf")
        .set("archive_access_key", "key")
        .set("archive_secret_key", "planted")
        .set("archive_allow_private", true)
}

/// Begins a clean-up, and waits until the shelf holds an answer to it.
pub(crate) async fn begin(client: &Client, shelf: &FakeShelf, part: &str) {
    shelf.hold(part);
    client
        .post(&format!("{RETENTION}/run"), &json!({}))
        .await
        .done();
    wait_until("a piece is put", async || shelf.holds().then_some(())).await;
}

/// Waits until no clean-up is under way.
pub(crate) async fn ended(client: &Client) -> openapi::retention::RetentionRun {
    wait_until("the clean-up ends", async || {
        read(client)
            .await
            .last_run
            .filter(|run| run.finished_at.is_some())
    })
    .await
}

async fn number(db: &DatabaseConnection, query: &str, id: Uuid) -> i64 {
    let row = db.query_one_raw(of(db, query, id)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// A statement with an id.
fn of(db: &impl ConnectionTrait, text: &str, id: Uuid) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, [id.into()])
}

/// A server on PostgreSQL, which lets several write at once, and its past; on SQLite there is one
/// writer.
async fn on_postgres() -> Option<(Server, Client, Past)> {
    let server = Server::start(Database::postgres()?).await;
    server.apply(&file().text()).await;
    let client = server.client();
    let past = Past::of(&server).await;
    Some((server, client, past))
}

const OF_EVENT: &str = "SELECT COUNT(*) FROM delivery WHERE event_id = $1";

both! {
    async fn what_is_replayed_while_its_event_is_archived_stays(db) {
        let shelf = FakeShelf::start().unwrap();
        let server = Server::start_with(db, to_shelf(&shelf)).await;
        server.apply(&file().text()).await;
        let client = server.client();
        let past = Past::of(&server).await;
        let event = past.event(100).await;
        // It ended of late: by itself it may stay, whatever becomes of its event.
        let first = past.delivery(event, 100, "delivered", 1).await;
        let beside = past.event(100).await;
        past.delivery(beside, 100, "delivered", 100).await;
        begin(&client, &shelf, "/event/").await;
        // All that was to go is in the archive. Now more is made of one of the events, and it is done
        // before the clean-up goes on.
        let path = format!("/api/v1/events/{event}/replay");
        let made: Replayed = client.post(&path, &json!({})).await.ok();
        let [second] = made.delivery_ids.as_slice() else { panic!("{made:?}") };
        drained(&server).await;
        shelf.release();
        let run = ended(&client).await;
        assert_eq!((run.error, run.deleted.events), (None, 1), "the other one is gone");
        assert_eq!(past.ids("event").await, BTreeSet::from([event]));
        assert_eq!(past.ids("delivery").await, BTreeSet::from([first, *second]));
        // The next round takes it, with all that was made of it.
        let run = clean(&client).await.last_run.unwrap();
        assert_eq!((run.deleted.events, run.deleted.deliveries), (1, 2));
        let archived: String = shelf.objects().iter()
            .filter(|(name, _)| name.contains("/delivery/"))
            .map(|(_, bytes)| crate::retention::unpacked(bytes))
            .collect();
        assert!(archived.contains(&second.to_string()), "{archived}");
        past.db.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_a_replay_holds_stays() {
    let Some((server, client, past)) = on_postgres().await else {
        return;
    };
    let event = past.event(100).await;
    // It ended of late: by itself it may stay, whatever becomes of its event.
    past.delivery(event, 100, "delivered", 1).await;
    let other = past.event(100).await;
    // A replay in its transaction: it holds the event, and nobody else sees what it makes.
    let replay = server.store.connect().await;
    let txn = replay.begin().await.unwrap();
    let hold = "SELECT id FROM event WHERE id = $1 FOR KEY SHARE";
    txn.query_one_raw(of(&txn, hold, event))
        .await
        .unwrap()
        .unwrap();
    let copy = "INSERT INTO delivery SELECT (jsonb_populate_record(d, jsonb_build_object('id', \
                gen_random_uuid(), 'state', 'held', 'finished_at', NULL))).* FROM delivery d \
                WHERE d.event_id = $1";
    txn.execute_raw(of(&txn, copy, event)).await.unwrap();
    let run = clean(&client).await.last_run.unwrap();
    assert_eq!((run.error, run.deleted.events), (None, 1));
    txn.commit().await.unwrap();
    assert_eq!(
        past.ids("event").await,
        BTreeSet::from([event]),
        "not {other}"
    );
    assert_eq!(number(&past.db, OF_EVENT, event).await, 2);
    let run = clean(&client).await.last_run.unwrap();
    assert_eq!(run.deleted.events, 0, "what is held keeps its event");
    assert_eq!(number(&past.db, OF_EVENT, event).await, 2);
    replay.close().await.unwrap();
    past.db.close().await.unwrap();
}

/// The clean-up was quicker: nothing is made of an event that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_comes_too_late_makes_nothing() {
    let Some((server, client, past)) = on_postgres().await else {
        return;
    };
    let cleaner = server.store.connect().await;
    for by_delivery in [false, true] {
        let event = past.event(100).await;
        let delivery = past.delivery(event, 100, "dead", 1).await;
        // A clean-up in its transaction.
        let txn = cleaner.begin().await.unwrap();
        let hold = "SELECT id FROM event WHERE id = $1 FOR UPDATE";
        txn.query_one_raw(of(&txn, hold, event))
            .await
            .unwrap()
            .unwrap();
        let late = tokio::spawn({
            let client = client.clone();
            async move {
                let path = if by_delivery {
                    format!("/api/v1/deliveries/{delivery}/replay")
                } else {
                    format!("/api/v1/events/{event}/replay")
                };
                client.post(&path, &json!({})).await
            }
        });
        wait_until("the replay waits for the event", async || {
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND wait_event_type = 'Lock' AND query LIKE '%FOR KEY SHARE%'";
            (server.store.number(waits).await > 0).then_some(())
        })
        .await;
        for query in [
            "DELETE FROM event WHERE id = $1",
            "DELETE FROM delivery WHERE event_id = $1",
        ] {
            txn.execute_raw(of(&txn, query, event)).await.unwrap();
        }
        txn.commit().await.unwrap();
        let code = if by_delivery {
            Code::Conflict
        } else {
            Code::NotFound
        };
        late.await.unwrap().problem(code);
        assert_eq!(number(&past.db, OF_EVENT, event).await, 0);
    }
    cleaner.close().await.unwrap();
    past.db.close().await.unwrap();
}
