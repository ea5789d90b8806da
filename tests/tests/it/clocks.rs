//! Clocks that are set while servers run: nobody is killed, nothing is done twice, nothing waits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;
use tests::database::Store;
use tests::fakes::FakeSink;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, Fault};
use tests::yaml::{File, copy_to};
use tests::{Books, Database, Options, Receipt, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{SECRETS, drained};

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// A clock that a test turns.
pub(crate) struct Hand {
    folder: tempfile::TempDir,
}

impl Hand {
    pub(crate) fn new() -> Self {
        let hand = Self {
            folder: tempfile::TempDir::new().unwrap(),
        };
        hand.turn(0);
        hand
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Turns it so far from the real time. Readers see the old or the new number, never none.
    pub(crate) fn turn(&self, ms: i64) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, ms.to_string()).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    pub(crate) fn options(&self) -> Options {
        Options::default()
            .env("SIGNALBOX_TEST_CLOCK_FILE", self.path().display())
            // Longer than a busy machine may take to renew it, shorter than any jump.
            .set("lease_seconds", 30)
    }
}

/// Keys that tickets are spread over.
const KEYS: u64 = 4;

/// With so many seconds until a delivery is given up. Events of `a` are copied, those of `b` become
/// tickets.
fn file(sink: &FakeSink, desk: &FakeConnectWise, horizon: u32) -> String {
    let retry = json!({ "retry": { "horizon_seconds": horizon } });
    // Each is counted; that repeats become one has tests of its own.
    let each = json!({ "retry": { "horizon_seconds": horizon }, "coalesce": false });
    let ticket = json!([{ "deliver": {
        "connection": "psa",
        "operation": "ticket.upsert",
        "key": "key-{{ key }}",
        "map": {
            "summary": "Alert {{ key }}",
            "board": { "value": "Service Board" },
            "initialDescription": "<n={{ n }}>",
        },
    }}]);
    File::new()
        .http_with("sink", &sink.url, retry)
        .connectwise_with("psa", &desk.url, each)
        .source("a")
        .source("b")
        .rule_of("a", "copies", json!([]), json!([copy_to("sink")]))
        .rule_of("b", "tickets", json!([]), ticket)
        .text()
}

/// Sends one of each kind; returns what was answered.
async fn send(door: &Server, n: u64) -> [Receipt; 2] {
    let payload = json!({ "n": n, "key": n % KEYS });
    let (door, sent) = (door.anonymous(), Instant::now());
    let a = door.hook("a", &payload).await;
    let b = door.hook("b", &payload).await;
    [a, b].map(|accepted| Receipt::of(accepted.event_ids[0], sent))
}

/// How often each was tried that is next in its lane, or in none.
async fn heads(store: &Store) -> BTreeMap<Uuid, i32> {
    let db = store.connect().await;
    let query = "SELECT id, attempts FROM delivery WHERE behind = FALSE AND finished_at IS NULL";
    let statement = Statement::from_string(db.get_database_backend(), query);
    let rows = db.query_all_raw(statement).await.unwrap();
    db.close().await.unwrap();
    let heads = rows.iter().map(|row| {
        let id = row.try_get("", "id").unwrap();
        (id, row.try_get("", "attempts").unwrap())
    });
    heads.collect()
}

/// Waits until each of those is tried once more; they need not be tried equally often.
async fn tried_again(store: &Store) {
    let before = heads(store).await;
    assert!(!before.is_empty());
    wait_until("each is tried once more", async || {
        let now = heads(store).await;
        let waits = |(id, attempts): (&Uuid, &i32)| now.get(id).is_some_and(|now| now <= attempts);
        (!before.iter().any(waits)).then_some(())
    })
    .await;
    let dead = "SELECT COUNT(*) FROM delivery WHERE state = 'dead'";
    assert_eq!(store.number(dead).await, 0);
}

/// Waits until a server has noticed how its clock was set.
pub(crate) async fn noticed(server: &Server, times: usize) {
    wait_until("the jump is noticed", async || {
        let count = server
            .log()
            .matches("The clock of this machine was set")
            .count();
        (count >= times).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_whose_clocks_jump_never_work_on_the_same_delivery() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let (first, second) = (Hand::new(), Hand::new());
    let nodes = {
        let one = Server::start_with(db, first.options()).await;
        let two = one.another(second.options());
        two.resume().await;
        [one, two]
    };
    let sink = FakeSink::start().await.unwrap();
    sink.latency(Duration::from_millis(40));
    let desk = FakeConnectWise::start().await.unwrap();
    // Two hours apart, one node gives up soon what the other has begun.
    let file = file(&sink, &desk, 86_400);
    nodes[0].apply_with(&file, SECRETS).await;
    let begun = Instant::now();
    let first_one = wait_until("both serve it", async || {
        let answer = nodes[1].anonymous().post("/hooks/a", &json!({})).await;
        let taken = answer.status.as_u16() == 202;
        taken.then(|| answer.ok::<openapi::sources::Accepted>())
    })
    .await;
    let mut ids = vec![Receipt::of(first_one.event_ids[0], begun)];
    let mut sent = 1;
    let mut jumps = [0, 0];
    let turns = [
        (0, HOUR_MS),
        (1, -HOUR_MS),
        (0, 0),
        (1, HOUR_MS),
        (0, -HOUR_MS),
        (1, 0),
        (0, 0),
    ];
    for (node, offset) in turns {
        // Calls are under way on both when the hand moves.
        for n in 0..40 {
            ids.extend(send(&nodes[n % 2], sent).await);
            sent += 1;
        }
        [&first, &second][node].turn(offset);
        jumps[node] += 1;
        noticed(&nodes[node], jumps[node]).await;
    }
    drained(&nodes[0]).await;
    let counts = sink.counts();
    assert_eq!((counts.taken, counts.ids), (sent, sent), "each once");
    for node in &nodes {
        assert!(!node.log().contains("A node is gone"), "{}", node.log());
    }
    let once = "SELECT COUNT(*) FROM delivery WHERE state = 'delivered' AND attempts = 1";
    let deliveries = i64::try_from(ids.len()).unwrap();
    assert_eq!(nodes[0].store.number(once).await, deliveries);
    let books = Books::of(&nodes[0]).sink(&sink).desk(&desk);
    let balance = books.receipts(ids).clocks_apart().balance().await;
    assert!(balance.all_delivered(), "{balance}");
    assert_eq!(balance.tickets as u64, KEYS);
}

both! {
    async fn what_waits_for_its_time_survives_an_hour_forth_and_back(db) {
        let hand = Hand::new();
        // The retries are what is looked at, not the breaker.
        let options = hand.options().set("breaker_failures", 1_000_000);
        let server = Server::start_with(db, options).await;
        let sink = FakeSink::start().await.unwrap();
        let desk = FakeConnectWise::start().await.unwrap();
        sink.set_down(true);
        // It does what it is asked and cannot say so, and then it takes nothing more.
        let post = |fault: Fault| fault.on("POST", "/service/tickets");
        desk.fault(post(Fault::new(Effect::LoseReply).times(2)));
        desk.fault(post(Fault::status(503).times(0)));
        server.apply_with(&file(&sink, &desk, 600), SECRETS).await;
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.extend(send(&server, n).await);
        }
        tried_again(&server.store).await;
        // More than the horizon of the retries: nothing is given up by it.
        hand.turn(HOUR_MS);
        noticed(&server, 1).await;
        tried_again(&server.store).await;
        // Back again: what was due in half a second is due in an hour, for those who believe the clock.
        hand.turn(0);
        noticed(&server, 2).await;
        tried_again(&server.store).await;
        hand.turn(-HOUR_MS);
        noticed(&server, 3).await;
        sink.set_down(false);
        desk.mend();
        drained(&server).await;
        assert_eq!(sink.counts().ids, 20);
        // It still takes events, and a restart at another hour changes nothing.
        server.restart().await;
        hand.turn(HOUR_MS);
        ids.extend(send(&server, 20).await);
        drained(&server).await;
        assert_eq!(sink.counts().ids, 21);
        let books = Books::of(&server).sink(&sink).desk(&desk).by_leases();
        let balance = books.receipts(ids).clocks_apart().balance().await;
        assert!(balance.all_delivered(), "{balance}");
        assert_eq!(balance.tickets as u64, KEYS);
    }
}
