//! The dispatcher: carries committed deliveries to their connectors.
//!
//! Invariant: a delivery is worked on only under a lease that is on disk, and no transaction or
//! connection is held while a call is in flight: claim, commit, call, settle. A lease belongs to a
//! node and holds while the node renews its own row; a settle carries the fence of its lease, so a
//! late one is refused.
//!
//! Deliveries come from the journal in memory, already leased, while there is room; beyond that,
//! after a restart, and when a retry is due, they are claimed from the database. Each connection
//! has its own carrier, so a slow destination delays only itself.
//!
//! A crash leaves leased rows behind. The next server on the same SQLite file frees them at its
//! start; on PostgreSQL any node does once the lease of the dead one has run out. Both mark them
//! `unsure`, since a call may have been under way. A node that was only away when that happened
//! starts anew under another id: its calls were dropped when its own lease ran out, and what it
//! still has in memory is no longer its own.

mod breakers;
mod carrier;
mod claim;
mod decide;
mod execute;
#[cfg(test)]
pub mod fixtures;
mod ghost;
mod look;
mod node;
mod places;
mod queue;
mod resume;
mod set_back;
#[cfg(test)]
mod tests;
mod waits;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::guard::{GoneGuard, GuardPolicy, Judgement};
use engine::lane::OnFailure;
use engine::retry::RetryPolicy;
use entity::delivery;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::queue::Queue;
use crate::connectors::Outcome;
use crate::core::Core;
use crate::lifecycle;
use crate::nodes::Bell;

pub use breakers::{breakers, closed as closed_breaker};
#[doc(hidden)]
pub use claim::{claim_query, due_query};
pub use node::{Lost, give_back, register, unregister};
pub use places::{Leased, Places};
#[doc(hidden)]
pub use resume::set_aside_query;
pub use resume::{resume, set_aside};

/// Why a connection needs attention: its credentials are refused. A passed test ends it.
pub const CREDENTIALS_REFUSED: &str = "credentials_refused";
/// Why a connection needs attention: many records are said to be gone at once. A person ends it.
pub const MASS_GONE: &str = "mass_gone";

/// Bounds and defaults of the dispatcher.
#[derive(Clone, Debug)]
pub struct Options {
    /// Deliveries of one connection in memory; more wait in the database.
    pub capacity: usize,
    /// Calls of one connection at once, where the connection says nothing.
    pub concurrency: usize,
    /// Retry policy, where the connection says nothing.
    pub retry: RetryPolicy,
    /// Failures in a row that open a connection's breaker.
    pub breaker_failures: u32,
    /// How long the leases of a dead node hold.
    pub lease: Duration,
    /// False: this node accepts only.
    pub works: bool,
    /// A number from 0 to 1, for jitter.
    pub random: fn() -> f64,
}

/// Where a new delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Leased to this node; there is a place for it in memory.
    Here,
    /// To the database; it will be claimed.
    Later,
    /// Its connection needs attention.
    Paused,
}

/// What the journal has to know of a connection whose deliveries it puts into lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanePolicy {
    /// What becomes of a lane whose head fails for good.
    pub on_failure: OnFailure,
    /// True: notes that wait in a lane become one.
    pub coalesce: bool,
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            coalesce: true,
        }
    }
}

/// What other nodes say of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It fails.
    Down,
    /// It came back.
    Back,
}

/// What is known here of one connection.
struct Desk {
    id: Uuid,
    policy: Mutex<LanePolicy>,
    /// Who looks for many records that are gone at once.
    guard: Mutex<GoneGuard>,
    /// The same for linked records that were open: one that is gone is replaced, so what counts is
    /// how many they are, whatever else is there.
    ghosts: Mutex<GoneGuard>,
    /// For the carrier, which takes it.
    news: Mutex<Option<News>>,
    /// The upstream asked for no calls before then, as another node or the process before heard.
    asked: Mutex<Option<Instant>>,
    /// One of these two is there for the carrier.
    told: AtomicBool,
    /// How often this node has written down that the upstream came back, since it was last asked.
    own_returns: AtomicI64,
    queue: Mutex<Queue>,
    /// Reserved, queued and in flight.
    held: AtomicUsize,
    /// More lies in the database.
    backlog: AtomicBool,
    attention: AtomicBool,
    has_carrier: AtomicBool,
    wake: Notify,
}

