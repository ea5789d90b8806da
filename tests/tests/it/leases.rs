//! A node that loses its database while others go on: what it held is theirs, and it knows.

use std::time::Duration;

use serde_json::json;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Database, Options, Proxy, Server, wait_until};

use crate::support::{OPEN, SECRETS, delivered};

/// A node whose way to the database can be closed, and another.
struct Pair {
    way: Proxy,
    away: Server,
    other: Server,
}

async fn pair() -> Option<Pair> {
    let db = Database::postgres()?;
    let options = Options::default().set("lease_seconds", 3);
    let other = Server::start_with(db, options.clone()).await;
    let url = other.store.url().unwrap();
    let way = Proxy::before(url).await;
    let away = other.another(options.database(&way.url(url)));
    away.resume().await;
    Some(Pair { way, away, other })
}

impl Pair {
    /// Applies it, and waits until the node that will be away serves it.
    async fn apply(&self, file: File) {
        let file = file.source("probe");
        self.other.apply_with(&file.text(), SECRETS).await;
        wait_until("it is served", async || {
            let answer = self.away.anonymous().post("/hooks/probe", &json!({})).await;
            (answer.status.as_u16() == 202).then_some(())
        })
        .await;
    }

    async fn until_done(&self) {
        wait_until("the other node does it all", async || {
            (self.other.store.number(OPEN).await == 0).then_some(())
        })
        .await;
    }

    /// Opens the way again and waits until the node has learnt that it was taken for dead.
    async fn reunite(&self) {
        self.way.open();
        said(&self.away, "it starts anew").await;
    }
}

async fn said(node: &Server, words: &str) {
    wait_until("the log says so", async || {
        node.log().contains(words).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_with_the_lease_of_its_node() {
    let Some(pair) = pair().await else { return };
    let desk = FakeConnectWise::start().await.unwrap();
    let file = File::new()
        .connectwise("psa", &desk.url)
        .source("a")
        .rule_of(
            "a",
            "r",
            json!([]),
            json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "key",
                "map": { "summary": "Alert", "board": { "value": "Service Board" } },
            }}]),
        );
    pair.apply(file).await;
    // The search of the node that is away is answered long after the other has taken over.
    let search = "/service/tickets";
    let mut slow = Fault::new(Effect::LateReply).on("GET", search);
    slow.latency_ms = 8_000;
    desk.fault(slow);
    pair.away.anonymous().hook("a", &json!({})).await;
    wait_until("it searches", async || {
        (desk.called(&format!("GET {search}")) > 0).then_some(())
    })
    .await;
    pair.way.close();
    pair.until_done().await;
    assert_eq!(desk.tickets().len(), 1, "the other has made it");
    pair.reunite().await;
    // Whatever came of its call, it is told by now.
    said(&pair.away, "A late outcome was refused").await;
    assert_eq!(desk.tickets().len(), 1, "{:?}", desk.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_from_a_node_is_not_called_when_it_comes_back() {
    let Some(pair) = pair().await else { return };
    let sink = FakeSink::start().await.unwrap();
    sink.latency(Duration::from_millis(400));
    let one_by_one = json!({ "concurrency": 1 });
    let file = File::new()
        .http_with("sink", &sink.url, one_by_one)
        .source("a")
        .rule_of("a", "r", json!([]), json!([copy_to("sink")]));
    pair.apply(file).await;
    let count = 20;
    for n in 0..count {
        pair.away.anonymous().hook("a", &json!({ "n": n })).await;
    }
    // All of them are its own, and most wait in its memory.
    pair.way.close();
    pair.until_done().await;
    let before = sink.counts();
    assert_eq!(before.ids, count);
    pair.reunite().await;
    sink.latency(Duration::ZERO);
    let accepted = pair
        .away
        .anonymous()
        .hook("a", &json!({ "n": count }))
        .await;
    delivered(&pair.away.client(), accepted.event_ids[0]).await;
    let after = sink.counts();
    assert_eq!(after.requests, before.requests + 1, "only the new one");
    assert_eq!(after.ids, count + 1);
}
