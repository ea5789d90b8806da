//! Numbers for Prometheus.
//!
//! One [`Metrics`] per process, in [`crate::core::Core`]; every part that does something counts it
//! by calling a method here. Labels have few values: reasons and outcomes are our own words, routes
//! are templates, connectors are those that are compiled in. Never put an id, a name or an address
//! that a person chose into a label.

mod labels;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use labels::{Attempt, Connector, Http, Reason, State};

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counts what the process does. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    accepted: Counter,
    duplicates: Counter,
    refused: Family<Reason, Counter>,
    journal_waiting: Gauge,
    journal_batch: Histogram,
    journal_commit: Histogram,
    attempts: Family<Attempt, Counter>,
    upstream: Histograms<Connector>,
    latency: Histogram,
    deliveries: Family<State, Gauge>,
    streams: Gauge,
    http: Histograms<Http>,
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
            journal_waiting: Gauge::default(),
            journal_batch: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            journal_commit: durations(),
            attempts: Family::default(),
            upstream: Family::new_with_constructor(durations as fn() -> Histogram),
            latency: durations(),
            deliveries: Family::default(),
            streams: Gauge::default(),
            http: Family::new_with_constructor(durations as fn() -> Histogram),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// Events were accepted: they are on disk.
    pub fn accepted(&self, events: u64) {
        self.0.accepted.inc_by(events);
    }

    /// A request repeated one that was accepted before.
    pub fn duplicate(&self) {
        self.0.duplicates.inc();
    }

    /// A hook request was refused; `reason` is the problem's code.
    pub fn refused(&self, reason: &'static str) {
        self.0.refused.get_or_create(&Reason { reason }).inc();
    }

    /// How many requests wait for the journal's next commit.
    pub fn journal_waiting(&self, requests: usize) {
        self.0
            .journal_waiting
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
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

    /// How many deliveries are in an open state; set when the numbers are read.
    pub fn deliveries(&self, state: &'static str, count: i64) {
        self.0.deliveries.get_or_create(&State { state }).set(count);
    }

    /// A live stream was opened (1) or closed (-1).
    pub fn stream(&self, change: i64) {
        self.0.streams.inc_by(change);
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

impl Inner {
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
        r.register(
            "journal_waiting",
            "Requests that wait for the next commit",
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
        r.register_with_unit(
            "http_request",
            "Time to the answer, by method, route and status",
            Unit::Seconds,
            self.http.clone(),
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
}