struct Shared {
    node: RwLock<Uuid>,
    /// The clock of the guards.
    start: Instant,
    options: Options,
    desks: Mutex<HashMap<Uuid, Arc<Desk>>>,
    new_desk: Notify,
    bell: Bell,
    released: Mutex<BTreeSet<Uuid>>,
    lost: Mutex<Vec<Lost>>,
}

/// A way to the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// The dispatcher of this node; it works once a service runs.
    pub fn new(node: Uuid, options: Options) -> Self {
        Self(Arc::new(Shared {
            node: RwLock::new(node),
            start: Instant::now(),
            options,
            desks: Mutex::default(),
            new_desk: Notify::new(),
            bell: Bell::default(),
            released: Mutex::default(),
            lost: Mutex::default(),
        }))
    }

    /// The id of this node: new at every start, and whenever others took it for dead.
    pub fn node(&self) -> Uuid {
        *self.0.node.read()
    }

    /// Whether a lease is this node's. One of an earlier id is somebody else's by now, or will be.
    fn is_ours(&self, delivery: &delivery::Model) -> bool {
        delivery.lease_owner == Some(self.node())
    }

    fn desk(&self, connection: Uuid) -> Arc<Desk> {
        let mut desks = self.0.desks.lock();
        let desk = desks.entry(connection).or_insert_with(|| {
            self.0.new_desk.notify_one();
            Arc::new(Desk {
                id: connection,
                policy: Mutex::default(),
                guard: Mutex::new(GoneGuard::new(GuardPolicy::default())),
                ghosts: Mutex::new(GoneGuard::new(ghost::POLICY)),
                news: Mutex::default(),
                asked: Mutex::default(),
                told: AtomicBool::new(false),
                own_returns: AtomicI64::new(0),
                queue: Mutex::default(),
                held: AtomicUsize::new(0),
                backlog: AtomicBool::new(false),
                attention: AtomicBool::new(false),
                has_carrier: AtomicBool::new(false),
                wake: Notify::new(),
            })
        });
        Arc::clone(desk)
    }

    /// The retry policy of connections that have none of their own.
    pub fn retry_default(&self) -> &RetryPolicy {
        &self.0.options.retry
    }

    /// What the configuration says of a connection now.
    pub fn configure(&self, connection: Uuid, policy: LanePolicy) {
        *self.desk(connection).policy.lock() = policy;
    }

    /// What becomes of the lanes of a connection.
    pub fn lane_policy(&self, connection: Uuid) -> LanePolicy {
        *self.desk(connection).policy.lock()
    }

    /// Notes what came of a record, and says whether too many of the connection are gone at once. Its
    /// carrier brings the desk: every outcome comes by, and all carriers share the map.
    fn is_mass_gone(
        &self,
        desk: &Desk,
        claimed: &delivery::Model,
        outcome: &Outcome,
        at: Instant,
    ) -> bool {
        // A subscriber speaks of no records: one that is gone is switched off.
        if lifecycle::is_message(claimed) {
            return false;
        }
        let gone = match outcome {
            Outcome::Gone(_) => true,
            Outcome::Delivered { .. } => false,
            _ => return false,
        };
        let now = self.elapsed(at);
        if let (Some(lane), false) = (&claimed.lane, gone) {
            // It is there, or there is another in its place.
            desk.ghosts.lock().observe(now, number_of(lane), false);
        }
        let record = claimed.lane.as_ref().unwrap_or(&claimed.message_id);
        let judgement = desk.guard.lock().observe(now, number_of(record), gone);
        judgement == Judgement::Mass
    }

    /// Notes linked records of a connection that are gone, by their keys, the one that was asked for
    /// last, and says whether they are too many.
    fn are_mass_ghosts<'k>(
        &self,
        connection: Uuid,
        keys: impl Iterator<Item = &'k String>,
        at: Instant,
    ) -> bool {
        let (now, desk) = (self.elapsed(at), self.desk(connection));
        let mut guard = desk.ghosts.lock();
        keys.map(|key| guard.observe(now, number_of(key), true))
            .last()
            .is_some_and(|judgement| judgement == Judgement::Mass)
    }

    /// Whether a person knows that the record of a key is gone, and it was not seen since.
    fn is_believed_gone(&self, connection: Uuid, key: &str) -> bool {
        let desk = self.desk(connection);
        let guard = desk.ghosts.lock();
        guard.is_believed(number_of(key))
    }

    /// The time of the guards.
    fn elapsed(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.0.start).as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    /// How often this node itself saw the upstream come back, since it was last asked.
    fn own_returns(&self, connection: Uuid) -> i64 {
        let desk = self.desk(connection);
        desk.own_returns.swap(0, Ordering::AcqRel)
    }

    /// Tells the carrier of a connection what another node saw.
    fn tell(&self, connection: Uuid, news: News) {
        let desk = self.desk(connection);
        *desk.news.lock() = Some(news);
        desk.told.store(true, Ordering::Release);
        desk.wake.notify_one();
    }

    /// Tells the carrier of a connection that its upstream asked for a pause.
    fn wait(&self, connection: Uuid, wait: Duration) {
        let desk = self.desk(connection);
        let until = Instant::now().checked_add(wait);
        let mut asked = desk.asked.lock();
        *asked = asked.max(until);
        desk.told.store(true, Ordering::Release);
    }

    /// Decides where a new delivery goes, and reserves its place among `places` if that is here. While
    /// older ones wait in the database, newer ones queue up behind them there.
    pub fn place(&self, connection: Uuid, places: &mut Places) -> Placement {
        let desk = self.desk(connection);
        if desk.attention.load(Ordering::Acquire) {
            Placement::Paused
        } else if !desk.backlog.load(Ordering::Acquire) && self.reserve_at(desk, places) {
            Placement::Here
        } else {
            Placement::Later
        }
    }

    /// Reserves a place in memory among `places`, if there is one.
    pub fn reserve(&self, connection: Uuid, places: &mut Places) -> bool {
        let desk = self.desk(connection);
        !desk.attention.load(Ordering::Acquire) && self.reserve_at(desk, places)
    }

    fn reserve_at(&self, desk: Arc<Desk>, places: &mut Places) -> bool {
        if !self.0.options.works {
            return false;
        }
        let taken = desk
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                (held < self.0.options.capacity).then_some(held + 1)
            });
        let here = taken.is_ok();
        if here {
            places.add(desk);
        }
        here
    }

    /// Hands over deliveries that are leased to this node and committed, with their places.
    pub fn offer(&self, leased: Leased) {
        let mut desks: Vec<Arc<Desk>> = Vec::new();
        for delivery in leased.hand_over() {
            let known = desks.iter().find(|d| d.id == delivery.connection_id);
            let desk = known
                .cloned()
                .unwrap_or_else(|| self.desk(delivery.connection_id));
            desk.queue.lock().push(delivery);
            if known.is_none() {
                desks.push(desk);
            }
        }
        // Each carrier once, when all is there.
        for desk in desks {
            desk.wake.notify_one();
        }
    }

    /// Says that deliveries of a connection lie in the database and are due: its carrier looks.
    pub fn kick(&self, connection: Uuid) {
        let desk = self.desk(connection);
        desk.backlog.store(true, Ordering::Release);
        desk.wake.notify_one();
    }

    /// The same, and tells the other nodes. For what was just committed and is not held here.
    pub fn announce(&self, connection: Uuid) {
        self.kick(connection);
        self.0.bell.due(connection);
    }

    /// A delivery of this connection is let go by a transaction under way, and is not held here.
    pub fn released(&self, connection: Uuid) {
        self.0.released.lock().insert(connection);
    }

    /// Announces what was let go, after the commit.
    pub fn announce_released(&self) {
        let released = std::mem::take(&mut *self.0.released.lock());
        released.into_iter().for_each(|c| self.announce(c));
    }

    /// A delivery may be leased to this node on disk, by a commit whose answer
    /// never came; nobody here has it. It is given back soon.
    pub fn lose(&self, row: &delivery::Model) {
        self.0.lost.lock().push(Lost::of(row));
    }

    /// What the other nodes are to be told.
    pub fn bell(&self) -> &Bell {
        &self.0.bell
    }

    /// Stops working on a connection whose credentials are refused.
    pub fn needs_attention(&self, connection: Uuid, reason: &str) {
        tracing::warn!(connection.id = %connection, reason, "A connection needs attention.");
        self.desk(connection)
            .attention
            .store(true, Ordering::Release);
    }

    /// Whether it needs attention.
    pub fn is_paused(&self, connection: Uuid) -> bool {
        self.desk(connection).attention.load(Ordering::Acquire)
    }

    /// As the configuration says, without a word in the log.
    pub fn needs_attention_known(&self, connection: Uuid) {
        self.desk(connection)
            .attention
            .store(true, Ordering::Release);
    }

    /// Works on it again, if it did not. `repaired`: with other settings, so what was gone before may
    /// be there now; else somebody knows of what is gone.
    pub fn attention_over(&self, connection: Uuid, repaired: bool) {
        let desk = self.desk(connection);
        if desk.attention.swap(false, Ordering::AcqRel) {
            desk.guard.lock().clear();
            if repaired {
                desk.ghosts.lock().clear();
            } else {
                desk.ghosts.lock().believe();
            }
            desk.backlog.store(true, Ordering::Release);
            desk.wake.notify_one();
        }
    }

    /// Deliveries of all connections in memory.
    pub fn in_memory(&self) -> usize {
        let desks = self.0.desks.lock();
        desks.values().map(|d| d.held.load(Ordering::Acquire)).sum()
    }
}

