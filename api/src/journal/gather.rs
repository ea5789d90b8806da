//! What goes into one commit.
//!
//! Accepts first: somebody waits for them. What was delivered, where nothing waits behind it in a
//! lane, is put off until there are many, or the oldest has waited long enough (ADR 0032): a commit
//! for an accept alone is half the work, and one for many outcomes hardly more than for one.
//!
//! Whoever waits here for company sleeps: only what may not wait wakes it, by [`Call`]. Each of the
//! others would cost a thread's waking, which is what the company is to save.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{AcceptWaiting, NewState, Refused, Service, Settlement};
use crate::connectors::LinkChange;

/// How long an outcome that may wait is put off. One that is lost with a crash in this time is one
/// more repeat with the same message id.
pub const OUTCOMES: Duration = Duration::from_millis(20);

/// Outcomes that are company enough.
const OUTCOMES_ENOUGH: usize = 64;

/// Entries of a commit.
#[derive(Default)]
pub struct Batch {
    pub accepts: Vec<AcceptWaiting>,
    pub settlements: Vec<Settlement>,
    pub refusals: Vec<Refused>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.accepts.is_empty() && self.settlements.is_empty() && self.refusals.is_empty()
    }
}

/// Outcomes that were taken from the queue and are in no commit yet.
pub struct PutOff {
    settlements: Vec<Settlement>,
    since: Option<Instant>,
    most: Duration,
}

impl PutOff {
    /// None yet; they wait so long at most.
    pub const fn new(most: Duration) -> Self {
        Self {
            settlements: Vec::new(),
            since: None,
            most,
        }
    }

    /// Whether all of them may wait, and they are few.
    fn may_wait(&self) -> bool {
        self.settlements.len() < OUTCOMES_ENOUGH && self.settlements.iter().all(may_wait)
    }

    /// How long they may wait still; none: there are none.
    fn rest(&self) -> Option<Duration> {
        let since = self.since?;
        let rest = self.most.saturating_sub(since.elapsed());
        Some(if self.may_wait() {
            rest
        } else {
            Duration::ZERO
        })
    }
}

/// Whether nothing depends on this outcome: no delivery waits behind it in its lane, the ledger
/// learns nothing from it, and it neither stops a connection nor sets the time of a retry.
pub fn may_wait(settlement: &Settlement) -> bool {
    settlement.claimed.lane.is_none()
        && settlement.next == NewState::Delivered
        && matches!(settlement.link, LinkChange::Keep)
}

/// What the writer and those who bring something tell each other.
#[derive(Default)]
pub struct Call {
    /// Accepts in the queue that end a wait for company; none: nobody waits for company.
    wanted: AtomicUsize,
    /// Outcomes are put off: only one that may not wait calls.
    put_off: AtomicBool,
    come: Notify,
    /// Accepts that were taken from the queue and are not committed.
    under_way: AtomicUsize,
}

impl Call {
    /// Accepts that were taken and are not answered yet.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Notes how many were taken.
    pub fn take(&self, accepts: usize) {
        self.under_way.store(accepts, Ordering::Relaxed);
    }

    /// So many accepts are in the queue.
    pub fn accepts(&self, count: usize) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted > 0 && count >= wanted {
            self.come.notify_one();
        }
    }

    /// An outcome came; so many are in the queue.
    pub fn settlements(&self, may_wait: bool, count: usize) {
        if (!may_wait || count >= OUTCOMES_ENOUGH) && self.put_off.load(Ordering::SeqCst) {
            self.come.notify_one();
        }
    }
}

/// Waits for something to write. Returns whether the journal is to stop: then all that is left is in
/// the batch.
pub async fn next(
    service: &mut Service,
    batch: &mut Batch,
    again: Option<Duration>,
    shutdown: &CancellationToken,
) -> bool {
    let size = service.options.batch;
    let mut closed = false;
    let call = Arc::clone(&service.call);
    // Of an earlier wait.
    let _late = call.come.notified().now_or_never();
    call.put_off.store(true, Ordering::SeqCst);
    // What came before that called nobody.
    put_off_more(service);
    let rest = service.put_off.rest();
    let put_off = rest.is_some();
    if !put_off {
        call.put_off.store(false, Ordering::SeqCst);
    }
    tokio::select! {
        biased;
        n = service.accepts.recv_many(&mut batch.accepts, size) => closed = n == 0,
        n = service.refusals.recv_many(&mut batch.refusals, size) => closed = n == 0,
        n = service.settlements.recv_many(&mut service.put_off.settlements, size), if !put_off => {
            closed = n == 0;
            service.put_off.since = Some(Instant::now());
        }
        () = call.come.notified(), if put_off => {}
        () = tokio::time::sleep(rest.unwrap_or_default()), if put_off => {}
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
    }
    // Nothing more will come: what is there is written now, and then it ends.
    let stopping = closed || shutdown.is_cancelled();
    let many = !stopping && company(service, batch, shutdown).await;
    // The rest of whatever waits now goes into the same commit. Where accepts wait for each other,
    // so much comes that outcomes are not worth commits of their own.
    drain(service, batch);
    if stopping || many || service.put_off.rest().is_some_and(|rest| rest.is_zero()) {
        batch.settlements.append(&mut service.put_off.settlements);
        service.put_off.since = None;
    }
    stopping
}

