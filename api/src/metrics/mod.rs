//! Numbers for Prometheus.
//!
//! One [`Metrics`] per process, in [`crate::core::Core`]; every part that does something counts it
//! by calling a method here. Labels have few values: reasons and outcomes are our own words, routes
//! are templates, connectors are those that are compiled in. The names of workspaces and connections
//! are the only ones that people chose, and only so many of them ([`MOST_CONNECTIONS`]); never an id
//! or an address, and nothing that a sender chose.

mod gather;
mod labels;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use openapi::deliveries::State as DeliveryState;
use openapi::problem::Code;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use gather::{MOST_CONNECTIONS, gather};
use labels::{
    Attempt, Connector, Disposition, Http, OfConnection, Outcome, Part, Pool, Reason, SignIns,
    State, Workspace,
};

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counts what the process does. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    accepted: Counter,
    duplicates: Counter,
    refused: Family<Reason, Counter>,
    sign_ins: Family<SignIns, Counter>,
    throttled: Family<Reason, Counter>,
    journal_waiting: Gauge,
    journal_batch: Histogram,
    journal_commit: Histogram,
    attempts: Family<Attempt, Counter>,
    upstream: Histograms<Connector>,
    latency: Histogram,
    deliveries: Family<State, Gauge>,
    streams: Gauge,
    without_redis: Counter,
    http: Histograms<Http>,
    routed: Family<Disposition, Counter>,
    mails: Family<Outcome, Counter>,
    clean_ups: Family<Outcome, Counter>,
    cleaned_at: Gauge,
    ended: Family<State, Counter>,
    queued: Family<OfConnection, Gauge>,
    oldest: Family<OfConnection, Gauge>,
    attention: Family<OfConnection, Gauge>,
    breaker: Family<OfConnection, Gauge>,
    dead: Family<Workspace, Gauge>,
    in_memory: Gauge,
    up: Family<Part, Gauge>,
    resident: Gauge,
    db_connections: Family<Pool, Gauge>,
    db_connections_max: Gauge,
    db_timeouts: Counter,
    db_size: Gauge,
    redis_calls: Gauge,
    redis_failed: Counter,
    /// Whoever reads the numbers of the database now.
    gathering: tokio::sync::Mutex<gather::Known>,
    /// When the numbers of the database were read last, in milliseconds since 1970.
    gathered_at: AtomicI64,
}

