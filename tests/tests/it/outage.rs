//! A destination that goes away, Redis that goes away, and a long mixed load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openapi::problem::Code;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::database::Store;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Proxy, Server, both, wait_until, wait_until_within};
use uuid::Uuid;

use crate::support::{OPEN, SECRETS};

fn long() -> bool {
    std::env::var("SIGNALBOX_TEST_LONG").as_deref() == Ok("1")
}

/// Sends `count` events over a few connections at once; returns the ids that were answered.
async fn send_many(client: &Client, slug: &str, from: u64, count: u64) -> Vec<Uuid> {
    let next = Arc::new(std::sync::atomic::AtomicU64::new(from));
    let mut senders = Vec::new();
    for _ in 0..8 {
        let (client, next, slug) = (client.clone(), Arc::clone(&next), slug.to_owned());
        senders.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= from + count {
                    return ids;
                }
                let payload = json!({ "id": format!("{slug}-{n}"), "n": n });
                loop {
                    let call = client
                        .call(reqwest::Method::POST, &format!("/hooks/{slug}"))
                        .json(&payload);
                    match call.try_send().await {
                        Ok(answer) if answer.status.as_u16() == 202 => {
                            let accepted: openapi::sources::Accepted = answer.ok();
                            ids.extend(accepted.event_ids);
                            break;
                        }
                        Ok(answer) => assert_eq!(answer.status.as_u16(), 503, "{}", answer.text()),
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            }
        }));
    }
    let mut ids = Vec::new();
    for sender in senders {
        ids.extend(sender.await.unwrap());
    }
    ids
}

/// created = final + open, everything was delivered, and the sink saw every message.
async fn nothing_is_lost(server: &Server, sink: &FakeSink, ids: &[Uuid]) {
    let count = async |of: &str| {
        let query = format!("SELECT COUNT(*) FROM delivery WHERE {of}");
        server.store.number(&query).await
    };
    let created = count("TRUE").await;
    assert_eq!(
        created,
        count("finished_at IS NOT NULL").await + server.store.number(OPEN).await
    );
    assert_eq!(created, count("state = 'delivered'").await);
    assert_eq!(created, i64::try_from(ids.len()).unwrap());
    let (counts, seen) = (sink.counts(), sink.seen());
    assert_eq!(counts.ids, u64::try_from(created).unwrap());
    assert_eq!(counts.without_id, 0);
    assert!(
        seen.values().all(|seen| seen.bodies == 1),
        "repeats are the same"
    );
    let repeats: u64 = seen.values().map(|seen| seen.count - 1).sum();
    assert_eq!(counts.taken, counts.ids + repeats, "repeats are counted");
}

