//! A sink: takes any request anywhere, counts it by its `webhook-id`, answers as scripted.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::{self, Bytes, Data, Json, PayloadConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::faults::{Effect, Fault, Faults, cut};
use super::server::{Running, start};

/// Maps are split, so that workers seldom wait for each other.
const SHARDS: usize = 64;

/// What was seen under one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How many requests had it.
    pub count: u64,
    /// How many different bodies they had; more than one would be a fault of the sender.
    pub bodies: u64,
    /// Microseconds since 1970 of the first.
    pub first_at_us: u64,
    /// Body of the first, if it is text and not longer than 64 kB.
    pub body: String,
    /// Method and path of the first.
    pub request: String,
    /// Headers of the first.
    pub headers: Vec<(String, String)>,
    #[serde(skip)]
    hashes: Vec<u64>,
}

/// How many requests came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All requests, also those that were cut or answered with a fault.
    pub requests: u64,
    /// Those that were taken.
    pub taken: u64,
    /// Different ids among those that were taken.
    pub ids: u64,
    /// Requests without an id.
    pub without_id: u64,
}

#[derive(Debug)]
struct State {
    shards: Vec<Mutex<HashMap<String, Seen>>>,
    requests: AtomicU64,
    taken: AtomicU64,
    without_id: AtomicU64,
    status: AtomicU16,
    latency_us: AtomicU64,
    down: AtomicBool,
    location: Mutex<Option<String>>,
    details: bool,
    faults: Faults,
}

/// A running sink.
#[derive(Debug)]
pub struct FakeSink {
    /// Its address, without a slash at the end.
    pub url: String,
    state: Arc<State>,
    _running: Running,
}

impl FakeSink {
    /// A sink on a free port.
    ///
    /// # Errors
    /// No port, or no thread.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0, 1, true)
    }

    /// A sink on this port with so many workers. Without `details` it keeps counts only, which is
    /// what a benchmark wants.
    ///
    /// # Errors
    /// The port is taken, or there is no thread.
    pub fn start_on(port: u16, workers: usize, details: bool) -> io::Result<Self> {
        let state = Arc::new(State {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            requests: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            without_id: AtomicU64::new(0),
            status: AtomicU16::new(200),
            latency_us: AtomicU64::new(0),
            down: AtomicBool::new(false),
            location: Mutex::default(),
            details,
            faults: Faults::default(),
        });
        let shared = Arc::clone(&state);
        let running = start(port, workers, move |config| routes(config, &shared))?;
        Ok(Self {
            url: format!("http://{}", running.address),
            state,
            _running: running,
        })
    }

    /// Scripts a fault.
    pub fn fault(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Takes back every fault.
    pub fn mend(&self) {
        self.state.faults.clear();
    }

    /// Answers all requests with this status from now on.
    pub fn answer(&self, status: u16) {
        self.state.status.store(status, Ordering::Relaxed);
    }

    /// Answers all requests with this status from now on, and sends them to this address.
    pub fn redirect(&self, status: u16, to: &str) {
        self.answer(status);
        *self.state.location.lock() = Some(to.to_owned());
    }

    /// Waits so long before each answer.
    pub fn latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.state.latency_us.store(us, Ordering::Relaxed);
    }

    /// Down: every connection is cut without an answer.
    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// How many requests came.
    pub fn counts(&self) -> Counts {
        self.state.counts()
    }

    /// What was taken, by id.
    pub fn seen(&self) -> HashMap<String, Seen> {
        self.state.seen()
    }
}