/// 0.1 ms to about 26 s.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 4.0, 10))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let inner = Inner {
            registry: Mutex::new(Registry::with_prefix("signalbox")),
            accepted: Counter::default(),
            duplicates: Counter::default(),
            refused: Family::default(),
            sign_ins: Family::default(),
            throttled: Family::default(),
            journal_waiting: Gauge::default(),
            journal_batch: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            journal_commit: durations(),
            attempts: Family::default(),
            upstream: Family::new_with_constructor(durations as fn() -> Histogram),
            latency: durations(),
            deliveries: Family::default(),
            streams: Gauge::default(),
            without_redis: Counter::default(),
            http: Family::new_with_constructor(durations as fn() -> Histogram),
            routed: Family::default(),
            mails: Family::default(),
            clean_ups: Family::default(),
            cleaned_at: Gauge::default(),
            ended: Family::default(),
            queued: Family::default(),
            oldest: Family::default(),
            attention: Family::default(),
            breaker: Family::default(),
            dead: Family::default(),
            in_memory: Gauge::default(),
            up: Family::default(),
            resident: Gauge::default(),
            db_connections: Family::default(),
            db_connections_max: Gauge::default(),
            db_timeouts: Counter::default(),
            db_size: Gauge::default(),
            redis_calls: Gauge::default(),
            redis_failed: Counter::default(),
            gathering: tokio::sync::Mutex::default(),
            gathered_at: AtomicI64::new(0),
        };
        inner.register();
        inner.begin();
        Self(Arc::new(inner))
    }

    /// These connectors have made no attempt.
    pub fn connectors<'a>(&self, kinds: impl Iterator<Item = &'a str>) {
        for kind in kinds {
            for outcome in crate::connectors::OUTCOMES {
                let attempt = Attempt {
                    connector: kind.to_owned(),
                    outcome,
                };
                self.0.attempts.get_or_create(&attempt).inc_by(0);
            }
        }
    }

    /// Events were accepted: they are on disk.
    pub fn accepted(&self, events: u64) {
        self.0.accepted.inc_by(events);
    }

    /// An event got its disposition.
    pub fn routed(&self, disposition: &str) {
        let label = Disposition {
            disposition: disposition.to_owned(),
        };
        self.0.routed.get_or_create(&label).inc();
    }

    /// A mail was `sent`, `delayed` or `failed`.
    pub fn mail(&self, outcome: &'static str) {
        self.0.mails.get_or_create(&Outcome { outcome }).inc();
    }

    /// A clean-up ended, at this time in seconds since 1970: `done`, or it could not do all of it for
    /// want of the `archive` or the `database`.
    pub fn cleaned(&self, outcome: &'static str, at: i64) {
        self.0.clean_ups.get_or_create(&Outcome { outcome }).inc();
        if outcome == "done" {
            self.0.cleaned_at.set(at);
        }
    }

    /// So many deliveries reached a final state. Called after the commit that says so.
    pub fn ended(&self, state: DeliveryState, count: u64) {
        let label = State {
            state: state.as_str(),
        };
        self.0.ended.get_or_create(&label).inc_by(count);
    }

    /// A request repeated one that was accepted before.
    pub fn duplicate(&self) {
        self.0.duplicates.inc();
    }

    /// Somebody signed in (`ok`), or was not let in (`refused`), whoever it was.
    pub fn sign_in(&self, result: &'static str) {
        self.0.sign_ins.get_or_create(&SignIns { result }).inc();
    }

    /// A hook request was refused; `reason` is the problem's code.
    pub fn refused(&self, reason: &'static str) {
        self.0.refused.get_or_create(&Reason { reason }).inc();
    }

    /// A call of the API was refused because its bucket is empty; `reason` is whose.
    pub fn throttled(&self, reason: &'static str) {
        self.0.throttled.get_or_create(&Reason { reason }).inc();
    }

    /// The journal made one commit for this many entries, in this many seconds.
    pub fn committed(&self, entries: usize, seconds: f64) {
        #[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^52")]
        self.0.journal_batch.observe(entries as f64);
        self.0.journal_commit.observe(seconds);
    }

    /// A call upstream came to an end; `outcome` is the word of the outcome.
    pub fn attempt(&self, connector: &str, outcome: &'static str, seconds: f64) {
        let attempt = Attempt {
            connector: connector.to_owned(),
            outcome,
        };
        self.0.attempts.get_or_create(&attempt).inc();
        let connector = Connector {
            connector: attempt.connector,
        };
        self.0.upstream.get_or_create(&connector).observe(seconds);
    }

    /// A delivery reached its upstream this many seconds after its event was received.
    pub fn delivered(&self, seconds: f64) {
        self.0.latency.observe(seconds);
    }

    /// A live stream was opened (1) or closed (-1).
    pub fn stream(&self, change: i64) {
        self.0.streams.inc_by(change);
    }

    /// A limit was kept by this node alone, because Redis did not answer.
    pub fn without_redis(&self) {
        self.0.without_redis.inc();
    }

    /// A request was answered. `route` is the template, never the path.
    pub fn http(&self, method: &'static str, route: String, status: u16, seconds: f64) {
        let labels = Http {
            method,
            route,
            status: u32::from(status),
        };
        self.0.http.get_or_create(&labels).observe(seconds);
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry.lock())?;
        Ok(text)
    }
}

/// Why hooks are refused.
const REFUSALS: &[Code] = &[
    Code::AddressNotAllowed,
    Code::BodyTooLarge,
    Code::EventQuotaExceeded,
    Code::Internal,
    Code::LoopDetected,
    Code::MalformedBody,
    Code::MethodNotAllowed,
    Code::RateLimited,
    Code::SignatureInvalid,
    Code::SourceDisabled,
    Code::TimestampOutOfWindow,
    Code::Unavailable,
    Code::UnsupportedMediaType,
];

impl Inner {
    /// Counters begin at zero and not with the first that they count: from nothing to one is no
    /// increase, and the first dead letter after a start would go unseen.
    fn begin(&self) {
        for code in REFUSALS {
            self.refused
                .get_or_create(&Reason { reason: code.id() })
                .inc_by(0);
        }
        for result in ["ok", "refused"] {
            self.sign_ins.get_or_create(&SignIns { result }).inc_by(0);
        }
        for reason in ["user", "credential", "address"] {
            self.throttled.get_or_create(&Reason { reason }).inc_by(0);
        }
        for disposition in ["routed", "unmatched", "dropped", "unrouted"] {
            let disposition = disposition.to_owned();
            self.routed
                .get_or_create(&Disposition { disposition })
                .inc_by(0);
        }
        for outcome in ["sent", "delayed", "failed"] {
            self.mails.get_or_create(&Outcome { outcome }).inc_by(0);
        }
        for state in DeliveryState::ALL.iter().filter(|state| !state.is_open()) {
            let state = state.as_str();
            self.ended.get_or_create(&State { state }).inc_by(0);
        }
    }

