//! Clocks that are set while servers run: nobody is killed, nothing is done twice, nothing waits.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Database, Options, Server, both, wait_until, wait_until_within};

use crate::support::{OPEN, drained};

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

/// With so many seconds until a delivery is given up.
fn file(sink: &FakeSink, horizon: u32) -> String {
    let retry = json!({ "retry": { "horizon_seconds": horizon } });
    File::new()
        .http_with("sink", &sink.url, retry)
        .source("a")
        .rule("r", json!([]), json!([copy_to("sink")]))
        .text()
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
    // Two hours apart, one node gives up soon what the other has begun.
    nodes[0].apply(&file(&sink, 86_400)).await;
    wait_until("both serve it", async || {
        let answer = nodes[1].anonymous().post("/hooks/a", &json!({})).await;
        (answer.status.as_u16() == 202).then_some(())
    })
    .await;
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
        for n in 0..60 {
            let door = nodes[n % 2].anonymous();
            door.hook("a", &json!({ "n": sent })).await;
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
    let delivered = "SELECT COUNT(*) FROM delivery WHERE state = 'delivered' AND attempts = 1";
    assert_eq!(
        nodes[0].store.number(delivered).await,
        i64::try_from(sent).unwrap()
    );
}

both! {
    async fn what_waits_for_its_time_survives_an_hour_forth_and_back(db) {
        let hand = Hand::new();
        // The retries are what is looked at, not the breaker.
        let options = hand.options().set("breaker_failures", 1_000_000);
        let server = Server::start_with(db, options).await;
        let sink = FakeSink::start().await.unwrap();
        sink.set_down(true);
        server.apply(&file(&sink, 600)).await;
        for n in 0..20 {
            server.anonymous().hook("a", &json!({ "n": n })).await;
        }
        let tried = async |at_least: i64| {
            wait_until("everything was tried", async || {
                let query = "SELECT CAST(MIN(attempts) AS BIGINT) FROM delivery";
                (server.store.number(query).await >= at_least).then_some(())
            })
            .await;
        };
        tried(1).await;
        // More than the horizon of the retries: nothing is given up by it.
        hand.turn(HOUR_MS);
        noticed(&server, 1).await;
        let so_far = server.store.number("SELECT CAST(MAX(attempts) AS BIGINT) FROM delivery").await;
        tried(so_far + 1).await;
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery WHERE state = 'dead'").await, 0);
        // Back again: what was due in half a second is due in an hour, for those who believe the clock.
        hand.turn(0);
        noticed(&server, 2).await;
        let so_far = server.store.number("SELECT CAST(MAX(attempts) AS BIGINT) FROM delivery").await;
        tried(so_far + 1).await;
        hand.turn(-HOUR_MS);
        noticed(&server, 3).await;
        sink.set_down(false);
        wait_until_within(Duration::from_secs(20), "everything arrives", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        assert_eq!(sink.counts().ids, 20);
        let events = server.store.number("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'").await;
        assert_eq!(events, 20);
        // It still takes events, and a restart at another hour changes nothing.
        server.restart().await;
        hand.turn(HOUR_MS);
        server.anonymous().hook("a", &json!({ "n": 20 })).await;
        drained(&server).await;
        assert_eq!(sink.counts().ids, 21);
    }
}
