//! What goes into one commit.
//!
//! Whoever waits here for company sleeps: only what may not wait wakes it, by [`Call`]. Each of the
//! others would cost a thread's waking, which is what the company is to save.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::company::ENOUGH;
use super::{AcceptWaiting, Refused, Service, Settlement};

/// How long outcomes wait for company when nothing else is to be written. Nobody waits for them, and
/// a commit costs the same for one as for many. An outcome that is lost with a crash in this time is
/// one more repeat with the same message id.
const OUTCOMES: Duration = Duration::from_millis(5);

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

    /// Whether no delivery waits for one of these outcomes in its lane, and they are few.
    fn may_wait(&self) -> bool {
        self.settlements.len() < OUTCOMES_ENOUGH
            && self.settlements.iter().all(|s| s.claimed.lane.is_none())
    }
}

/// What the writer and those who bring something tell each other.
#[derive(Default)]
pub struct Call {
    /// Accepts in the queue that end a wait for company; none: nobody waits for company.
    wanted: AtomicUsize,
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
    pub fn settlements(&self, in_lane: bool, count: usize) {
        if self.wanted.load(Ordering::SeqCst) > 0 && (in_lane || count >= OUTCOMES_ENOUGH) {
            self.come.notify_one();
        }
    }
}

/// Waits for others, if they are expected and nobody is kept waiting for long by it.
pub async fn company(service: &mut Service, batch: &mut Batch, shutdown: &CancellationToken) {
    if batch.accepts.is_empty() && !batch.settlements.is_empty() && batch.may_wait() {
        wait(service, batch, 1, OUTCOMES, shutdown).await;
    }
    let begun = Instant::now();
    let Some(most) = service
        .company
        .patience(batch.accepts.len(), begun)
        .filter(|_| batch.may_wait())
    else {
        return;
    };
    let wanted = ENOUGH - batch.accepts.len();
    wait(service, batch, wanted, most, shutdown).await;
    let latest = batch.accepts.iter().map(|waiting| waiting.since).max();
    let latest = latest.unwrap_or(begun);
    service.company.waited(begun, latest, Instant::now());
}

/// Waits until so many more accepts have come, or something that may not wait.
async fn wait(
    service: &mut Service,
    batch: &mut Batch,
    wanted: usize,
    most: Duration,
    shutdown: &CancellationToken,
) {
    let call = std::sync::Arc::clone(&service.call);
    // Of an earlier wait.
    let _late = call.come.notified().now_or_never();
    call.wanted.store(wanted, Ordering::SeqCst);
    // What came before that called nobody.
    let before = batch.accepts.len();
    drain(service, batch);
    if batch.accepts.len() < before + wanted && batch.may_wait() {
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
pub fn drain(service: &mut Service, batch: &mut Batch) {
    let size = service.options.batch;
    take(&mut service.accepts, &mut batch.accepts, size);
    take(&mut service.settlements, &mut batch.settlements, size);
    take(&mut service.refusals, &mut batch.refusals, size);
}

fn take<T>(from: &mut mpsc::Receiver<T>, into: &mut Vec<T>, size: usize) {
    while into.len() < size {
        match from.try_recv() {
            Ok(item) => into.push(item),
            Err(_) => return,
        }
    }
}