    fn register(&self) {
        let mut r = self.registry.lock();
        r.register(
            "events_accepted",
            "Events that were accepted",
            self.accepted.clone(),
        );
        r.register(
            "events_duplicate",
            "Requests that repeated an accepted one",
            self.duplicates.clone(),
        );
        r.register(
            "requests_refused",
            "Hook requests that were refused, by reason",
            self.refused.clone(),
        );
        r.register("sign_ins", "Sign-ins, by result", self.sign_ins.clone());
        r.register(
            "api_requests_throttled",
            "Calls of the API that were refused with 429, by whose rate it was",
            self.throttled.clone(),
        );
        r.register(
            "journal_waiting",
            "Requests that wait for their commit",
            self.journal_waiting.clone(),
        );
        r.register(
            "journal_batch_size",
            "Entries in one commit",
            self.journal_batch.clone(),
        );
        r.register_with_unit(
            "journal_commit",
            "Time of one commit",
            Unit::Seconds,
            self.journal_commit.clone(),
        );
        r.register(
            "attempts",
            "Calls upstream, by connector and outcome",
            self.attempts.clone(),
        );
        r.register_with_unit(
            "upstream",
            "Time of one attempt, by connector",
            Unit::Seconds,
            self.upstream.clone(),
        );
        r.register_with_unit(
            "accept_to_delivery",
            "Time from the receipt of an event to its delivery",
            Unit::Seconds,
            self.latency.clone(),
        );
        r.register(
            "deliveries_open",
            "Deliveries in an open state, by state",
            self.deliveries.clone(),
        );
        r.register(
            "streams_open",
            "Live streams that are open",
            self.streams.clone(),
        );
        r.register(
            "limits_without_redis",
            "Limits that a node kept alone because Redis did not answer",
            self.without_redis.clone(),
        );
        r.register_with_unit(
            "http_request",
            "Time to the answer, by method, route and status",
            Unit::Seconds,
            self.http.clone(),
        );
        r.register(
            "events_routed",
            "Events by what became of them",
            self.routed.clone(),
        );
        r.register(
            "mails",
            "Mails that were handed to the mail server, by outcome",
            self.mails.clone(),
        );
        // There from the start, so that the first failure is one.
        for outcome in ["done", "archive", "database"] {
            drop(self.clean_ups.get_or_create(&Outcome { outcome }));
        }
        r.register(
            "clean_ups",
            "Clean-ups that ended, by outcome",
            self.clean_ups.clone(),
        );
        r.register_with_unit(
            "clean_up_done_timestamp",
            "When this node last did all of a clean-up, since 1970",
            Unit::Seconds,
            self.cleaned_at.clone(),
        );
        r.register(
            "deliveries_ended",
            "Deliveries that reached a final state, by state",
            self.ended.clone(),
        );
        r.register(
            "connection_queue",
            "Open deliveries of a connection",
            self.queued.clone(),
        );
        r.register_with_unit(
            "connection_oldest",
            "Age of the oldest delivery of a connection that waits for its turn or its upstream",
            Unit::Seconds,
            self.oldest.clone(),
        );
        r.register(
            "connection_attention",
            "1: the connection needs attention; its deliveries wait",
            self.attention.clone(),
        );
        r.register(
            "connection_breaker_open",
            "1: the breaker of the connection is open; its upstream is only probed",
            self.breaker.clone(),
        );
        r.register(
            "dead_letters",
            "Dead letters of a workspace",
            self.dead.clone(),
        );
        r.register(
            "deliveries_in_memory",
            "Deliveries that this node holds in memory",
            self.in_memory.clone(),
        );
        r.register(
            "up",
            "1: the part answers (database, redis), or takes writes (writes)",
            self.up.clone(),
        );
        r.register_with_unit(
            "process_resident_memory",
            "Resident memory of this process",
            Unit::Bytes,
            self.resident.clone(),
        );
        r.register(
            "db_connections",
            "Connections of the pool of the database, by state",
            self.db_connections.clone(),
        );
        r.register(
            "db_connections_max",
            "Connections that the pool of the database may have",
            self.db_connections_max.clone(),
        );
        r.register(
            "db_connection_timeouts",
            "Requests that got no connection to the database in time",
            self.db_timeouts.clone(),
        );
        r.register_with_unit(
            "db_size",
            "Size of the database on disk",
            Unit::Bytes,
            self.db_size.clone(),
        );
        r.register(
            "redis_calls_waiting",
            "Calls of Redis that wait for their answer",
            self.redis_calls.clone(),
        );
        r.register(
            "redis_calls_failed",
            "Calls of Redis that failed, or were not answered in time",
            self.redis_failed.clone(),
        );
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn what_is_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.accepted(3);
        metrics.refused("signature_invalid");
        metrics.attempt("sandbox", "delivered", 0.01);
        metrics.http("GET", "/livez".to_owned(), 200, 0.001);
        let text = metrics.text().unwrap();
        assert!(text.contains("signalbox_events_accepted_total 3"), "{text}");
        assert!(text.contains("signalbox_requests_refused_total{reason=\"signature_invalid\"} 1"));
        assert!(
            text.contains(
                "signalbox_attempts_total{connector=\"sandbox\",outcome=\"delivered\"} 1"
            )
        );
        assert!(text.contains(
            "signalbox_http_request_seconds_count{method=\"GET\",route=\"/livez\",status=\"200\"} 1"
        ));
    }

