//! A destination that goes away, Redis that goes away, and a long mixed load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openapi::deliveries::State;
use openapi::problem::Code;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::books::Balance;
use tests::database::Store;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{
    Books, Client, Database, Options, Proxy, Receipt, Server, both, wait_until, wait_until_within,
};

use crate::support::{OPEN, SECRETS};

/// Keys that tickets are spread over.
const KEYS: u64 = 5;

fn long() -> bool {
    std::env::var("SIGNALBOX_TEST_LONG").as_deref() == Ok("1")
}

/// Sends `count` events over a few connections at once; returns what was answered.
async fn send_many(client: &Client, slug: &str, from: u64, count: u64) -> Vec<Receipt> {
    let next = Arc::new(std::sync::atomic::AtomicU64::new(from));
    let mut senders = Vec::new();
    for _ in 0..8 {
        let (client, next, slug) = (client.clone(), Arc::clone(&next), slug.to_owned());
        senders.push(tokio::spawn(async move {
            let mut receipts = Vec::new();
            loop {
                let sent = Instant::now();
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= from + count {
                    return receipts;
                }
                let payload = json!({ "id": format!("{slug}-{n}"), "n": n, "key": n % KEYS });
                loop {
                    let call = client
                        .call(reqwest::Method::POST, &format!("/hooks/{slug}"))
                        .json(&payload);
                    match call.try_send().await {
                        Ok(answer) if answer.status.as_u16() == 202 => {
                            let accepted: openapi::sources::Accepted = answer.ok();
                            let [id] = accepted.event_ids.try_into().unwrap();
                            receipts.push(Receipt::of(id, sent));
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

/// The books balance, and everything that was answered was delivered; of tickets, repeats that waited
/// became one that says how many they were.
async fn nothing_is_lost(books: Books<'_>, ids: &[Receipt]) -> Balance {
    let balance = books.receipts(ids.iter().copied()).balance().await;
    assert_eq!(balance.events, ids.len());
    assert!(balance.all_told(), "{balance}");
    println!("{balance}");
    balance
}

/// A step that makes a ticket of a few keys, with what goes on the ticket.
fn to_tickets() -> Value {
    json!([{ "deliver": {
        "connection": "psa",
        "operation": "ticket.upsert",
        "key": "key-{{ key }}",
        "map": {
            "summary": "Alert {{ key }}",
            "board": { "value": "Service Board" },
            "initialDescription": "<n={{ n }}>",
        },
    }}])
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
        nothing_is_lost(Books::of(&server).sink(&sink).by_leases(), &ids).await;
        println!("usual {usual:.2?}, first after {:.2?}, backlog in {drain:.2?}", first - back);
    }

    async fn slow_and_half_open_upstreams_hold_up_nobody_else(db) {
        let (bad, good) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let desk = FakeConnectWise::start().await.unwrap();
        // They take every request, and never say anything more.
        bad.fault(Fault::new(Effect::Hang).times(0));
        desk.fault(Fault::new(Effect::Hang).times(0));
        let server = Server::start(db).await;
        let short = json!({ "settings": { "timeout_seconds": 1 } });
        let file = File::new()
            .http_with("bad", &bad.url, short.clone())
            .http("good", &good.url)
            .connectwise_with("psa", &desk.url, short)
            .source("bad")
            .source("good")
            .source("tickets")
            .rule_of("bad", "bad", json!([]), json!([copy_to("bad")]))
            .rule_of("good", "good", json!([]), json!([copy_to("good")]))
            .rule_of("tickets", "tickets", json!([]), to_tickets());
        server.apply_with(&file.text(), SECRETS).await;
        let client = server.anonymous();
        let mut ids = send_many(&client, "bad", 0, 40).await;
        ids.extend(send_many(&client, "tickets", 0, 20).await);
        ids.extend(send_many(&client, "good", 0, 100).await);
        wait_until("the good ones are delivered", async || {
            let done = server.store.number("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'").await;
            (done == 100).then_some(())
        })
        .await;
        assert_eq!(good.counts().ids, 100);
        // Then they are only slow: what they did is told when nobody waits for it any more.
        bad.mend();
        desk.mend();
        let mut late = Fault::new(Effect::LateReply);
        late.latency_ms = 1_300;
        bad.fault(late.clone().times(5));
        bad.fault(Fault::new(Effect::LoseReply).times(5));
        desk.fault(late.clone().on("POST", "/service/tickets").times(4));
        desk.fault(late.on("GET", "/service/tickets").times(2));
        wait_until_within(Duration::from_secs(60), "everything arrives", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        assert_eq!((bad.counts().ids, good.counts().ids), (40, 100));
        let books = Books::of(&server).sink(&bad).sink(&good).desk(&desk).by_leases();
        let balance = nothing_is_lost(books, &ids).await;
        assert_eq!(balance.tickets as u64, KEYS);
        // Of each key one was called and said nothing; what came behind it became one.
        let tickets = balance.step("tickets", 0);
        assert_eq!(tickets.of(State::Delivered) as u64, 2 * KEYS, "{balance}");
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
    let desk = FakeConnectWise::start().await.unwrap();
    // Every delivery asks for a token: that is the way on which Redis could be in the way.
    let fast = json!({ "rate_per_minute": 600_000 });
    let source = json!({ "event_id_path": "$.id" });
    let file = File::new()
        .http_with("sink", &sink.url, fast.clone())
        .connectwise_with("psa", &desk.url, fast)
        .source_with("a", source.clone())
        .source_with("tickets", source)
        .rule_of("a", "r", json!([]), json!([copy_to("sink")]))
        .rule_of("tickets", "tickets", json!([]), to_tickets());
    server.apply_with(&file.text(), SECRETS).await;
    let client = server.anonymous();
    let some = async |from: u64, count: u64| {
        let mut ids = send_many(&client, "a", from, count).await;
        ids.extend(send_many(&client, "tickets", from, count / 10).await);
        ids
    };
    let mut ids = some(0, 200).await;
    proxy.cut();
    ids.extend(some(200, 200).await);
    proxy.close();
    ids.extend(some(400, 200).await);
    crate::support::drained(&server).await;
    proxy.open();
    proxy.delay(Duration::from_millis(500));
    ids.extend(some(600, 100).await);
    crate::support::drained(&server).await;
    let books = Books::of(&server).sink(&sink).desk(&desk);
    nothing_is_lost(books, &ids).await;
    // A start does not need it either.
    proxy.close();
    server.restart().await;
    ids.extend(some(700, 50).await);
    crate::support::drained(&server).await;
    let books = Books::of(&server).sink(&sink).desk(&desk);
    nothing_is_lost(books.by_leases(), &ids).await;
    assert_eq!(desk.tickets().len() as u64, KEYS);
}

/// What the soak sends, and what it was answered.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    accepted: Mutex<Vec<Receipt>>,
    /// Keys of tickets.
    keys: Mutex<BTreeSet<u64>>,
}

/// The first third is for caches and pools to fill: what is held then is no growth.
const WARM_UP: usize = SAMPLES / 3;
/// How often the memory is looked at.
const SAMPLES: usize = 60;

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
        .rule_of("tickets", "tickets", json!([]), to_tickets())
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
    let mut samples = Vec::new();
    while samples.len() < SAMPLES {
        // The pace of the faults and of the looks at the memory.
        tokio::time::sleep(length / u32::try_from(SAMPLES).unwrap()).await;
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
    let (early, late) = samples[WARM_UP..].split_at((SAMPLES - WARM_UP) / 2);
    let highest = |of: &[u64]| of.iter().copied().max().unwrap();
    let (early, late) = (highest(early), highest(late));
    assert!(
        late < early + early / 4,
        "memory grew from {early} kB to {late} kB: {samples:?}"
    );

    let accepted = load.accepted.lock().clone();
    let sent = accepted.len();
    let books = Books::of(&server).sink(&sink).desk(&desk).by_leases();
    let balance = books.receipts(accepted).balance().await;
    assert_eq!(balance.events, sent);
    assert!(balance.all_delivered(), "{balance}");
    assert_eq!(balance.tickets, load.keys.lock().len(), "one for each key");
    println!("{length:?}: {balance}; memory {early} kB, then {late} kB");
}

/// One request of one of the kinds of the mix.
async fn one_of_all(load: &Load, client: &Client, n: u64) {
    let (key, sent) = (n % 50, Instant::now());
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
            load.keys.lock().insert(key);
            let id = post("tickets", &payload).await;
            load.accepted.lock().push(Receipt::of(id, sent));
        }
        1 => {
            // A request that is refused, one that nobody wants, and one that was sent before.
            let wrong = client.call(reqwest::Method::POST, "/hooks/plain").body("{");
            assert_eq!(wrong.send().await.status.as_u16(), 400);
            let nobody = json!({ "id": format!("nobody-{n}") });
            let id = post("plain", &nobody).await;
            load.accepted.lock().push(Receipt::of(id, sent));
        }
        2 => {
            let id = post("plain", &payload).await;
            assert_eq!(post("plain", &payload).await, id);
            load.accepted.lock().push(Receipt::of(id, sent));
        }
        _ => {
            let id = post("plain", &payload).await;
            load.accepted.lock().push(Receipt::of(id, sent));
        }
    }
}

/// Both databases at once: a soak takes the machine for itself, and an hour is long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_of_mixed_load_on_both_databases() {
    let length = Duration::from_secs(if long() { 3_600 } else { 60 });
    let postgres = async {
        if let Some(db) = Database::postgres() {
            soak_of(db, length).await;
        }
    };
    tokio::join!(soak_of(Database::Sqlite, length), postgres);
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
    let sink = FakeSink::start().await.unwrap();
    let file = File::new().http("sink", &sink.url).source("a").rule(
        "r",
        json!([]),
        json!([copy_to("sink")]),
    );
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
    crate::support::drained(&server).await;
    let ids = [before, after].map(|accepted| accepted.event_ids[0]);
    // What was refused in doubt may be there as well.
    let books = Books::of(&server).sink(&sink).accepted(ids).by_leases();
    let balance = books.balance().await;
    assert!(balance.all_delivered(), "{balance}");
}