/// A number that stands for a record.
fn number_of(record: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.hash(&mut hasher);
    hasher.finish()
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "dispatch::Handle({})", self.node())
    }
}

/// The running dispatcher.
pub struct Service {
    core: Core,
}

impl Service {
    /// The dispatcher of this core's handle.
    pub const fn new(core: Core) -> Self {
        Self { core }
    }

    /// Works until `shutdown`, then waits for the calls in flight, `grace` at most. Returns whether
    /// all of them ended.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) -> bool {
        let handle = self.core.dispatch.clone();
        let core = Arc::new(self.core.clone());
        let mut carriers = JoinSet::new();
        let mut keeper = tokio::spawn(node::keep(self.core.clone(), shutdown.clone()));
        if handle.0.options.works {
            // Before the first call: what an upstream asked the process before for holds on.
            if let Err(error) = breakers::look(&self.core, &mut breakers::Known::default()).await {
                tracing::warn!(%error, "The breakers could not be looked up.");
            }
            loop {
                let desks: Vec<_> = handle.0.desks.lock().values().cloned().collect();
                for desk in desks {
                    if !desk.has_carrier.swap(true, Ordering::AcqRel) {
                        carriers.spawn(carrier::run(Arc::clone(&core), desk, shutdown.clone()));
                    }
                }
                tokio::select! {
                    () = handle.0.new_desk.notified() => {}
                    () = shutdown.cancelled() => break,
                }
            }
        } else {
            shutdown.cancelled().await;
        }
        let drained = tokio::time::timeout(grace, async {
            while carriers.join_next().await.is_some() {}
        })
        .await
        .is_ok();
        carriers.abort_all();
        if tokio::time::timeout(Duration::from_secs(1), &mut keeper)
            .await
            .is_err()
        {
            keeper.abort();
        }
        drained
    }
}
