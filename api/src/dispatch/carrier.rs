//! The carrier of one connection: takes from its desk, keeps its limits, calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::breaker::{Admission, Breaker, BreakerPolicy, BreakerState};
use engine::retry::RetryPolicy;
use entity::delivery;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::decide::health;
use super::{Desk, claim, execute};
use crate::connectors::{Fault, LinkChange, Outcome};
use crate::core::Core;
use crate::journal::{NewState, Settlement};
use crate::limits::{Key, Rate};
use crate::snapshot::ConnectionConfig;

/// Longest sleep without a reason to wake.
const IDLE: Duration = Duration::from_secs(1);

/// Failures in a row that count as an outage. One delivery that always fails among others that do
/// not is none: it must not call itself due again by its own failures.
const OUTAGE: u32 = 3;

struct Carrier {
    core: Core,
    desk: Arc<Desk>,
    calls: JoinSet<Outcome>,
    breaker: Breaker,
    /// The clock of the breaker.
    start: Instant,
    /// Times of claims that failed; see `claim`.
    lost: Vec<i64>,
    /// The upstream asked for a pause until then.
    not_before: Option<Instant>,
    /// Calls in a row that failed in a way that may pass.
    failures: u32,
    /// The upstream came back: retries need not wait for their time.
    recovered: bool,
}

/// Works until `shutdown`, then waits for the calls in flight.
pub async fn run(core: Core, desk: Arc<Desk>, shutdown: CancellationToken) {
    let breaker = Breaker::new(BreakerPolicy {
        failures: core.dispatch.0.options.breaker_failures,
        ..BreakerPolicy::default()
    });
    let mut carrier = Carrier {
        core,
        desk,
        calls: JoinSet::new(),
        breaker,
        start: Instant::now(),
        lost: Vec::new(),
        not_before: None,
        failures: 0,
        recovered: false,
    };
    while !shutdown.is_cancelled() {
        let wait = carrier.step().await;
        tokio::select! {
            () = carrier.desk.wake.notified() => {}
            Some(ended) = carrier.calls.join_next(), if !carrier.calls.is_empty() => carrier.ended(ended),
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => {}
        }
        while let Some(ended) = carrier.calls.try_join_next() {
            carrier.ended(ended);
        }
    }
    while let Some(ended) = carrier.calls.join_next().await {
        carrier.ended(ended);
    }
}

impl Carrier {
    /// Fills up, starts what may be started; returns how long to wait at most.
    async fn step(&mut self) -> Duration {
        let snapshot = self.core.snapshots.current();
        let Some(connection) = snapshot.connection(self.desk.id) else {
            self.bury_orphans().await;
            return IDLE;
        };
        if self.desk.attention.load(Ordering::Acquire) {
            self.put_back(&connection, NewState::Paused).await;
            return IDLE;
        }
        if !connection.enabled {
            self.put_back(&connection, NewState::Ready).await;
            return IDLE;
        }
        self.fill().await;
        self.start_calls(&connection).await
    }

