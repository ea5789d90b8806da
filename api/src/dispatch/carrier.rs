//! The carrier of one connection: takes from its desk, keeps its limits, calls.

mod fill;
mod notes;
mod pause;
mod waits;
mod windows;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::breaker::{Admission, Breaker, BreakerPolicy, BreakerState};
use engine::pace::Pace;
use engine::retry::RetryPolicy;
use entity::delivery;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::fill::Claimed;
use self::pause::Pause;
use self::waits::Waits;
use super::breakers::{self, Note, Notes};
use super::claim::Room;
use super::decide::{asked, health, is_too_many};
use super::look::{Look, Why};
use super::{Desk, Lost, News, execute, resume};
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

/// Wait between two small steps of a longer piece of work, so that others get at the database.
const BREATH: Duration = Duration::from_millis(20);

struct Carrier {
    core: Arc<Core>,
    desk: Arc<Desk>,
    /// When each began, and what came of it.
    calls: JoinSet<(Instant, Option<Outcome>)>,
    /// Claims whose commit was never answered.
    lost: Vec<Lost>,
    /// The claim under way, if there is one.
    claims: JoinSet<Claimed>,
    /// Places that the last claim reserved.
    reserved: Room,
    /// More retries lie in the database than there was room for.
    more_waits: bool,
    /// While it is switched off or needs attention: when to look for what is to be set aside.
    look: Look,
    /// Not before, since the last claim failed.
    claim_after: Option<Instant>,
    /// Not before, since there was nothing to probe with.
    probe_after: Option<Instant>,
    breaker: Breaker,
    /// The clock of the breaker.
    start: Instant,
    /// The upstream asked for a pause until then.
    not_before: Option<Instant>,
    waits: Waits,
    /// Calls in a row that failed in a way that may pass.
    failures: u32,
    /// When the breaker last closed.
    closed_at: Option<Instant>,
    /// The upstream came back: retries need not wait for their time.
    recovered: bool,
    /// How many calls at once, and how far apart.
    pace: Pace,
    /// When the last call began.
    last_call: Option<Instant>,
    /// The limit and the policy of the calls under way.
    most: usize,
    policy: Arc<RetryPolicy>,
    /// When a probe was last let through; milliseconds since 1970.
    probed_at: i64,
    /// What is to be written of the breaker.
    notes: Notes,
    notes_pause: Pause,
    /// When its row was last written; milliseconds since 1970.
    noted_at: i64,
}