    #[test]
    fn counters_begin_at_zero() {
        let metrics = Metrics::new();
        metrics.connectors(["http"].into_iter());
        let text = metrics.text().unwrap();
        for line in [
            "signalbox_deliveries_ended_total{state=\"dead\"} 0",
            "signalbox_deliveries_ended_total{state=\"superseded\"} 0",
            "signalbox_events_routed_total{disposition=\"unrouted\"} 0",
            "signalbox_requests_refused_total{reason=\"unavailable\"} 0",
            "signalbox_attempts_total{connector=\"http\",outcome=\"retry\"} 0",
            "signalbox_mails_total{outcome=\"failed\"} 0",
            "signalbox_sign_ins_total{result=\"refused\"} 0",
            "signalbox_api_requests_throttled_total{reason=\"user\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    /// Names of metrics in a text.
    fn names(text: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (start, _) in text.match_indices("signalbox_") {
            let rest = text.get(start..).unwrap_or_default();
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            found.insert(rest.get(..end).unwrap_or_default().to_owned());
        }
        found
    }

    /// Each name that can be asked for, with the name that the guide has for it.
    fn asked_for(text: &str) -> BTreeMap<String, String> {
        let mut known = BTreeMap::new();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for (name, kind) in types.filter_map(|line| line.split_once(' ')) {
            let series: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => &[""],
            };
            let guide = if kind == "counter" { "_total" } else { "" };
            for suffix in series {
                known.insert(format!("{name}{suffix}"), format!("{name}{guide}"));
            }
        }
        known
    }

    #[test]
    fn what_dashboards_alerts_and_the_guide_name_is_there() {
        let metrics = Metrics::new();
        // What has no label yet is not in the text.
        metrics.attempt("sandbox", "delivered", 0.1);
        metrics.http("GET", "/livez".to_owned(), 200, 0.1);
        let connection = OfConnection {
            workspace: "main".to_owned(),
            connection: "desk".to_owned(),
        };
        let workspace = "main".to_owned();
        let inner = &metrics.0;
        inner
            .deliveries
            .get_or_create(&State { state: "ready" })
            .set(0);
        inner.queued.get_or_create(&connection).set(0);
        inner.oldest.get_or_create(&connection).set(0);
        inner.attention.get_or_create(&connection).set(0);
        inner.breaker.get_or_create(&connection).set(0);
        inner.up.get_or_create(&Part { part: "database" }).set(0);
        inner.dead.get_or_create(&Workspace { workspace }).set(0);
        inner
            .db_connections
            .get_or_create(&Pool { state: "used" })
            .set(0);
        let known = asked_for(&metrics.text().unwrap());
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
        for file in [
            "deploy/grafana/signalbox.json",
            "deploy/prometheus/alerts.yaml",
            "deploy/prometheus/alerts.test.yaml",
        ] {
            let named = names(&read(file));
            assert!(named.len() > 3, "{file} names hardly anything");
            let unknown: Vec<_> = named
                .iter()
                .filter(|name| !known.contains_key(*name))
                .collect();
            assert!(unknown.is_empty(), "{file} names {unknown:?}");
        }
        let guide = names(&read("docs/operations.md"));
        let missing: BTreeSet<_> = known
            .values()
            .filter(|name| !guide.contains(*name))
            .collect();
        assert!(missing.is_empty(), "docs/operations.md lacks {missing:?}");
    }

    #[test]
    fn every_alert_is_tested_firing_and_silent() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
        let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
        let (rules, tests) = (read("alerts.yaml"), read("alerts.test.yaml"));
        let named = |text: &str, key: &str| -> Vec<(String, bool)> {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let pairs = lines.windows(2);
            pairs
                .filter_map(|pair| {
                    let name = pair[0].strip_prefix(key)?.trim().to_owned();
                    Some((name, pair[1].ends_with("[]")))
                })
                .collect()
        };
        let tested = named(&tests, "alertname:");
        let all = named(&rules, "- alert:");
        assert!(all.len() > 10, "{all:?}");
        for (rule, _) in all {
            for silent in [false, true] {
                let there = tested.contains(&(rule.clone(), silent));
                assert!(there, "{rule} has no case that is silent: {silent}");
            }
        }
    }
}