    /// Claims from the database while there is room for many.
    async fn fill(&mut self) {
        let capacity = self.core.dispatch.0.options.capacity;
        let held = self.desk.held.load(Ordering::Acquire);
        let wanted =
            self.desk.backlog.load(Ordering::Acquire) || self.recovered || !self.lost.is_empty();
        if !wanted || held > capacity / 2 {
            return;
        }
        // Reserved before the claim, so that the journal cannot fill the same places.
        let room = (capacity - held).min(capacity / 2).max(1);
        self.desk.held.fetch_add(room, Ordering::AcqRel);
        // Cleared before the look: what comes after it sets the flag again.
        self.desk.backlog.store(false, Ordering::Release);
        let node = self.core.dispatch.node();
        let now = self.core.clock.now_ms();
        let claimed = claim::claim(
            &self.core.db,
            node,
            self.desk.id,
            now,
            room,
            self.recovered,
            &mut self.lost,
        )
        .await;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, connection.id = %self.desk.id, "Deliveries could not be claimed.");
                self.desk.held.fetch_sub(room, Ordering::AcqRel);
                return;
            }
        };
        self.desk
            .held
            .fetch_sub(room - claimed.len().min(room), Ordering::AcqRel);
        if claimed.len() >= room {
            self.desk.backlog.store(true, Ordering::Release);
        } else {
            self.recovered = false;
        }
        self.desk.queue.lock().extend(claimed);
    }

    async fn start_calls(&mut self, connection: &Arc<ConnectionConfig>) -> Duration {
        let concurrency = connection
            .concurrency
            .unwrap_or(self.core.dispatch.0.options.concurrency)
            .max(1);
        let policy = connection.retry(&self.core.dispatch.0.options.retry);
        while self.calls.len() < concurrency {
            if self.desk.queue.lock().is_empty() {
                return IDLE;
            }
            if let Err(wait) = self.admitted(connection).await {
                return wait.min(IDLE);
            }
            let Some(delivery) = self.desk.queue.lock().pop_front() else {
                return IDLE;
            };
            self.call(connection, policy, delivery);
        }
        IDLE
    }

    /// Whether one more call may go out now, or how long it must wait.
    async fn admitted(&mut self, connection: &ConnectionConfig) -> Result<(), Duration> {
        if !self.core.nodes.lease().holds() {
            return Err(IDLE);
        }
        let now = Instant::now();
        if let Some(until) = self.not_before {
            if now < until {
                return Err(until - now);
            }
            self.not_before = None;
        }
        if let Some(rate) = connection.rate_per_minute {
            let key = Key::Connection(connection.view.id);
            self.core.limits.take(&key, Rate::per_minute(rate)).await?;
        }
        match self.breaker.admit(self.elapsed_ms()) {
            Admission::Call | Admission::Probe => Ok(()),
            Admission::Wait { until_ms } => Err(Duration::from_millis(
                until_ms.saturating_sub(self.elapsed_ms()).max(1),
            )),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn call(
        &mut self,
        connection: &Arc<ConnectionConfig>,
        policy: RetryPolicy,
        delivery: delivery::Model,
    ) {
        let core = self.core.clone();
        let connection = Arc::clone(connection);
        self.calls
            .spawn(execute::attempt(core, connection, policy, delivery));
    }

    /// Learns from a call that ended.
    fn ended(&mut self, ended: Result<Outcome, tokio::task::JoinError>) {
        self.desk.held.fetch_sub(1, Ordering::AcqRel);
        let Ok(outcome) = ended else {
            // The attempt was not settled; its lease is freed when this node stops.
            tracing::error!(connection.id = %self.desk.id, "An attempt ended without an outcome.");
            return;
        };
        if let Outcome::RateLimited { after, .. } = &outcome {
            let wait = after.unwrap_or(Duration::from_secs(1));
            self.not_before = Instant::now().checked_add(wait.min(Duration::from_secs(3600)));
        }
        match health(&outcome) {
            Some(true) => {
                if self.breaker.state() != BreakerState::Closed {
                    tracing::info!(connection.id = %self.desk.id, "The breaker closed.");
                }
                self.recovered |= self.failures >= OUTAGE;
                self.failures = 0;
                self.breaker.success();
            }
            Some(false) => {
                self.failures = self.failures.saturating_add(1);
                // Down again: what fails now keeps its time.
                self.recovered &= self.failures < OUTAGE;
                if self.breaker.transient_failure(self.elapsed_ms()) {
                    tracing::warn!(connection.id = %self.desk.id, "The breaker opened.");
                }
            }
            None => {}
        }
    }

    /// Gives back what is queued here, without an attempt.
    async fn put_back(&mut self, connection: &ConnectionConfig, next: NewState) {
        let queued: Vec<_> = self.desk.queue.lock().drain(..).collect();
        for claimed in queued {
            self.desk.held.fetch_sub(1, Ordering::AcqRel);
            let settlement = untried(claimed, connection.view.name.clone(), next, None);
            self.core.journal.settle(settlement).await;
        }
    }

    /// The connection was deleted: what still wants to go there is a dead letter.
    async fn bury_orphans(&mut self) {
        let queued: Vec<_> = self.desk.queue.lock().drain(..).collect();
        for claimed in queued {
            self.desk.held.fetch_sub(1, Ordering::AcqRel);
            let fault = Fault {
                code: "connection_missing".to_owned(),
                message: "The connection was deleted.".to_owned(),
                status: None,
            };
            let settlement = untried(claimed, String::new(), NewState::Dead, Some(fault));
            self.core.journal.settle(settlement).await;
        }
    }
}

fn untried(
    claimed: delivery::Model,
    connection: String,
    next: NewState,
    fault: Option<Fault>,
) -> Settlement {
    Settlement {
        fault: fault.or_else(|| {
            let code = claimed.error_code.clone()?;
            Some(Fault {
                code,
                message: claimed.error.clone().unwrap_or_default(),
                status: None,
            })
        }),
        claimed,
        connection,
        started_at: None,
        duration_ms: 0,
        outcome: "none",
        next,
        effect: None,
        record: None,
        link: LinkChange::Keep,
        exchanges: Vec::new(),
    }
}