impl State {
    fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::SeqCst),
            taken: self.taken.load(Ordering::SeqCst),
            ids: self
                .shards
                .iter()
                .map(|shard| shard.lock().len() as u64)
                .sum(),
            without_id: self.without_id.load(Ordering::SeqCst),
        }
    }

    fn seen(&self) -> HashMap<String, Seen> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().clone())
            .collect()
    }

    fn reset(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
        for counter in [
            &self.requests,
            &self.taken,
            &self.without_id,
            &self.latency_us,
        ] {
            counter.store(0, Ordering::SeqCst);
        }
        self.status.store(200, Ordering::SeqCst);
        self.down.store(false, Ordering::SeqCst);
        *self.location.lock() = None;
        self.faults.clear();
    }

    fn take(&self, request: &HttpRequest, body: &Bytes) {
        self.taken.fetch_add(1, Ordering::SeqCst);
        let id = request
            .headers()
            .get("webhook-id")
            .and_then(|value| value.to_str().ok());
        let Some(id) = id else {
            self.without_id.fetch_add(1, Ordering::SeqCst);
            return;
        };
        let hash = hash(body);
        let shard = usize::try_from(self::hash(id.as_bytes()) % SHARDS as u64).unwrap_or(0);
        let mut seen = self.shards[shard].lock();
        match seen.get_mut(id) {
            Some(entry) => {
                entry.count += 1;
                if !entry.hashes.contains(&hash) {
                    entry.hashes.push(hash);
                    entry.bodies += 1;
                }
            }
            None => {
                seen.insert(id.to_owned(), self.first(request, body, hash));
            }
        }
    }

    fn first(&self, request: &HttpRequest, body: &Bytes, hash: u64) -> Seen {
        let text = std::str::from_utf8(body)
            .ok()
            .filter(|text| text.len() <= 64 << 10);
        let mut seen = Seen {
            count: 1,
            bodies: 1,
            first_at_us: now_us(),
            body: String::new(),
            request: String::new(),
            headers: Vec::new(),
            hashes: vec![hash],
        };
        if self.details {
            seen.body = text.unwrap_or_default().to_owned();
            seen.request = format!("{} {}", request.method(), request.uri());
            seen.headers = request
                .headers()
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect();
        }
        seen
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn now_us() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the sink measures real arrivals")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_micros()).ok())
        .unwrap_or_default()
}

fn routes(config: &mut ServiceConfig, state: &Arc<State>) {
    config
        .app_data(Data::from(Arc::clone(state)))
        .app_data(PayloadConfig::new(64 << 20))
        .route(
            "/_fake/counts",
            web::get().to(async |state: Data<State>| Json(state.counts())),
        )
        .route(
            "/_fake/seen",
            web::get().to(async |state: Data<State>| Json(state.seen())),
        )
        .route(
            "/_fake/faults",
            web::get().to(async |state: Data<State>| Json(state.faults.list())),
        )
        .route("/_fake/faults", web::post().to(add_faults))
        .route(
            "/_fake/faults",
            web::delete().to(async |state: Data<State>| {
                state.faults.clear();
                HttpResponse::NoContent().finish()
            }),
        )
        .route("/_fake/set", web::post().to(set))
        .route(
            "/_fake/reset",
            web::post().to(async |state: Data<State>| {
                state.reset();
                HttpResponse::NoContent().finish()
            }),
        )
        .default_service(web::to(take));
}

async fn add_faults(state: Data<State>, faults: Json<Vec<Fault>>) -> HttpResponse {
    for fault in faults.into_inner() {
        state.faults.add(fault);
    }
    HttpResponse::NoContent().finish()
}

/// What is set from outside; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    status: Option<u16>,
    latency_ms: Option<u64>,
    down: Option<bool>,
}

async fn set(state: Data<State>, set: Json<Set>) -> HttpResponse {
    if let Some(status) = set.status {
        state.status.store(status, Ordering::SeqCst);
    }
    if let Some(latency) = set.latency_ms {
        state.latency_us.store(latency * 1000, Ordering::SeqCst);
    }
    if let Some(down) = set.down {
        state.down.store(down, Ordering::SeqCst);
    }
    HttpResponse::NoContent().finish()
}

async fn take(state: Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    state.requests.fetch_add(1, Ordering::SeqCst);
    if state.down.load(Ordering::SeqCst) {
        cut(&request);
        return HttpResponse::ServiceUnavailable().finish();
    }
    let latency = state.latency_us.load(Ordering::Relaxed);
    if latency > 0 {
        actix_web::rt::time::sleep(Duration::from_micros(latency)).await;
    }
    let (effect, late) = state.faults.take(&request).await;
    match effect {
        Effect::Delay | Effect::LateReply => {}
        Effect::Status {
            status,
            retry_after,
        } => return refuse(status, retry_after),
        Effect::Cut => {
            cut(&request);
            return HttpResponse::ServiceUnavailable().finish();
        }
        Effect::LoseReply => {
            state.take(&request, &body);
            cut(&request);
            return HttpResponse::Ok().finish();
        }
        Effect::Hang => std::future::pending().await,
    }
    let status = state.status.load(Ordering::Relaxed);
    if !(200..300).contains(&status) {
        let mut answer = refuse(status, None);
        let location = state.location.lock().clone();
        if let Some(location) = location.and_then(|to| HeaderValue::try_from(to).ok()) {
            answer.headers_mut().insert(LOCATION, location);
        }
        return answer;
    }
    state.take(&request, &body);
    if !late.is_zero() {
        actix_web::rt::time::sleep(late).await;
    }
    refuse(status, None)
}

fn refuse(status: u16, retry_after: Option<String>) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    let mut answer = HttpResponse::build(status);
    if let Some(seconds) = retry_after {
        answer.insert_header(("retry-after", seconds));
    }
    answer.finish()
}
