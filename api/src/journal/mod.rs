//! The journal: the only writer of the way from request to upstream.
//!
//! Invariant: whoever is told "accepted" or "settled" is on disk. The writer takes whatever waits,
//! writes it in one transaction, and answers all waiters after the commit. A server that has little
//! to do commits at once, a busy one in batches: where many events come, they wait a few
//! milliseconds for each other (ADR 0031), and outcomes that nobody waits for are put off (ADR 0032).
//!
//! Failure: a batch that cannot be committed is tried again one entry at a time, so that a single
//! bad entry fails alone; if the database is away, accepts are refused (503) and settlements wait
//! in memory until it is back. The answer to a commit can be lost when it is on disk already: what
//! it leased is given back by the next one, since nobody here holds it. A full queue refuses at
//! once. A crash leaves either the whole batch or nothing of it; deliveries that were leased
//! continue after the lease.

mod accept;
mod aside;
mod bind;
mod clean;
mod coalesce;
mod company;
mod entry;
mod gather;
mod lanes;
mod lifecycle;
mod open;
mod place;
mod repeat;
mod replays;
mod settle;
pub(crate) mod sql;
mod stats;
mod store;
mod subscribers;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::Db;
use crate::dispatch;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::snapshot::Snapshots;

#[doc(hidden)]
pub use accept::known_query;
pub use aside::{ASIDE, UNDER_WAY, more as aside_more};
use company::Company;
pub use entry::{Accept, AcceptEvent, Accepted, NewDelivery, NewState, Settlement};
pub use gather::OUTCOMES;
use gather::{Call, PutOff};
pub use lanes::{Lane, first_aside, lock, lock_lane, occupied, parked, release, release_next};
#[doc(hidden)]
pub use lanes::{first_aside_query, occupied_query, parked_query, release_query};
pub use open::{OPEN, OPEN_D, OPEN_STATES, open_states};
pub use place::{follow, is_next, set_aside};
pub use repeat::{place_of, places_of, repeat_of};
pub use replays::{hold_events, link};
pub use stats::metric;
use store::Store;

/// Bounds of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Accepts that may wait; more are refused.
    pub queue: usize,
    /// Entries of one commit.
    pub batch: usize,
    /// Longest time that accepts wait for others that share their commit.
    pub delay: Duration,
    /// Longest time that an outcome on which nothing depends is put off.
    pub put_off: Duration,
    /// Refusals kept for each source.
    pub refusals_kept: u32,
}

/// Why an entry is not in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Too much is waiting, or the database is away. Try again.
    #[error("the journal cannot take it now")]
    Unavailable,
    /// This entry alone cannot be written.
    #[error("the journal cannot store this entry")]
    Rejected,
}

struct AcceptWaiting {
    accept: Accept,
    since: Instant,
    answer: oneshot::Sender<Result<Accepted, JournalError>>,
}

struct Refused {
    row: entity::refusal::Model,
    source: String,
}

struct Shared {
    accepts: mpsc::Sender<AcceptWaiting>,
    settlements: mpsc::Sender<Settlement>,
    refusals: mpsc::Sender<Refused>,
    call: Arc<Call>,
}

