//! The oracle: nothing that was answered with 2xx is lost, whenever the process dies.
//!
//! Senders keep what they were answered, upstreams keep what they took, and the server is killed at
//! random points of the load in between, with upstreams that refuse, delay, cut, fall silent and lose
//! replies. Some deliveries die, some are discarded, some are replaced by a replay in the middle. At
//! the end the books are balanced. The seed is printed; `SIGNALBOX_TEST_SEED` plays it again.
//!
//! The same trial is run with several nodes, with a Redis that comes and goes, with a PostgreSQL that
//! crashes, and with connections that are cut in the middle of commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openapi::deliveries::State;
use openapi::sources::Accepted;
use openapi::stats::Stats;
use openapi::webhooks::WebhookMessage;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tests::client::http;
use tests::database::Store;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to, quick};
use tests::{
    Books, Client, Cluster, Database, Options, Proxy, Receipt, Server, both, wait_until_within,
};
use uuid::Uuid;

use crate::support::{OPEN, SECRETS};

/// How often something goes wrong: `short`, or `long` times if there is time for it.
fn rounds(short: u32, long: u32) -> u32 {
    match std::env::var("SIGNALBOX_TEST_LONG").as_deref() {
        Ok("1") => long,
        _ => short,
    }
}

/// Keys that the tickets are spread over; few, so that lanes are deep.
const KEYS: u64 = 12;
/// Senders at work at once.
const SENDERS: u64 = 6;
/// Done, and answered when nobody waits for it any more.
const TOO_LATE: Fault = Fault {
    method: None,
    path: None,
    times: 1,
    latency_ms: 1_300,
    effect: Effect::LateReply,
};
/// Longest time for everything to arrive once nothing is in the way.
const DRAIN: Duration = Duration::from_secs(120);

both! {
    async fn crash_loses_nothing(db) {
        let nodes = vec![Server::prepare(db, options()).await];
        run(nodes, rounds(22, 200), async |trial, random| trial.kill_one(random).await).await;
    }

    async fn crash_loses_no_message(db) {
        let nodes = vec![Server::prepare(db, options()).await];
        let trial = Trial::start(nodes).await.watched().await;
        run_trial(trial, rounds(6, 60), async |trial, random| trial.kill_one(random).await).await;
    }
}

/// Nodes that do everything, and a mixed company.
fn roles(of: &[&str]) -> Vec<Options> {
    of.iter().map(|role| options().set("role", role)).collect()
}

async fn nodes(store: Store, options: Vec<Options>) -> Vec<Server> {
    let folder = tempfile::TempDir::new().unwrap();
    let mut options = options.into_iter();
    let first = Server::prepare_on(store, folder, options.next().unwrap()).await;
    let others: Vec<Server> = options.map(|options| first.another(options)).collect();
    std::iter::once(first).chain(others).collect()
}

