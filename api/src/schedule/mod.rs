//! Timers: what is to be done at a time, once over all nodes.
//!
//! Invariant: a timer is a row, so it outlives every process; it is worked on by the node that
//! claimed it, and its end is written only if the claim still holds (fence). A task may be begun
//! twice when a node dies in the middle of it, so every task does its work in small transactions
//! that can be repeated.
//!
//! A task that fails is tried again, later and later, up to an hour. A crash leaves a claimed row;
//! it is free as soon as its node's row is gone. When the database goes away in the middle, a claim
//! may be on disk that this node does not know of: it gives back what it does not work on.
//!
//! A timer may ring before its time, when the clock was set back; a task looks whether it is time.

pub mod batches;
mod claim;
pub mod job;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::DbErr;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::db::Outage;

pub use claim::{Due, cancel, ensure, holds, set, wish};

/// How often due timers are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Tasks at once on one node.
const AT_ONCE: usize = 4;
/// First wait after a failure; it doubles.
const FIRST_WAIT_MS: i64 = 1_000;
/// Longest wait after a failure.
const LONGEST_WAIT_MS: i64 = 3_600_000;

/// What follows a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Again, not before this time in milliseconds since 1970.
    At(i64),
    /// Never again; the row goes.
    Done,
}

/// Something that is done when a timer is due.
#[async_trait::async_trait]
pub trait Task: Send + Sync + 'static {
    /// The kind of its timers.
    fn kind(&self) -> &'static str;

    /// The timers that must exist whenever a server runs, as key and due time.
    fn standing(&self, _now: i64) -> Vec<(String, i64)> {
        Vec::new()
    }

    /// Does one piece of the work: seconds, not minutes.
    ///
    /// # Errors
    /// The database failed; it is tried again later.
    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr>;
}

/// The running scheduler.
pub struct Service {
    core: Core,
    tasks: HashMap<&'static str, Arc<dyn Task>>,
    claims: Arc<Claims>,
}

/// What this node works on.
#[derive(Default)]
struct Claims {
    running: Mutex<BTreeSet<(String, String)>>,
    /// A claim or an end failed: what the database says may be more than what runs.
    doubt: AtomicBool,
}

impl Service {
    /// With these tasks; kinds are unique.
    pub fn new(core: Core, tasks: Vec<Arc<dyn Task>>) -> Self {
        let tasks = tasks.into_iter().map(|task| (task.kind(), task)).collect();
        Self {
            core,
            tasks,
            claims: Arc::default(),
        }
    }

    /// Works until `shutdown`, then waits for the tasks that run.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut standing = false;
        let mut outage = Outage::default();
        let mut running = JoinSet::new();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.cancelled() => break,
            }
            while running.try_join_next().is_some() {}
            match self.look(&mut standing, &places, &mut running).await {
                Ok(()) => outage.over(),
                Err(error) => outage.failed("Due timers could not be looked up.", &error),
            }
        }
        while running.join_next().await.is_some() {}
    }

    async fn look(
        &self,
        standing: &mut bool,
        places: &Arc<Semaphore>,
        running: &mut JoinSet<()>,
    ) -> Result<(), DbErr> {
        let core = &self.core;
        let now = core.clock.now_ms();
        if !*standing {
            for task in self.tasks.values() {
                for (key, due_at) in task.standing(now) {
                    ensure(core.db.write(), task.kind(), &key, due_at).await?;
                }
            }
            *standing = true;
        }
        if self.claims.doubt.load(Ordering::Acquire) {
            let running = self.claims.running.lock().clone();
            claim::give_back(&core.db, core.dispatch.node(), &running).await?;
            self.claims.doubt.store(false, Ordering::Release);
        }
        let room = places.available_permits();
        if room == 0 || !claim::any_due(&core.db, now).await? {
            return Ok(());
        }
        let kinds: Vec<&'static str> = self.tasks.keys().copied().collect();
        let claimed = claim::claim(&core.db, core.dispatch.node(), &kinds, now, room).await;
        if claimed.is_err() {
            self.claims.doubt.store(true, Ordering::Release);
        }
        for due in claimed? {
            let Some(task) = self.tasks.get(due.kind.as_str()) else {
                continue;
            };
            let Ok(place) = Arc::clone(places).acquire_owned().await else {
                return Ok(());
            };
            let name = (due.kind.clone(), due.key.clone());
            let claims = Arc::clone(&self.claims);
            if !claims.running.lock().insert(name.clone()) {
                // Others took this node for dead while it runs here; its end will not count.
                claim::put_back(&core.db, &due).await?;
                continue;
            }
            let (core, task) = (core.clone(), Arc::clone(task));
            running.spawn(async move {
                if !one(&core, &*task, due).await {
                    claims.doubt.store(true, Ordering::Release);
                }
                claims.running.lock().remove(&name);
                drop(place);
            });
        }
        Ok(())
    }
}

/// Runs a task; returns whether its end was written.
async fn one(core: &Core, task: &dyn Task, due: Due) -> bool {
    let ended = match task.run(core, &due).await {
        Ok(next) => claim::end(&core.db, &due, next).await,
        Err(error) => {
            tracing::warn!(%error, timer.kind = %due.kind, timer.key = %due.key, "A task failed; it is tried again.");
            let wait = FIRST_WAIT_MS << due.failures.clamp(0, 12);
            let again = core.clock.now_ms() + wait.min(LONGEST_WAIT_MS);
            claim::failed(&core.db, &due, again).await
        }
    };
    if let Err(error) = ended {
        tracing::warn!(%error, timer.kind = %due.kind, timer.key = %due.key, "The end of a task could not be written; it is repeated.");
        return false;
    }
    true
}