/// A way into the journal. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// Stores events with their deliveries. Returns after the commit.
    ///
    /// # Errors
    /// Nothing was stored.
    pub async fn accept(&self, accept: Accept) -> Result<Accepted, JournalError> {
        let (answer, committed) = oneshot::channel();
        let waiting = AcceptWaiting {
            accept,
            since: Instant::now(),
            answer,
        };
        self.0
            .accepts
            .try_send(waiting)
            .map_err(|_| JournalError::Unavailable)?;
        self.0.call.accepts(depth(&self.0.accepts));
        committed.await.map_err(|_| JournalError::Unavailable)?
    }

    /// Accepts that wait for their commit, those of the one under way among them.
    pub fn waiting(&self) -> usize {
        depth(&self.0.accepts) + self.0.call.under_way()
    }

    /// Writes the outcome of an attempt, sooner or later. Waits while too many are waiting.
    pub async fn settle(&self, settlement: Settlement) {
        match self.0.settlements.reserve().await {
            Ok(place) => {
                let may_wait = gather::may_wait(&settlement);
                place.send(settlement);
                self.0
                    .call
                    .settlements(may_wait, depth(&self.0.settlements));
            }
            Err(_stopped) => tracing::warn!(
                "A settlement came after the journal had stopped; its delivery is repeated."
            ),
        }
    }

    /// Notes a refusal in the bounded ring. Under a flood, refusals beyond the queue are not kept.
    /// `source` is the slug, for the live feed. Returns whether it will be kept.
    pub fn refuse(&self, row: entity::refusal::Model, source: String) -> bool {
        self.0.refusals.try_send(Refused { row, source }).is_ok()
    }
}

fn depth<T>(queue: &mpsc::Sender<T>) -> usize {
    queue.max_capacity().saturating_sub(queue.capacity())
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("journal::Handle")
    }
}

/// What the writer works with.
pub struct Service {
    db: Db,
    store: Store,
    clock: Clock,
    dispatch: dispatch::Handle,
    live: Hub,
    metrics: Metrics,
    snapshots: Snapshots,
    options: Options,
    accepts: mpsc::Receiver<AcceptWaiting>,
    settlements: mpsc::Receiver<Settlement>,
    refusals: mpsc::Receiver<Refused>,
    refusal_counts: std::collections::HashMap<Uuid, u32>,
    company: Company,
    put_off: PutOff,
    call: Arc<Call>,
    /// What a commit whose answer never came may have leased to this node. It is given back by the
    /// next commit; nobody here knows of it.
    lost: Vec<dispatch::Lost>,
}

impl Service {
    /// A journal that is not running yet, and the way into it.
    pub fn new(
        db: Db,
        clock: Clock,
        dispatch: dispatch::Handle,
        live: Hub,
        metrics: Metrics,
        snapshots: Snapshots,
        options: Options,
    ) -> (Self, Handle) {
        let (accepts, accepts_out) = mpsc::channel(options.queue);
        let (settlements, settlements_out) = mpsc::channel(options.queue);
        let (refusals, refusals_out) = mpsc::channel(1024);
        let call = Arc::new(Call::default());
        let store = Store::of(&db);
        let service = Self {
            company: Company::new(options.delay, store.company()),
            store,
            db,
            clock,
            dispatch,
            live,
            metrics,
            snapshots,
            options,
            accepts: accepts_out,
            settlements: settlements_out,
            refusals: refusals_out,
            refusal_counts: std::collections::HashMap::new(),
            put_off: PutOff::new(options.put_off),
            call: Arc::clone(&call),
            lost: Vec::new(),
        };
        let handle = Handle(Arc::new(Shared {
            accepts,
            settlements,
            refusals,
            call,
        }));
        (service, handle)
    }

    /// Writes until `shutdown`, then what is still waiting, on a thread of its own: what comes in
    /// wakes the very thread that writes, and what goes to and fro between it and PostgreSQL waits
    /// for nobody.
    pub async fn run(self, shutdown: CancellationToken) {
        let (ended, end) = oneshot::channel::<()>();
        let talks = self.store.talks();
        let work = move |own: tokio::runtime::Runtime| {
            own.block_on(async {
                let store = self.store.clone();
                writer::run(self, shutdown).await;
                store.close().await;
            });
            drop(ended);
        };
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time();
        if talks {
            // A thread that waits for sockets, too, costs more to wake.
            builder.enable_io();
        }
        let begun = builder.build().and_then(|own| {
            let thread = std::thread::Builder::new().name("journal".to_owned());
            thread.spawn(move || work(own))
        });
        match begun {
            Ok(_thread) => {
                // It says nothing; its end closes the channel.
                let _ended = end.await;
            }
            Err(error) => tracing::error!(%error, "The journal has no thread; nothing is taken."),
        }
    }
}
