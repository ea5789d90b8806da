//! More than there is room for: requests, bodies, disk. Refusals, never growth and never damage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openapi::problem::Code;
use openapi::stats::Stats;
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::server::both as output;
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Server, both, wait_until, wait_until_within};

use crate::support::{OPEN, drained, events};

fn file(sink: &FakeSink) -> String {
    File::new()
        .http("sink", &sink.url)
        .source_with("a", json!({ "event_id_path": "$.id" }))
        .rule("r", json!([]), json!([copy_to("sink")]))
        .text()
}

/// Posts `count` bodies over so many connections at once; returns how many were taken and how many
/// refused with 503. Anything else fails the test.
async fn flood(client: &Client, connections: usize, count: usize, size: usize) -> (usize, usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let text = Arc::new("x".repeat(size));
    let mut senders = Vec::new();
    for _ in 0..connections {
        let (client, next, text) = (client.clone(), Arc::clone(&next), Arc::clone(&text));
        senders.push(tokio::spawn(async move {
            let (mut taken, mut refused) = (0, 0);
            while next.fetch_add(1, Ordering::SeqCst) < count {
                let answer = client.post("/hooks/a", &json!({ "text": *text })).await;
                if answer.status.as_u16() == 202 {
                    taken += 1;
                } else {
                    answer.problem(Code::Unavailable);
                    assert!(answer.header("retry-after").is_some());
                    refused += 1;
                }
            }
            (taken, refused)
        }));
    }
    let mut sum = (0, 0);
    for sender in senders {
        let (taken, refused) = sender.await.unwrap();
        sum = (sum.0 + taken, sum.1 + refused);
    }
    sum
}

both! {
    async fn memory_is_flat_under_a_flood(db) {
        let sink = FakeSink::start().await.unwrap();
        sink.set_down(true);
        // Small queues: what does not fit waits in the database, or is refused.
        let options = Options::default()
            .set("queue_accepts", 64)
            .set("queue_deliveries", 100)
            .set("refusals_kept", 50);
        let server = Server::start_with(db, options).await;
        server.apply(&file(&sink)).await;
        let client = server.anonymous();
        let (first, _) = flood(&client, 32, 600, 2_000).await;
        let before = server.memory();
        let (taken, refused) = flood(&client, 32, 2_400, 2_000).await;
        let after = server.memory();
        println!("{taken} taken, {refused} refused; memory {before} kB, then {after} kB");
        assert!(after < before * 3 / 2, "memory grew from {before} kB to {after} kB");
        // Refusals of a known source are bounded, too.
        for _ in 0..300 {
            client.call(reqwest::Method::POST, "/hooks/a").body("{").send().await.problem(Code::MalformedBody);
        }
        wait_until("the ring is cut", async || {
            let kept = server.store.number("SELECT COUNT(*) FROM refusal").await;
            (kept <= 60).then_some(())
        })
        .await;
        sink.set_down(false);
        wait_until_within(Duration::from_secs(90), "everything arrives", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        let accepted = events(&server).await;
        assert_eq!(sink.counts().ids, u64::try_from(accepted).unwrap());
        assert_eq!(accepted, i64::try_from(first + taken).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_have_a_budget() {
    let options = Options::default().set("queue_bytes", 4 << 20);
    let server = Server::start_with(Database::Sqlite, options).await;
    // Nothing is delivered: only the way in is measured.
    let file = File::new().source("a").rule("r", json!([]), json!("drop"));
    server.apply(&file.text()).await;
    let client = server.anonymous();
    flood(&client, 4, 20, 900_000).await;
    let before = server.memory();
    let (taken, refused) = flood(&client, 64, 160, 900_000).await;
    let after = server.memory();
    println!("{taken} taken, {refused} refused; memory {before} kB, then {after} kB");
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    // Sixty-four bodies would be sixty megabytes, several times over.
    assert!(
        after < before + 60_000,
        "memory grew from {before} kB to {after} kB"
    );
    // Every share was given back.
    let (taken, refused) = flood(&client, 1, 5, 900_000).await;
    assert_eq!((taken, refused), (5, 0));
}

/// The disk is full, as far as the server can tell: its files may not grow beyond a limit
/// (`RLIMIT_FSIZE`, with the signal ignored). What is read goes on, what writes is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_damages_nothing() {
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start_with(Database::Sqlite, Options::default().file_limit(6_000)).await;
    server.apply(&file(&sink)).await;
    let client = server.anonymous();
    let status = async || -> (u16, Value) {
        let answer = client.get("/readyz").await;
        (answer.status.as_u16(), answer.json())
    };
    assert_eq!(status().await.0, 200);
    let mut accepted = Vec::new();
    let text = "x".repeat(50_000);
    let refused = wait_until("the disk is full", async || {
        let n = accepted.len();
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "text": text });
        let answer = client.post("/hooks/a", &payload).await;
        if answer.status.as_u16() == 202 {
            let taken: openapi::sources::Accepted = answer.ok();
            accepted.extend(taken.event_ids);
            return None;
        }
        Some(answer)
    })
    .await;
    refused.problem(Code::Unavailable);
    assert!(refused.header("retry-after").is_some());
    assert!(accepted.len() > 3, "{}", accepted.len());
    let (code, ready) = status().await;
    assert_eq!(
        (code, ready["status"].as_str()),
        (503, Some("not ready")),
        "{ready}"
    );
    assert_eq!(ready["writes"]["state"], "failed", "{ready}");
    assert_eq!(ready["database"]["state"], "ok", "{ready}");
    // People can still look, and see a red light.
    let stats: Stats = server.client().read("/api/v1/stats").await;
    let light = stats
        .lights
        .iter()
        .find(|light| light.kind == "database")
        .unwrap();
    assert_eq!(light.colour, "red", "{light:?}");
    let detail = light.detail.clone().unwrap_or_default();
    assert!(detail.contains("no space"), "{light:?}");
    // It stays up, and a kill in this state does no harm.
    for n in 0..20 {
        let payload = json!({ "id": format!("more-{n}"), "text": text });
        let answer = client.post("/hooks/a", &payload).await;
        if answer.status.as_u16() == 202 {
            let taken: openapi::sources::Accepted = answer.ok();
            accepted.extend(taken.event_ids);
        }
    }

    server.lift_file_limit();
    wait_until("there is room again", async || {
        let n = accepted.len();
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "text": text });
        let answer = client.post("/hooks/a", &payload).await;
        (answer.status.as_u16() == 202).then(|| {
            let taken: openapi::sources::Accepted = answer.ok();
            accepted.extend(taken.event_ids);
        })
    })
    .await;
    wait_until("it is ready", async || {
        (status().await.0 == 200).then_some(())
    })
    .await;
    drained(&server).await;
    accepted.sort();
    accepted.dedup();
    let count = i64::try_from(accepted.len()).unwrap();
    assert_eq!(events(&server).await, count);
    let delivered = "SELECT COUNT(*) FROM delivery WHERE state = 'delivered'";
    assert_eq!(server.store.number(delivered).await, count);
    assert_eq!(sink.counts().ids, u64::try_from(count).unwrap());
    let sound = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(server.store.number(sound).await, 1);
    let status = server.terminate().await;
    assert!(status.success(), "{status}");
    let listed = server.cli(&["migrate", "status"]).await;
    assert!(listed.status.success(), "{}", output(&listed));
}
