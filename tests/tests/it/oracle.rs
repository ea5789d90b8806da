//! The oracle: nothing that was answered with 2xx is lost, whenever the process dies.
//!
//! Senders keep what they were answered, upstreams keep what they took, and the server is killed at
//! random points of the load in between, with upstreams that refuse, delay, cut and lose replies. At
//! the end both sides are compared. The seed is printed; `SIGNALBOX_TEST_SEED` plays it again.
//!
//! The same trial is run with several nodes, with a PostgreSQL that crashes, and with connections
//! that are cut in the middle of commits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
use tests::{Client, Cluster, Database, Options, Proxy, Server, both, wait_until_within};
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
async fn crash_of_any_of_two_nodes_loses_nothing() {
    let Some(store) = store().await else { return };
    let nodes = nodes(store, roles(&["all", "all"])).await;
    run(nodes, rounds(6, 60), async |trial, random| {
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
    for _ in 0..rounds {
        trial.round(&mut random).await;
        wrong(&trial, &mut random).await;
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
    /// Number of the event to the id that it was answered with.
    plain: Mutex<BTreeMap<u64, Uuid>>,
    /// The same for tickets, with the key.
    tickets: Mutex<BTreeMap<u64, (Uuid, u64)>>,
    /// Tickets that were sent; whether they were taken is not known for all.
    tried: Mutex<BTreeMap<u64, u64>>,
    /// Answers that said `duplicate`: the one before had been lost.
    repeats: AtomicU64,
}

struct Trial {
    nodes: Vec<Server>,
    roles: Vec<bool>,
    sink: FakeSink,
    desk: FakeConnectWise,
    /// Who is told of events and deliveries, if anybody.
    hub: Option<FakeSink>,
    book: Arc<Book>,
}

/// A sender of a monitoring system: sends an event again until it is answered with 202.
async fn send(book: Arc<Book>, clients: Vec<Client>, sender: u64) {
    while !book.stop.load(Ordering::SeqCst) {
        let n = book.next.fetch_add(1, Ordering::SeqCst);
        let key = (n * 7 + sender) % KEYS;
        let ticket = n.is_multiple_of(4);
        let slug = if ticket { "tickets" } else { "plain" };
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "key": key });
        if ticket {
            book.tried.lock().insert(n, key);
        }
        let Some(accepted) = insist(&book, &clients, slug, &payload).await else {
            return;
        };
        let [id] = accepted.event_ids.try_into().unwrap();
        if accepted.duplicate {
            book.repeats.fetch_add(1, Ordering::SeqCst);
        }
        if ticket {
            book.tickets.lock().insert(n, (id, key));
        } else {
            book.plain.lock().insert(n, id);
        }
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
        let file = File::new()
            .http("sink", &format!("{}/in", sink.url))
            // Each is looked for; that repeats become one has tests of its own.
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
            .rule_of("plain", "plain", json!([]), json!([copy_to("sink")]));
        nodes[0].apply_with(&file.text(), SECRETS).await;
        Self {
            nodes,
            roles,
            sink,
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

    /// Faults for the next requests upstream.
    fn weather(&self, random: &mut StdRng) {
        for _ in 0..6 {
            let mut fault = match random.random_range(0..7) {
                0 => Fault::new(Effect::LoseReply),
                1 => Fault::new(Effect::Cut),
                2 => Fault::too_many(1),
                3 => Fault::status(500),
                4 => Fault::status(503),
                5 => Fault::new(Effect::LateReply),
                _ => Fault::new(Effect::Delay),
            };
            fault.latency_ms = random.random_range(0..60);
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
        for url in [&self.sink.url, &self.desk.origin].into_iter().chain(hub) {
            let cleared = http().delete(format!("{url}/_fake/faults")).send().await;
            assert!(cleared.unwrap().status().is_success());
        }
    }

    async fn drain(&self) {
        wait_until_within(DRAIN, "every delivery ends", async || {
            (self.store().number(OPEN).await == 0).then_some(())
        })
        .await;
    }

    async fn compare(&self) -> String {
        let stored = self.stored().await;
        let plain = self.book.plain.lock().clone();
        let tickets = self.book.tickets.lock().clone();

        // Every id that was answered is there, once, and was delivered.
        let answered = plain.values().chain(tickets.values().map(|(id, _)| id));
        let answered: Vec<Uuid> = answered.copied().collect();
        let distinct: BTreeSet<Uuid> = answered.iter().copied().collect();
        assert_eq!(distinct.len(), answered.len(), "two events share an id");
        for id in &answered {
            let rows = stored.get(id).map(Vec::as_slice).unwrap_or_default();
            let [row] = rows else {
                panic!("event {id} was answered and has {} deliveries", rows.len());
            };
            assert_eq!(row.state, "delivered", "event {id}");
        }
        // What was stored without an answer was sent at least; nothing comes from nowhere.
        let events = self.store().number("SELECT COUNT(*) FROM event").await;
        let tried = self.book.next.load(Ordering::SeqCst);
        assert!(events <= i64::try_from(tried).unwrap());
        let deliveries: usize = stored.values().map(Vec::len).sum();
        assert_eq!(
            i64::try_from(deliveries).unwrap(),
            events,
            "one delivery each"
        );

        self.compare_sink(&stored, &plain);
        self.compare_desk(&tickets);
        if let Some(hub) = &self.hub {
            self.compare_hub(hub, &answered).await;
        }
        self.compare_counters(events).await;
        format!(
            "{events} events, {} repeated by senders, {} of {} sink requests were repeats, {} tickets",
            self.book.repeats.load(Ordering::SeqCst),
            self.sink.counts().taken - self.sink.counts().ids,
            self.sink.counts().taken,
            self.desk.tickets().len(),
        )
    }

    /// Every plain event reached the sink under the id of its message; repeats carried the same.
    fn compare_sink(&self, stored: &HashMap<Uuid, Vec<Row>>, plain: &BTreeMap<u64, Uuid>) {
        let seen = self.sink.seen();
        assert_eq!(self.sink.counts().without_id, 0);
        for (n, id) in plain {
            let message = &stored[id][0].message_id;
            let seen = seen
                .get(message)
                .unwrap_or_else(|| panic!("event {id} never reached the sink"));
            assert_eq!(seen.bodies, 1, "repeats of {message} differ");
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            assert_eq!(body["n"], *n, "{message}");
        }
        let known: BTreeSet<&str> = stored
            .values()
            .flatten()
            .map(|row| row.message_id.as_str())
            .collect();
        for id in seen.keys() {
            assert!(
                known.contains(id.as_str()),
                "the sink saw {id}, which is nobody's"
            );
        }
    }

    /// One ticket for each key, and every event on it once.
    fn compare_desk(&self, answered: &BTreeMap<u64, (Uuid, u64)>) {
        let tickets = self.desk.tickets();
        let keys: BTreeSet<&str> = tickets
            .iter()
            .map(|ticket| ticket["externalXRef"].as_str().unwrap())
            .collect();
        assert_eq!(keys.len(), tickets.len(), "a key has two tickets");
        let tried: BTreeSet<u64> = self.book.tried.lock().values().copied().collect();
        assert!(keys.len() <= tried.len());
        let mut texts: HashMap<String, String> = HashMap::new();
        for ticket in &tickets {
            let notes = self.desk.notes(ticket["id"].as_i64().unwrap());
            let text: String = notes.iter().map(|n| n["text"].as_str().unwrap()).collect();
            texts.insert(ticket["externalXRef"].as_str().unwrap().to_owned(), text);
        }
        for (n, (id, key)) in answered {
            let key = format!("key-{key}");
            let text = texts
                .get(&key)
                .unwrap_or_else(|| panic!("{key} has no ticket"));
            let mentions = text.matches(&format!("<n={n}>")).count();
            assert_eq!(mentions, 1, "event {id} on the ticket of {key}");
        }
    }

    /// The subscriber was told of every event and of its delivery, each under one id; repeats carried
    /// the same body. Nothing was told that is not so.
    async fn compare_hub(&self, hub: &FakeSink, answered: &[Uuid]) {
        let db = self.store().connect().await;
        let query = "SELECT message_id FROM delivery WHERE operation = 'webhook.send'";
        let statement = Statement::from_string(db.get_database_backend(), query);
        let rows = db.query_all_raw(statement).await.unwrap();
        db.close().await.unwrap();
        let known: BTreeSet<String> = rows
            .iter()
            .map(|row| row.try_get("", "message_id").unwrap())
            .collect();
        let mut told: BTreeMap<(String, Uuid), u32> = BTreeMap::new();
        for (id, seen) in hub.seen() {
            assert!(
                known.contains(&id),
                "the hub was told {id}, which is nobody's"
            );
            assert_eq!(seen.bodies, 1, "repeats of {id} differ");
            let message: WebhookMessage = serde_json::from_str(&seen.body).unwrap();
            let event = message.data["event_id"].as_str().unwrap().parse().unwrap();
            *told.entry((message.kind, event)).or_default() += 1;
        }
        for event in answered {
            for kind in ["event.received", "delivery.delivered"] {
                let times = told.get(&(kind.to_owned(), *event)).copied();
                assert_eq!(times, Some(1), "{kind} of {event}");
            }
        }
        assert!(told.values().all(|times| *times == 1), "one id for each");
        assert_eq!(told.len(), known.len(), "all that was written was told");
        println!(
            "{} messages, {} of {} requests were repeats",
            known.len(),
            hub.counts().taken - hub.counts().ids,
            hub.counts().taken,
        );
    }

    /// created = final + open, and the counters of the dashboard know every event.
    async fn compare_counters(&self, events: i64) {
        let count = async |of: &str| {
            let query =
                format!("SELECT COUNT(*) FROM delivery WHERE operation <> 'webhook.send' {of}");
            self.store().number(&query).await
        };
        let created = count("").await;
        let ended = count("AND finished_at IS NOT NULL").await;
        assert_eq!(created, ended + self.store().number(OPEN).await);
        assert_eq!(created, count("AND state = 'delivered'").await);
        let door = self.doors().next().unwrap();
        let stats: Stats = door.client().read("/api/v1/stats").await;
        let accepted: i64 = stats.hours.iter().map(|hour| hour.accepted).sum();
        let delivered: i64 = stats.hours.iter().map(|hour| hour.delivered).sum();
        assert_eq!((accepted, delivered), (events, created));
        assert_eq!(stats.queue.depth, 0);
    }

    /// The deliveries of every event.
    async fn stored(&self) -> HashMap<Uuid, Vec<Row>> {
        let db = self.store().connect().await;
        let query = "SELECT e.id AS event_id, d.state AS state, d.message_id AS message_id \
                     FROM event e LEFT JOIN delivery d ON d.event_id = e.id \
                     AND d.operation <> 'webhook.send'";
        let statement = Statement::from_string(db.get_database_backend(), query);
        let mut stored: HashMap<Uuid, Vec<Row>> = HashMap::new();
        for row in db.query_all_raw(statement).await.unwrap() {
            let event: Uuid = row.try_get("", "event_id").unwrap();
            stored.entry(event).or_default().push(Row {
                state: row.try_get("", "state").unwrap(),
                message_id: row.try_get("", "message_id").unwrap(),
            });
        }
        db.close().await.unwrap();
        stored
    }
}

struct Row {
    state: String,
    message_id: String,
}