/// Lets accepts wait for others, if they are expected and nobody is kept waiting for long by it.
/// Returns whether they were.
async fn company(service: &mut Service, batch: &mut Batch, shutdown: &CancellationToken) -> bool {
    let begun = Instant::now();
    let Some(most) = service
        .company
        .patience(batch.accepts.len(), begun)
        .filter(|_| service.put_off.may_wait())
    else {
        return false;
    };
    let wanted = service.company.wanted(batch.accepts.len());
    wait(service, batch, wanted, most, shutdown).await;
    let latest = batch.accepts.iter().map(|waiting| waiting.since).max();
    let latest = latest.unwrap_or(begun);
    service.company.waited(begun, latest, Instant::now());
    true
}

/// Waits until so many more accepts have come, or something that may not wait.
async fn wait(
    service: &mut Service,
    batch: &mut Batch,
    wanted: usize,
    most: Duration,
    shutdown: &CancellationToken,
) {
    let call = Arc::clone(&service.call);
    // Of an earlier wait.
    let _late = call.come.notified().now_or_never();
    call.wanted.store(wanted, Ordering::SeqCst);
    call.put_off.store(true, Ordering::SeqCst);
    // What came before that called nobody.
    let before = batch.accepts.len();
    drain(service, batch);
    if batch.accepts.len() < before + wanted && service.put_off.may_wait() {
        tokio::select! {
            () = tokio::time::sleep(most) => {}
            () = call.come.notified() => {}
            () = shutdown.cancelled() => {}
        }
        drain(service, batch);
    }
    call.wanted.store(0, Ordering::SeqCst);
}

/// Takes what is waiting.
fn drain(service: &mut Service, batch: &mut Batch) {
    let size = service.options.batch;
    take(&mut service.accepts, &mut batch.accepts, size);
    take(&mut service.refusals, &mut batch.refusals, size);
    put_off_more(service);
}

fn put_off_more(service: &mut Service) {
    let PutOff {
        settlements, since, ..
    } = &mut service.put_off;
    take(&mut service.settlements, settlements, service.options.batch);
    if since.is_none() && !settlements.is_empty() {
        *since = Some(Instant::now());
    }
}

fn take<T>(from: &mut mpsc::Receiver<T>, into: &mut Vec<T>, size: usize) {
    while into.len() < size {
        match from.try_recv() {
            Ok(item) => into.push(item),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::fixtures::{new_row, settlement};

    fn put_off(settlements: Vec<Settlement>, since: Instant) -> Option<Duration> {
        let since = Some(since).filter(|_| !settlements.is_empty());
        PutOff {
            settlements,
            since,
            most: OUTCOMES,
        }
        .rest()
    }

    fn outcome(lane: Option<u8>, next: NewState) -> Settlement {
        settlement(new_row(1, lane, 3, 0, 0), next, 0)
    }

    fn delivered() -> Settlement {
        outcome(None, NewState::Delivered)
    }

    #[test]
    fn what_was_delivered_waits_until_it_is_much_or_old() {
        let now = Instant::now();
        assert_eq!(put_off(Vec::new(), now), None);
        let rest = put_off(vec![delivered()], now + OUTCOMES);
        assert_eq!(rest, Some(OUTCOMES), "it waits");
        let long_ago = now.checked_sub(OUTCOMES).unwrap_or(now);
        assert_eq!(put_off(vec![delivered()], long_ago), Some(Duration::ZERO));
        let many = (0..OUTCOMES_ENOUGH).map(|_| delivered()).collect();
        assert_eq!(put_off(many, now + OUTCOMES), Some(Duration::ZERO));
    }

    #[test]
    fn an_outcome_that_something_depends_on_does_not_wait() {
        let retrying = NewState::Retrying {
            wait_ms: 0,
            unsure: false,
        };
        let mut linked = delivered();
        linked.link = LinkChange::Clear;
        for urgent in [
            outcome(Some(1), NewState::Delivered),
            outcome(None, retrying),
            outcome(None, NewState::Dead),
            outcome(None, NewState::Paused),
            linked,
        ] {
            let then = Instant::now() + OUTCOMES;
            let words = format!("{:?}", urgent.next);
            let rest = put_off(vec![delivered(), urgent], then);
            assert_eq!(rest, Some(Duration::ZERO), "{words}");
        }
    }
}
