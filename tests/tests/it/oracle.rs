//! The oracle: nothing that was answered with 2xx is lost, whenever the process dies.
//!
//! Senders keep what they were answered, upstreams keep what they took, and the server is killed at
//! random points of the load in between, with upstreams that refuse, delay, cut and lose replies. At
//! the end both sides are compared. The seed is printed; `SIGNALBOX_TEST_SEED` plays it again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openapi::sources::Accepted;
use openapi::stats::Stats;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tests::client::http;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Server, both, wait_until_within};
use uuid::Uuid;

use crate::support::{OPEN, SECRETS};

/// How often the server is killed.
fn rounds() -> u32 {
    match std::env::var("SIGNALBOX_TEST_LONG").as_deref() {
        Ok("1") => 200,
        _ => 22,
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
        let seed = std::env::var("SIGNALBOX_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(rand::random::<u64>);
        println!("SIGNALBOX_TEST_SEED={seed}");
        let begun = Instant::now();
        let trial = Trial::start(db).await;
        let mut random = StdRng::seed_from_u64(seed);
        let senders: Vec<_> = (0..SENDERS)
            .map(|n| tokio::spawn(send(trial.book.clone(), trial.server.anonymous(), n)))
            .collect();
        for _ in 0..rounds() {
            trial.round(&mut random).await;
        }
        trial.book.stop.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await.unwrap();
        }
        trial.clear_up().await;
        trial.drain().await;
        let report = trial.compare().await;
        println!("{} kills in {:.0?}: {report}", rounds(), begun.elapsed());
    }
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
    server: Server,
    sink: FakeSink,
    desk: FakeConnectWise,
    book: Arc<Book>,
}

/// A sender of a monitoring system: sends an event again until it is answered with 202.
async fn send(book: Arc<Book>, client: Client, sender: u64) {
    while !book.stop.load(Ordering::SeqCst) {
        let n = book.next.fetch_add(1, Ordering::SeqCst);
        let key = (n * 7 + sender) % KEYS;
        let ticket = n.is_multiple_of(4);
        let slug = if ticket { "tickets" } else { "plain" };
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "key": key });
        if ticket {
            book.tried.lock().insert(n, key);
        }
        let Some(accepted) = insist(&book, &client, slug, &payload).await else {
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
async fn insist(book: &Book, client: &Client, slug: &str, payload: &Value) -> Option<Accepted> {
    loop {
        let call = client
            .call(Method::POST, &format!("/hooks/{slug}"))
            .json(payload);
        match call.try_send().await {
            Ok(answer) if answer.status.as_u16() == 202 => return Some(answer.ok()),
            Ok(answer) => assert_eq!(answer.status.as_u16(), 503, "{}", answer.text()),
            // Nobody listens while the server is down.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        if book.stop.load(Ordering::SeqCst) {
            return None;
        }
    }
}

impl Trial {
    async fn start(db: Database) -> Self {
        let sink = FakeSink::start().await.unwrap();
        let desk = FakeConnectWise::start().await.unwrap();
        // A dead node's leases hold no longer than they must.
        let options = Options::default()
            .set("lease_seconds", 3)
            .set("log", "warn,api::dispatch=error");
        let server = Server::start_with(db, options).await;
        let source = json!({ "event_id_path": "$.id" });
        let file = File::new()
            .http("sink", &format!("{}/in", sink.url))
            .connectwise("psa", &desk.url)
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
        server.apply_with(&file.text(), SECRETS).await;
        Self {
            server,
            sink,
            desk,
            book: Arc::default(),
        }
    }

    /// Lets some events through, in foul weather, and kills the server in the middle.
    async fn round(&self, random: &mut StdRng) {
        self.weather(random);
        let target = self.book.answered.load(Ordering::SeqCst) + random.random_range(10..60);
        wait_until_within(DRAIN, "events are accepted", async || {
            (self.book.answered.load(Ordering::SeqCst) >= target).then_some(())
        })
        .await;
        // The moment of the kill, somewhere between two commits.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
        self.server.kill();
        self.server.resume().await;
    }

    /// Faults for the next requests upstream.
    fn weather(&self, random: &mut StdRng) {
        for _ in 0..6 {
            let mut fault = match random.random_range(0..6) {
                0 => Fault::new(Effect::LoseReply),
                1 => Fault::new(Effect::Cut),
                2 => Fault::too_many(1),
                3 => Fault::status(500),
                4 => Fault::status(503),
                _ => Fault::new(Effect::Delay),
            };
            fault.latency_ms = random.random_range(0..60);
            match random.random_range(0..3) {
                0 => self.sink.fault(fault),
                1 => self.desk.fault(fault.on("POST", "/service/tickets")),
                _ => self.desk.fault(fault),
            }
        }
    }

    /// Nothing is in the way any more.
    async fn clear_up(&self) {
        for url in [&self.sink.url, &self.desk.origin] {
            let cleared = http().delete(format!("{url}/_fake/faults")).send().await;
            assert!(cleared.unwrap().status().is_success());
        }
    }

    async fn drain(&self) {
        wait_until_within(DRAIN, "every delivery ends", async || {
            (self.server.store.number(OPEN).await == 0).then_some(())
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
        let events = self.server.store.number("SELECT COUNT(*) FROM event").await;
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

    /// created = final + open, and the counters of the dashboard know every event.
    async fn compare_counters(&self, events: i64) {
        let count = async |of: &str| {
            let query = format!("SELECT COUNT(*) FROM delivery {of}");
            self.server.store.number(&query).await
        };
        let created = count("").await;
        let ended = count("WHERE finished_at IS NOT NULL").await;
        assert_eq!(created, ended + self.server.store.number(OPEN).await);
        assert_eq!(created, count("WHERE state = 'delivered'").await);
        let stats: Stats = self.server.client().read("/api/v1/stats").await;
        let accepted: i64 = stats.hours.iter().map(|hour| hour.accepted).sum();
        let delivered: i64 = stats.hours.iter().map(|hour| hour.delivered).sum();
        assert_eq!((accepted, delivered), (events, created));
        assert_eq!(stats.queue.depth, 0);
    }

    /// The deliveries of every event.
    async fn stored(&self) -> HashMap<Uuid, Vec<Row>> {
        let db = self.server.store.connect().await;
        let query = "SELECT e.id AS event_id, d.state AS state, d.message_id AS message_id \
                     FROM event e LEFT JOIN delivery d ON d.event_id = e.id";
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