both! {
    async fn crash_while_the_destination_is_down_then_the_backlog_at_full_speed(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start_with(db, Options::default().set("lease_seconds", 3)).await;
        // The waits of a new installation, so that retries are far from due.
        let file = File::new()
            .connection("sink", "http", json!({
                "allow_private": true,
                "settings": { "url": sink.url },
            }))
            .source_with("a", json!({ "event_id_path": "$.id" }))
            .rule("r", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.anonymous();
        let (some, down) = if long() { (5_000, 30) } else { (400, 4) };

        // What full speed is here.
        let begun = Instant::now();
        let mut ids = send_many(&client, "a", 0, some).await;
        crate::support::drained(&server).await;
        let usual = begun.elapsed();

        sink.set_down(true);
        let (half, pause) = (some / 2, Duration::from_secs(down));
        ids.extend(send_many(&client, "a", some, half).await);
        let tried = sink.counts().requests;
        wait_until("it is tried in vain", async || (sink.counts().requests > tried).then_some(())).await;
        // The destination is away for so long: that is what is tested.
        tokio::time::sleep(pause).await;
        server.restart().await;
        ids.extend(send_many(&client, "a", some + half, half).await);
        tokio::time::sleep(pause).await;

        let before = sink.counts().taken;
        sink.set_down(false);
        let back = Instant::now();
        wait_until("the first arrives", async || (sink.counts().taken > before).then_some(())).await;
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        let first = Instant::now();
        crate::support::drained(&server).await;
        let drain = first.elapsed();
        // As fast as when it was never down, give or take a busy machine and a poll.
        assert!(drain < usual * 2 + Duration::from_secs(1), "usual {usual:?}, after the outage {drain:?}");
        nothing_is_lost(&server, &sink, &ids).await;
        println!("usual {usual:.2?}, first after {:.2?}, backlog in {drain:.2?}", first - back);
    }

    async fn slow_and_half_open_upstreams_hold_up_nobody_else(db) {
        let (bad, good) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        // Takes every request, and never says anything more.
        bad.fault(Fault::new(Effect::Hang).times(0));
        let server = Server::start(db).await;
        let short = json!({ "settings": { "timeout_seconds": 1 } });
        let file = File::new()
            .http_with("bad", &bad.url, short)
            .http("good", &good.url)
            .source("bad")
            .source("good")
            .rule_of("bad", "bad", json!([]), json!([copy_to("bad")]))
            .rule_of("good", "good", json!([]), json!([copy_to("good")]));
        server.apply(&file.text()).await;
        let client = server.anonymous();
        let stuck = send_many(&client, "bad", 0, 40).await;
        let fine = send_many(&client, "good", 0, 100).await;
        wait_until("the good ones are delivered", async || {
            let done = server.store.number("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'").await;
            (done == 100).then_some(())
        })
        .await;
        assert_eq!(good.counts().ids, 100);
        // Then it works again, and everything arrives after all, the lost answers included.
        bad.mend();
        bad.fault(Fault::new(Effect::LoseReply).times(5));
        wait_until_within(Duration::from_secs(60), "everything arrives", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        assert_eq!((stuck.len(), fine.len()), (40, 100));
        assert_eq!((bad.counts().ids, good.counts().ids), (40, 100));
        assert!(bad.seen().values().all(|seen| seen.bodies == 1));
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery WHERE state <> 'delivered'").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_work_goes_on_while_redis_is_away() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let Ok(url) = std::env::var("SIGNALBOX_TEST_REDIS_URL") else {
        println!("not run: SIGNALBOX_TEST_REDIS_URL names no Redis");
        return;
    };
    let proxy = Proxy::before(&url).await;
    let options = Options::default().set("redis_url", proxy.url(&url));
    let server = Server::start_with(db, options.clone()).await;
    let other = server.another(options);
    other.resume().await;
    let sink = FakeSink::start().await.unwrap();
    // Every delivery asks for a token: that is the way on which Redis could be in the way.
    let fast = json!({ "rate_per_minute": 600_000 });
    let file = File::new()
        .http_with("sink", &sink.url, fast)
        .source_with("a", json!({ "event_id_path": "$.id" }))
        .rule("r", json!([]), json!([copy_to("sink")]));
    server.apply(&file.text()).await;
    let client = server.anonymous();
    let mut ids = send_many(&client, "a", 0, 200).await;
    proxy.cut();
    ids.extend(send_many(&client, "a", 200, 200).await);
    proxy.close();
    ids.extend(send_many(&client, "a", 400, 200).await);
    crate::support::drained(&server).await;
    proxy.open();
    proxy.delay(Duration::from_millis(500));
    ids.extend(send_many(&client, "a", 600, 100).await);
    crate::support::drained(&server).await;
    nothing_is_lost(&server, &sink, &ids).await;
    // A start does not need it either.
    proxy.close();
    server.restart().await;
    ids.extend(send_many(&client, "a", 700, 50).await);
    crate::support::drained(&server).await;
    nothing_is_lost(&server, &sink, &ids).await;
}

/// What the soak sends, and what it was answered.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    plain: Mutex<BTreeMap<u64, Uuid>>,
    tickets: Mutex<BTreeMap<u64, Uuid>>,
}

async fn soak_of(db: Database, length: Duration) {
    let sink = FakeSink::start().await.unwrap();
    let desk = FakeConnectWise::start().await.unwrap();
    let server = Server::start(db).await;
    let source = json!({ "event_id_path": "$.id" });
    let file = File::new()
        .http("sink", &sink.url)
        // Each is counted; that repeats become one has tests of its own.
        .connectwise_with("psa", &desk.url, json!({ "coalesce": false }))
        .source_with("plain", source.clone())
        .source_with("tickets", source)
        .rule_of(
            "tickets",
            "tickets",
            json!([]),
            json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "key-{{ key }}",
                "map": {
                    "summary": "Alert {{ key }}",
                    "board": { "value": "Service Board" },
                    "initialDescription": "<n={{ n }}>",
                },
            }}]),
        )
        .rule_of(
            "plain",
            "plain",
            json!([{ "path": "$.n", "op": "exists" }]),
            json!([copy_to("sink")]),
        );
    server.apply_with(&file.text(), SECRETS).await;
    let load = Arc::new(Load::default());
    let mut senders = Vec::new();
    for sender in 0..4_u64 {
        let (load, client) = (Arc::clone(&load), server.anonymous());
        senders.push(tokio::spawn(async move {
            let mut n = sender;
            while !load.stop.load(Ordering::SeqCst) {
                one_of_all(&load, &client, n).await;
                n += 4;
            }
        }));
    }
    let (begun, mut samples) = (Instant::now(), Vec::new());
    while begun.elapsed() < length {
        // The pace of the faults and of the looks at the memory.
        tokio::time::sleep(length / 60).await;
        sink.fault(Fault::status(500).times(3));
        sink.fault(Fault::new(Effect::LoseReply));
        desk.fault(Fault::too_many(1));
        desk.fault(Fault::new(Effect::Cut));
        samples.push(server.memory());
    }
    load.stop.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.await.unwrap();
    }
    for url in [&sink.url, &desk.origin] {
        let cleared = tests::client::http()
            .delete(format!("{url}/_fake/faults"))
            .send()
            .await;
        assert!(cleared.unwrap().status().is_success());
    }
    wait_until_within(Duration::from_secs(120), "everything ends", async || {
        (server.store.number(OPEN).await == 0).then_some(())
    })
    .await;
    // The first third is for caches and pools to fill; from then on it is flat.
    let (early, late) = samples.split_at(samples.len() / 2);
    let highest = |of: &[u64]| of.iter().copied().max().unwrap();
    let (early, late) = (highest(early), highest(late));
    assert!(
        late < early + early / 4,
        "memory grew from {early} kB to {late} kB: {samples:?}"
    );

    let (plain, tickets) = (load.plain.lock().clone(), load.tickets.lock().clone());
    let count = async |of: &str| {
        server
            .store
            .number(&format!("SELECT COUNT(*) FROM {of}"))
            .await
    };
    let sent = i64::try_from(plain.len() + tickets.len()).unwrap();
    assert_eq!(count("event WHERE disposition = 'routed'").await, sent);
    assert_eq!(
        count("delivery").await,
        count("delivery WHERE finished_at IS NOT NULL").await
    );
    assert_eq!(count("delivery WHERE state = 'delivered'").await, sent);
    assert_eq!(sink.counts().ids, u64::try_from(plain.len()).unwrap());
    assert!(sink.seen().values().all(|seen| seen.bodies == 1));
    let mut notes = String::new();
    for ticket in desk.tickets() {
        for note in desk.notes(ticket["id"].as_i64().unwrap()) {
            notes.push_str(note["text"].as_str().unwrap());
        }
    }
    for n in tickets.keys() {
        assert_eq!(notes.matches(&format!("<n={n}>")).count(), 1, "alert {n}");
    }
    println!("{sent} events in {length:?}; memory {early} kB, then {late} kB");
}