/// Works until `shutdown`, then waits for the calls in flight.
pub async fn run(core: Arc<Core>, desk: Arc<Desk>, shutdown: CancellationToken) {
    let breaker = Breaker::new(BreakerPolicy {
        failures: core.dispatch.0.options.breaker_failures,
        ..BreakerPolicy::default()
    });
    let options = &core.dispatch.0.options;
    let mut carrier = Carrier {
        most: options.concurrency.max(1),
        policy: Arc::new(options.retry.clone()),
        core,
        desk,
        calls: JoinSet::new(),
        lost: Vec::new(),
        claims: JoinSet::new(),
        reserved: Room::default(),
        more_waits: false,
        look: Look::default(),
        claim_after: None,
        probe_after: None,
        breaker,
        start: Instant::now(),
        not_before: None,
        waits: Waits::default(),
        failures: 0,
        closed_at: None,
        recovered: false,
        pace: Pace::default(),
        last_call: None,
        probed_at: 0,
        notes: Notes::default(),
        notes_pause: Pause::default(),
        noted_at: 0,
    };
    while !shutdown.is_cancelled() {
        let wait = carrier.step().await;
        tokio::select! {
            () = carrier.desk.wake.notified() => {}
            Some(ended) = carrier.calls.join_next(), if !carrier.calls.is_empty() => carrier.ended(ended),
            Some(claimed) = carrier.claims.join_next(), if !carrier.claims.is_empty() => carrier.filled(claimed),
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => {}
        }
        while let Some(ended) = carrier.calls.try_join_next() {
            carrier.ended(ended);
        }
    }
    while let Some(claimed) = carrier.claims.join_next().await {
        carrier.filled(claimed);
    }
    while let Some(ended) = carrier.calls.join_next().await {
        carrier.ended(ended);
    }
    let snapshot = carrier.core.snapshots.current();
    if let Some(connection) = snapshot.connection(carrier.desk.id) {
        carrier.write_notes_now(&connection).await;
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
        self.hear();
        let notes = self.write_notes(&connection).await;
        let waits = self.write_waits(connection.view.workspace_id).await;
        let wait = self.work(&connection).await;
        wait.min(notes).min(waits)
    }

    /// Calls, or gives back what is queued and rests.
    async fn work(&mut self, connection: &Arc<ConnectionConfig>) -> Duration {
        if self.desk.attention.load(Ordering::Acquire) {
            self.put_back(connection, NewState::Paused).await;
            return self.rest(Why::Attention).await;
        }
        if !connection.enabled {
            self.put_back(connection, NewState::Ready).await;
            return self.rest(Why::Off).await;
        }
        self.look.over();
        self.fill();
        self.wait_for_windows(connection).await;
        self.start_calls(connection).await
    }

    /// Takes what other nodes say of the upstream.
    fn hear(&mut self) {
        if !self.desk.told.swap(false, Ordering::AcqRel) {
            return;
        }
        let asked = self.desk.asked.lock().take();
        self.not_before = self.not_before.max(asked);
        let news = self.desk.news.lock().take();
        match news {
            Some(News::Down) if self.breaker.state() == BreakerState::Closed => {
                self.breaker.trip(self.elapsed_ms());
                self.failures = self.failures.max(OUTAGE);
                // The row is there: it says since when.
                self.noted_at = self.core.clock.now_ms();
            }
            Some(News::Back) => {
                self.breaker.success();
                self.closed_at = Some(Instant::now());
                self.pace.back_again();
                self.failures = 0;
                self.recovered = true;
                self.notes.clear();
            }
            Some(News::Down) | None => {}
        }
    }

    /// Not worked on: shows what waits as set aside, a few at a time, until the last call has ended
    /// and nothing is left. Returns how long until the next ones.
    async fn rest(&mut self, why: Why) -> Duration {
        let news = why == Why::Attention && self.is_let_go();
        let now = Instant::now();
        if !self.look.is_due(why, news, now) {
            return IDLE;
        }
        let states = match why {
            Why::Off => resume::TRIED,
            Why::Attention => resume::ALL,
        };
        let busy = !self.calls.is_empty() || !self.claims.is_empty();
        let (wait, none) = self.set_aside_some(states).await;
        self.look.looked(now, none && !busy);
        wait
    }

    /// Whether something was let go while the connection needs attention.
    fn is_let_go(&self) -> bool {
        let news = self.desk.backlog.swap(false, Ordering::AcqRel);
        if news && !self.desk.attention.load(Ordering::Acquire) {
            // It was over just now: what was taken is for the next claim.
            self.desk.backlog.store(true, Ordering::Release);
        }
        news
    }

    /// A few. How long until the next ones, and whether there were none.
    async fn set_aside_some(&self, states: &[&str]) -> (Duration, bool) {
        let now = self.core.clock.now_ms();
        match resume::set_aside(&self.core.db, self.desk.id, states, now).await {
            Ok(changed) if changed >= resume::BATCH => (BREATH, false),
            Ok(changed) => (IDLE, changed == 0),
            Err(error) => {
                tracing::warn!(%error, connection.id = %self.desk.id, "Deliveries could not be set aside.");
                (IDLE, false)
            }
        }
    }

    /// How long to wait with an empty queue: until the next probe of an open breaker, if there is
    /// anything to probe with.
    fn idle(&self) -> Duration {
        if self.breaker.state() == BreakerState::Closed || !self.claims.is_empty() {
            // The end of a claim wakes.
            return IDLE;
        }
        let now = Instant::now();
        let Some(ms) = self.breaker.until_probe(self.ms_at(now)) else {
            return IDLE;
        };
        let not_before = self.probe_after.max(self.claim_after).unwrap_or(now);
        let nothing_for = not_before.saturating_duration_since(now);
        // Never in a circle: what is due and was not begun waits for something else.
        Duration::from_millis(ms)
            .max(BREATH)
            .max(nothing_for)
            .min(IDLE)
    }

    /// How many calls there may be at once. While the breaker is open, one a second is let through,
    /// and those that hang are no measure of how many the upstream takes.
    fn places(&self) -> usize {
        if self.breaker.state() == BreakerState::Closed {
            self.pace.concurrency(self.most)
        } else {
            self.most
        }
    }

    async fn start_calls(&mut self, connection: &Arc<ConnectionConfig>) -> Duration {
        let options = &self.core.dispatch.0.options;
        self.most = connection.concurrency.unwrap_or(options.concurrency).max(1);
        self.policy = Arc::clone(connection.retry(&options.retry));
        while self.calls.len() < self.places() {
            if self.desk.queue.lock().is_empty() {
                return self.idle();
            }
            if let Err(wait) = self.admitted(connection).await {
                return wait.min(IDLE);
            }
            let Some(delivery) = self.desk.queue.lock().pop() else {
                return IDLE;
            };
            if self.core.dispatch.is_ours(&delivery) {
                self.call(connection, delivery);
            } else {
                // Others took this node for dead while it lay here.
                self.desk.held.fetch_sub(1, Ordering::AcqRel);
            }
        }
        IDLE
    }

    /// Whether one more call may go out now, or how long it must wait.
    async fn admitted(&mut self, connection: &ConnectionConfig) -> Result<(), Duration> {
        if !self.core.nodes.lease().holds() {
            return Err(IDLE);
        }
        let now = Instant::now();
        let at = self.ms_at(now);
        if let Some(until) = self.not_before {
            if now < until {
                return Err(until - now);
            }
            self.not_before = None;
        }
        let distance = self.pace.distance();
        if let Some(last) = self.last_call
            && let Some(left) = distance.checked_sub(now.saturating_duration_since(last))
            && !left.is_zero()
        {
            return Err(left);
        }
        // Asked before a token is taken: it would be lost with a call that may not be made. Admitted
        // after that: a probe without a token would be lost as well.
        if let Some(ms @ 1..) = self.breaker.until_probe(at) {
            return Err(Duration::from_millis(ms));
        }
        if let Some(rate) = connection.rate_per_minute {
            let key = Key::Connection(connection.view.id);
            self.core.limits.take(&key, Rate::per_minute(rate)).await?;
        }
        match self.breaker.admit(at) {
            Admission::Call => {}
            Admission::Probe => self.probed_at = self.core.clock.now_ms(),
            Admission::Wait { until_ms } => {
                return Err(Duration::from_millis(until_ms.saturating_sub(at).max(1)));
            }
        }
        self.last_call = Some(now);
        Ok(())
    }

    fn elapsed_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }

    /// A moment by the clock of the breaker.
    fn ms_at(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.start).as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    fn call(&mut self, connection: &Arc<ConnectionConfig>, delivery: delivery::Model) {
        let (core, desk) = (Arc::clone(&self.core), Arc::clone(&self.desk));
        let (connection, policy) = (Arc::clone(connection), Arc::clone(&self.policy));
        let begun = Instant::now();
        self.calls.spawn(async move {
            let outcome = execute::attempt(core, desk, connection, policy, delivery).await;
            (begun, outcome)
        });
    }

    /// Learns from a call that ended.
    fn ended(&mut self, ended: Result<(Instant, Option<Outcome>), tokio::task::JoinError>) {
        self.desk.held.fetch_sub(1, Ordering::AcqRel);
        let Ok((begun, outcome)) = ended else {
            // The attempt was not settled; its lease is freed when this node stops.
            tracing::error!(connection.id = %self.desk.id, "An attempt ended without an outcome.");
            return;
        };
        let Some(outcome) = outcome else { return };
        if let Some(wait) = asked(&outcome, &self.policy) {
            self.wait(wait);
        }
        if is_too_many(&outcome) {
            let under_way = self.calls.len().saturating_add(1);
            if self.pace.too_many(self.elapsed_ms(), under_way) {
                tracing::debug!(connection.id = %self.desk.id, "The upstream is called less often.");
            }
        }
        match health(&outcome) {
            Some(true) => self.answered(),
            // What hung since before it came back says nothing of what it is now.
            Some(false) if self.closed_at.is_some_and(|at| begun < at) => {}
            Some(false) => self.failed(),
            None => {}
        }
    }

    fn answered(&mut self) {
        self.pace.success(self.most);
        let was_open = self.breaker.state() != BreakerState::Closed;
        if was_open {
            tracing::info!(connection.id = %self.desk.id, "The breaker closed.");
            self.announce("breaker_closed");
            self.closed_at = Some(Instant::now());
            self.pace.back_again();
        }
        if was_open || self.failures >= OUTAGE {
            self.recovered = true;
            // Other nodes learn that it is back, too; not of every stumble.
            let at = self.core.clock.now_ms();
            let lately = at - self.noted_at < breakers::PROBE_MS;
            if was_open || (self.core.db.is_postgres() && !lately) {
                self.notes.add(Note::Back { at });
            }
        }
        self.failures = 0;
        self.breaker.success();
    }

    fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let opened = self.breaker.transient_failure(self.elapsed_ms());
        // Down again: what fails now keeps its time.
        self.recovered &= self.failures < OUTAGE && !opened;
        if opened {
            tracing::warn!(connection.id = %self.desk.id, "The breaker opened.");
            let now = self.core.clock.now_ms();
            self.probed_at = now;
            self.notes.add(Note::Open {
                since: now,
                failures: self.failures,
            });
            self.announce("breaker_opened");
        }
    }

    fn announce(&self, change: &str) {
        if let Some(connection) = self.core.snapshots.current().connection(self.desk.id) {
            breakers::announce(&self.core, &connection.view, change);
        }
    }

    /// Gives back what is queued here, without an attempt: what was never tried as `untouched`, the
    /// rest as set aside, so that its horizon stands still.
    async fn put_back(&mut self, connection: &ConnectionConfig, untouched: NewState) {
        let queued = self.desk.queue.lock().take(|_| true);
        for claimed in queued {
            let tried = claimed.attempts > 0;
            let next = if tried { NewState::Paused } else { untouched };
            self.desk.held.fetch_sub(1, Ordering::AcqRel);
            let name = connection.view.name.clone();
            let settlement = untried(claimed, name, next, None);
            self.core.journal.settle(settlement).await;
        }
    }

    /// The connection was deleted: what still wants to go there is a dead letter.
    async fn bury_orphans(&mut self) {
        let queued = self.desk.queue.lock().take(|_| true);
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
        revision: 0,
        state_at: 0,
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