async fn store() -> Option<Store> {
    let db = Database::postgres()?;
    let folder = tempfile::TempDir::new().unwrap();
    Some(Store::make(db, folder.path()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_of_any_of_two_nodes_and_of_redis_loses_nothing() {
    let Some(store) = store().await else { return };
    let Ok(url) = std::env::var("SIGNALBOX_TEST_REDIS_URL") else {
        println!("not run: SIGNALBOX_TEST_REDIS_URL names no Redis");
        return;
    };
    let redis = Proxy::before(&url).await;
    let both = roles(&["all", "all"]).into_iter();
    let both = both.map(|options| options.set("redis_url", redis.url(&url)));
    let nodes = nodes(store, both.collect()).await;
    run(nodes, rounds(6, 60), async |trial, random| {
        redis.delay(Duration::ZERO);
        match random.random_range(0..4) {
            0 => redis.cut(),
            1 => redis.close(),
            2 => redis.open(),
            _ => redis.delay(Duration::from_millis(random.random_range(20..500))),
        }
        trial.kill_one(random).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_of_any_of_three_nodes_loses_nothing() {
    let Some(store) = store().await else { return };
    let nodes = nodes(store, roles(&["all", "api", "worker"])).await;
    run(nodes, rounds(6, 60), async |trial, random| {
        trial.kill_one(random).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_of_postgresql_loses_nothing() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let store = Store::make_in(&cluster.url()).await;
    let nodes = nodes(store, roles(&["all", "all"])).await;
    run(nodes, rounds(3, 30), async |_, random| {
        let signal = if random.random_bool(0.5) {
            "QUIT"
        } else {
            "INT"
        };
        cluster.stop(signal).await;
        // Long enough for the nodes to notice, and for senders to be refused.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..2_000))).await;
        cluster.resume().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_of_connections_in_commits_loses_nothing() {
    let Some(store) = store().await else { return };
    let url = store.url().unwrap().to_owned();
    let (first, second) = (Proxy::before(&url).await, Proxy::before(&url).await);
    let through = |proxy: &Proxy| options().database(&proxy.url(&url));
    let nodes = nodes(store, vec![through(&first), through(&second)]).await;
    run(nodes, rounds(12, 120), async |_, random| {
        let proxy = if random.random_bool(0.5) {
            &first
        } else {
            &second
        };
        match random.random_range(0..4) {
            0 => proxy.cut(),
            1 => proxy.cut_before_commits(random.random_range(1..4)),
            _ => proxy.cut_after_commits(random.random_range(1..4)),
        }
    })
    .await;
    let cut = first.cut_commits() + second.cut_commits();
    assert!(cut > 0, "no commit was cut");
    println!("{cut} commits were cut");
}

fn options() -> Options {
    // A dead node's leases hold no longer than they must.
    Options::default()
        .set("lease_seconds", 3)
        .set("log", "warn,api::dispatch=error")
}

/// The trial: load and foul weather, something that goes wrong in each round, and the comparison.
async fn run(nodes: Vec<Server>, rounds: u32, wrong: impl AsyncFn(&Trial, &mut StdRng)) {
    run_trial(Trial::start(nodes).await, rounds, wrong).await;
}

async fn run_trial(trial: Trial, rounds: u32, wrong: impl AsyncFn(&Trial, &mut StdRng)) {
    let seed = std::env::var("SIGNALBOX_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("SIGNALBOX_TEST_SEED={seed}");
    let begun = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let clients: Vec<Client> = trial.doors().map(Server::anonymous).collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| tokio::spawn(send(trial.book.clone(), clients.clone(), n)))
        .collect();
    for round in 0..rounds {
        trial.round(&mut random).await;
        if round == rounds / 2 {
            trial.replay(&mut random).await;
        }
        wrong(&trial, &mut random).await;
        trial.refuser.answer(400);
    }
    trial.book.stop.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.await.unwrap();
    }
    trial.clear_up().await;
    trial.drain().await;
    let report = trial.compare().await;
    println!("{rounds} rounds in {:.0?}: {report}", begun.elapsed());
}

/// What the senders know.
#[derive(Default)]
struct Book {
    stop: AtomicBool,
    answered: AtomicU64,
    next: AtomicU64,
    /// The numbers of the events that were answered, by the ids of the answers.
    accepted: Mutex<BTreeMap<Uuid, (u64, Receipt)>>,
    /// Tickets that were sent; whether they were taken is not known for all.
    tried: Mutex<BTreeSet<u64>>,
    /// Answers that said `duplicate`: the one before had been lost.
    repeats: AtomicU64,
}

/// A step that makes a ticket, or a note on it, with keys of its own.
fn ticket(connection: &str, keys: &str) -> Value {
    json!({ "deliver": {
        "connection": connection,
        "operation": "ticket.upsert",
        "key": format!("{keys}-{{{{ key }}}}"),
        "map": {
            "summary": "Alert {{ key }}",
            "board": { "value": "Service Board" },
            "initialDescription": "<n={{ n }}>",
        },
    }})
}

struct Trial {
    nodes: Vec<Server>,
    roles: Vec<bool>,
    sink: FakeSink,
    /// Takes nothing, except while dead letters are replayed.
    refuser: FakeSink,
    desk: FakeConnectWise,
    /// Who is told of events and deliveries, if anybody.
    hub: Option<FakeSink>,
    book: Arc<Book>,
}

/// Where an event of this number goes: most are copied, a quarter become tickets, a few die, and a
/// few are discarded.
fn slug(n: u64) -> &'static str {
    match n % 16 {
        0 | 4 | 8 | 12 => "tickets",
        3 => "refused",
        7 => "skipped",
        _ => "plain",
    }
}

/// A sender of a monitoring system: sends an event again until it is answered with 202.
async fn send(book: Arc<Book>, clients: Vec<Client>, sender: u64) {
    while !book.stop.load(Ordering::SeqCst) {
        let n = book.next.fetch_add(1, Ordering::SeqCst);
        let key = (n * 7 + sender) % KEYS;
        let slug = slug(n);
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "key": key });
        if slug == "tickets" {
            book.tried.lock().insert(key);
        }
        let sent = Instant::now();
        let Some(accepted) = insist(&book, &clients, slug, &payload).await else {
            return;
        };
        let [id] = accepted.event_ids.try_into().unwrap();
        if accepted.duplicate {
            book.repeats.fetch_add(1, Ordering::SeqCst);
        }
        let answered = (n, Receipt::of(id, sent));
        let before = book.accepted.lock().insert(id, answered);
        assert!(before.is_none(), "two events share the id {id}");
        book.answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends until there is an answer; ends without one only when the load is over.
async fn insist(book: &Book, clients: &[Client], slug: &str, payload: &Value) -> Option<Accepted> {
    // As a load balancer would: another door each time.
    for client in clients
        .iter()
        .cycle()
        .skip(rand::random_range(0..clients.len()))
    {
        let call = client
            .call(Method::POST, &format!("/hooks/{slug}"))
            .json(payload);
        match call.try_send().await {
            Ok(answer) if answer.status.as_u16() == 202 => return Some(answer.ok()),
            Ok(answer) => {
                assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
                assert!(answer.header("retry-after").is_some(), "{}", answer.text());
            }
            // Nobody listens while the server is down.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        if book.stop.load(Ordering::SeqCst) {
            return None;
        }
    }
    None
}

impl Trial {
    async fn start(nodes: Vec<Server>) -> Self {
        let sink = FakeSink::start().await.unwrap();
        let refuser = FakeSink::start().await.unwrap();
        refuser.answer(400);
        let desk = FakeConnectWise::start().await.unwrap();
        for node in &nodes {
            node.resume().await;
        }
        let mut roles = Vec::new();
        for node in &nodes {
            // A worker takes no events.
            let answer = node.anonymous().get("/api/openapi.json").await;
            roles.push(answer.status.is_success());
        }
        let source = json!({ "event_id_path": "$.id" });
        // Short, so that silence is noticed; a rate, so that tokens are asked for.
        let short = json!({
            "settings": { "timeout_seconds": 1 },
            "rate_per_minute": 600_000,
        });
        let mut in_order = copy_to("ordered");
        in_order["deliver"]["key"] = json!("key-{{ key }}");
        // One has each on its ticket; at the other, repeats that wait become one, which says how many
        // they were.
        let mut each = short.clone();
        each["coalesce"] = json!(false);
        let file = File::new()
            .http_with("sink", &format!("{}/in", sink.url), short.clone())
            .http_with("ordered", &format!("{}/ordered", sink.url), short.clone())
            .http("refuser", &refuser.url)
            .connectwise_with("psa", &desk.url, each)
            .connectwise_with("repeats", &desk.url, short)
            .source_with("plain", source.clone())
            .source_with("refused", source.clone())
            .source_with("skipped", source.clone())
            .source_with("tickets", source)
            .rule_of(
                "tickets",
                "tickets",
                json!([]),
                json!([ticket("psa", "each"), ticket("repeats", "repeated")]),
            )
            .rule_of("refused", "refused", json!([]), json!([copy_to("refuser")]))
            .rule_of("skipped", "skipped", json!([]), json!([copy_to("sink")]))
            .rule_of(
                "plain",
                "plain",
                json!([]),
                json!([copy_to("sink"), in_order]),
            )
            .window(
                "always",
                json!({
                    "mode": "skip",
                    "schedule": { "kind": "daily", "start": "00:00", "end": "00:00" },
                    "scope": { "kind": "sources", "sources": ["skipped"] },
                }),
            );
        nodes[0].apply_with(&file.text(), SECRETS).await;
        Self {
            nodes,
            roles,
            sink,
            refuser,
            desk,
            hub: None,
            book: Arc::default(),
        }
    }

    /// With a subscriber that is told of every event and of what reached its upstream.
    async fn watched(mut self) -> Self {
        let hub = FakeSink::start().await.unwrap();
        let new = json!({
            "name": "hub", "connector": "webhook", "allow_private": true, "retry": quick(),
            "settings": { "url": hub.url, "types": ["event.received", "delivery.delivered"] },
        });
        let client = self.nodes[0].client();
        client.post("/api/v1/connections", &new).await.done();
        self.hub = Some(hub);
        self
    }

    /// The nodes that take events.
    fn doors(&self) -> impl Iterator<Item = &Server> {
        let doors = self.nodes.iter().zip(&self.roles);
        doors.filter(|(_, door)| **door).map(|(node, _)| node)
    }

    fn store(&self) -> &Store {
        &self.nodes[0].store
    }

    /// Kills any of the nodes. Sometimes it stays away for a while.
    async fn kill_one(&self, random: &mut StdRng) {
        let node = &self.nodes[random.random_range(0..self.nodes.len())];
        node.kill();
        if self.nodes.len() > 1 && random.random_bool(0.5) {
            let target = self.book.answered.load(Ordering::SeqCst) + random.random_range(5..40);
            let others = self.doors().any(Server::runs);
            if others {
                self.answered(target).await;
            }
        }
        node.resume().await;
    }

    async fn answered(&self, target: u64) {
        wait_until_within(DRAIN, "events are accepted", async || {
            (self.book.answered.load(Ordering::SeqCst) >= target).then_some(())
        })
        .await;
    }

    /// Lets some events through, in foul weather, until a moment in the middle of it.
    async fn round(&self, random: &mut StdRng) {
        self.weather(random);
        let target = self.book.answered.load(Ordering::SeqCst) + random.random_range(10..60);
        self.answered(target).await;
        // The moment of what goes wrong, somewhere between two commits.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
    }

    /// Repeats what died so far, while it would be taken. What goes wrong next may be in the middle.
    async fn replay(&self, random: &mut StdRng) {
        wait_until_within(DRAIN, "something died", async || {
            let dead = "SELECT COUNT(*) FROM delivery WHERE state = 'dead'";
            (self.store().number(dead).await > 0).then_some(())
        })
        .await;
        self.refuser.answer(200);
        wait_until_within(DRAIN, "dead letters are replayed", async || {
            for door in self.doors() {
                let replay = "/api/v1/dead-letters/replay";
                let call = door.client().call(Method::POST, replay).json(&json!({}));
                match call.try_send().await {
                    Ok(answer) if answer.status.is_success() => return Some(()),
                    Ok(answer) => assert!(answer.status.is_server_error(), "{}", answer.text()),
                    Err(_) => {}
                }
            }
            None
        })
        .await;
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
    }

    /// Faults for the next requests upstream.
    fn weather(&self, random: &mut StdRng) {
        for _ in 0..6 {
            let mut fault = match random.random_range(0..9) {
                0 => Fault::new(Effect::LoseReply),
                1 => Fault::new(Effect::Cut),
                2 => Fault::too_many(1),
                3 => Fault::status(500),
                4 => Fault::status(503),
                5 => Fault::new(Effect::LateReply),
                6 => Fault::new(Effect::Hang),
                7 => TOO_LATE,
                _ => Fault::new(Effect::Delay),
            };
            if fault != TOO_LATE {
                fault.latency_ms = random.random_range(0..60);
            }
            let hub = self.hub.as_ref().filter(|_| random.random_bool(0.5));
            if let Some(hub) = hub {
                hub.fault(fault);
                continue;
            }
            match random.random_range(0..3) {
                0 => self.sink.fault(fault),
                1 => self.desk.fault(fault.on("POST", "/service/tickets")),
                _ => self.desk.fault(fault),
            }
        }
    }

    /// Nothing is in the way any more.
    async fn clear_up(&self) {
        let hub = self.hub.as_ref().map(|hub| &hub.url);
        let own = [&self.sink.url, &self.refuser.url, &self.desk.origin];
        for url in own.into_iter().chain(hub) {
            let cleared = http().delete(format!("{url}/_fake/faults")).send().await;
            assert!(cleared.unwrap().status().is_success());
        }
    }

    async fn drain(&self) {
        wait_until_within(DRAIN, "every delivery ends", async || {
            let replaying = "SELECT COUNT(*) FROM job WHERE state = 'running'";
            let open = self.store().number(replaying).await + self.store().number(OPEN).await;
            (open == 0).then_some(())
        })
        .await;
    }

    async fn compare(&self) -> String {
        let accepted = self.book.accepted.lock().clone();
        let door = self.doors().next().unwrap();
        let books = Books::of(door)
            .sink(&self.sink)
            .sink(&self.refuser)
            .desk(&self.desk)
            .receipts(accepted.values().map(|(_, receipt)| *receipt))
            .by_leases();
        let balance = books.balance().await;

        // The answer to an event was its own. What was stored without an answer was sent at least.
        let stored = self.numbers().await;
        for (id, (n, _)) in &accepted {
            assert_eq!(stored.get(id), Some(n), "event {id}");
        }
        let tried = self.book.next.load(Ordering::SeqCst);
        assert!(stored.values().all(|n| *n < tried));
        let distinct: BTreeSet<u64> = stored.values().copied().collect();
        assert_eq!(distinct.len(), stored.len(), "an event was stored twice");

        // Whatever went wrong, every end is what it must be.
        for (rule, step) in [("plain", 0), ("plain", 1), ("tickets", 0)] {
            let sum = balance.step(rule, step);
            assert!(sum.all_delivered(), "{rule}.{step}: {sum:?}");
        }
        let repeated = balance.step("tickets", 1);
        assert!(repeated.all_told(), "{repeated:?}");
        let skipped = balance.step("skipped", 0);
        assert_eq!(skipped.of(State::Discarded), skipped.created);
        let refused = balance.step("refused", 0);
        assert!(refused.of(State::Superseded) > 0, "{refused:?}");
        let ended: usize = [State::Superseded, State::Dead, State::Delivered]
            .iter()
            .map(|state| refused.of(*state))
            .sum();
        assert_eq!(ended, refused.created, "{refused:?}");
        // Every key has one ticket of each of the two steps, since none was ever closed.
        let keys = self.book.tried.lock().len();
        assert!(balance.tickets <= 2 * keys, "{} tickets", balance.tickets);

        if let Some(hub) = &self.hub {
            self.compare_hub(hub, &stored).await;
        }
        let stats: Stats = door.client().read("/api/v1/stats").await;
        let events: i64 = stats.hours.iter().map(|hour| hour.accepted).sum();
        assert_eq!(events, i64::try_from(balance.events).unwrap());
        assert_eq!(stats.queue.depth, 0);
        let repeats = self.book.repeats.load(Ordering::SeqCst);
        format!("{balance}; {repeats} repeated by senders")
    }

    /// The subscriber was told of every event and of every delivery that reached its upstream, each
    /// under one id; repeats carried the same body. Nothing was told that is not so.
    async fn compare_hub(&self, hub: &FakeSink, stored: &BTreeMap<Uuid, u64>) {
        let rows = async |column: &str, of: &str| {
            let db = self.store().connect().await;
            let query = format!("SELECT {column} AS id FROM delivery WHERE {of}");
            let statement = Statement::from_string(db.get_database_backend(), query);
            let found = db.query_all_raw(statement).await.unwrap();
            db.close().await.unwrap();
            found
        };
        let written = rows("message_id", "operation = 'webhook.send'").await;
        let written: BTreeSet<String> = written
            .iter()
            .map(|row| row.try_get("", "id").unwrap())
            .collect();
        let reached = "state = 'delivered' AND operation <> 'webhook.send'";
        let reached = rows("id", reached).await;
        let reached = reached.iter().map(|row| row.try_get("", "id").unwrap());
        let mut wanted: BTreeSet<(&str, Uuid)> = reached
            .map(|delivery| ("delivery.delivered", delivery))
            .collect();
        wanted.extend(stored.keys().map(|event| ("event.received", *event)));

        let mut told: BTreeSet<(&str, Uuid)> = BTreeSet::new();
        for (id, seen) in hub.seen() {
            assert!(written.contains(&id), "the hub was told {id} of nobody");
            assert_eq!(seen.bodies, 1, "repeats of {id} differ");
            let message: WebhookMessage = serde_json::from_str(&seen.body).unwrap();
            let (kind, about) = match message.kind.as_str() {
                "event.received" => ("event.received", "event_id"),
                "delivery.delivered" => ("delivery.delivered", "delivery_id"),
                other => panic!("the hub did not ask for {other}"),
            };
            let about = message.data[about].as_str().unwrap().parse().unwrap();
            assert!(told.insert((kind, about)), "{kind} of {about} has two ids");
        }
        assert_eq!(told, wanted);
        assert_eq!(told.len(), written.len(), "all that was written was told");
        let counts = hub.counts();
        println!(
            "{} messages, {} of {} requests were repeats",
            written.len(),
            counts.taken - counts.ids,
            counts.taken,
        );
    }

    /// The number of every event that is stored.
    async fn numbers(&self) -> BTreeMap<Uuid, u64> {
        let db = self.store().connect().await;
        let query = "SELECT id, idempotency_key FROM event";
        let statement = Statement::from_string(db.get_database_backend(), query);
        let rows = db.query_all_raw(statement).await.unwrap();
        db.close().await.unwrap();
        let numbers = rows.iter().map(|row| {
            let key: String = row.try_get("", "idempotency_key").unwrap();
            let number = key.strip_prefix("delivery-").unwrap().parse().unwrap();
            (row.try_get("", "id").unwrap(), number)
        });
        numbers.collect()
    }
}