/// One request of one of the kinds of the mix.
async fn one_of_all(load: &Load, client: &Client, n: u64) {
    let key = n % 50;
    let payload = json!({ "id": format!("soak-{n}"), "n": n, "key": key, "text": "x".repeat(500) });
    let post = async |slug: &str, payload: &Value| {
        loop {
            let answer = client.post(&format!("/hooks/{slug}"), payload).await;
            if answer.status.as_u16() == 202 {
                let accepted: openapi::sources::Accepted = answer.ok();
                return accepted.event_ids[0];
            }
            assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
        }
    };
    match rand::random_range(0..10) {
        0 => {
            let id = post("tickets", &payload).await;
            load.tickets.lock().insert(n, id);
        }
        1 => {
            // A request that is refused, one that nobody wants, and one that was sent before.
            let wrong = client.call(reqwest::Method::POST, "/hooks/plain").body("{");
            assert_eq!(wrong.send().await.status.as_u16(), 400);
            post("plain", &json!({ "id": format!("nobody-{n}") })).await;
        }
        2 => {
            let id = post("plain", &payload).await;
            assert_eq!(post("plain", &payload).await, id);
            load.plain.lock().insert(n, id);
        }
        _ => {
            let id = post("plain", &payload).await;
            load.plain.lock().insert(n, id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_of_mixed_load_on_sqlite() {
    let length = if long() { 3_600 } else { 60 };
    soak_of(Database::Sqlite, Duration::from_secs(length)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_of_mixed_load_on_postgresql() {
    let length = if long() { 3_600 } else { 15 };
    if let Some(db) = Database::postgres() {
        soak_of(db, Duration::from_secs(length)).await;
    }
}

/// The other end of a connection is gone without a word: senders are refused in bounded time, and
/// what they send again is stored once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_is_not_waited_for_for_ever() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let store = Store::make(db, folder.path()).await;
    let url = store.url().unwrap().to_owned();
    let proxy = Proxy::before(&url).await;
    let options = Options::default().database(&proxy.url(&url));
    let server = Server::prepare_on(store, folder, options).await;
    server.resume().await;
    let file = File::new().source("a").rule("r", json!([]), json!("drop"));
    server.apply(&file.text()).await;
    let client = server.anonymous();
    let before = client.hook("a", &json!({ "n": 0 })).await;
    proxy.delay(Duration::from_secs(3600));
    let answer = tokio::time::timeout(
        Duration::from_secs(25),
        client.post("/hooks/a", &json!({ "n": 1 })),
    )
    .await
    .expect("an answer in bounded time");
    answer.problem(Code::Unavailable);
    assert!(answer.header("retry-after").is_some());
    // The silent connections are given up; new ones work.
    proxy.delay(Duration::ZERO);
    proxy.cut();
    let after = wait_until("events are taken again", async || {
        let answer = client.post("/hooks/a", &json!({ "n": 1 })).await;
        (answer.status.as_u16() == 202).then(|| answer.ok::<openapi::sources::Accepted>())
    })
    .await;
    for accepted in [before, after] {
        let path = format!("/api/v1/events/{}", accepted.event_ids[0]);
        server.client().get(&path).await.done();
    }
}
