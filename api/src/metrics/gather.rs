//! Numbers that are read when somebody asks for them: queues, dead letters, what answers.
//!
//! They are read from the database at most every few seconds, however often they are asked for, by
//! one who asks at a time, and from indexes over what is open. Whoever asks meanwhile gets what is
//! there; a value that was read once is never missing from the text. Nobody waits long for them: when
//! the database is away, that is what one wants to read, before the scrape itself is given up.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openapi::deliveries::State as DeliveryState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use sea_orm::{ConnAcquireErr, DbErr};
use uuid::Uuid;

use super::labels::{OfConnection, Part, Pool, State, Workspace};
use super::{Inner, Metrics};
use crate::core::Core;
use crate::journal::sql;
use crate::services::queue::{self, Waiting};

/// Connections that have numbers of their own; the rest of a larger installation shares the name
/// `other`.
pub const MOST_CONNECTIONS: usize = 300;
/// How long the numbers of the database are good for.
const FRESH_MS: i64 = 5_000;
/// How long the size of the database is.
const SIZE_FRESH_MS: i64 = 60_000;
/// How long the database may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it may take to answer everything. With the rest of a scrape it is less than the ten
/// seconds after which Prometheus gives up.
const LONGEST: Duration = Duration::from_secs(4);
/// The label of what has no label of its own.
const OTHER: &str = "other";

/// What is known from one reading to the next. Whoever has it reads.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Labels that are in the text.
    connections: HashSet<OfConnection>,
    workspaces: HashSet<Workspace>,
    /// When the size was read.
    sized_at: Option<i64>,
}

/// Reads them, unless they are fresh or somebody else does. Without a database the old ones stay,
/// and `up` says so.
///
/// # Errors
/// The database failed.
pub async fn gather(core: &Core) -> Result<(), DbErr> {
    let inner = &core.metrics.0;
    // While a commit takes long, above all.
    let waiting = core.journal.waiting();
    inner
        .journal_waiting
        .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    inner
        .in_memory
        .set(i64::try_from(core.dispatch.in_memory()).unwrap_or(i64::MAX));
    inner.resident.set(resident_bytes().unwrap_or(0));
    pools(core, inner);
    let Ok(mut known) = inner.gathering.try_lock() else {
        return Ok(());
    };
    let now = core.clock.now_ms();
    let before = inner.gathered_at.load(Ordering::Acquire);
    if (now - before).abs() < FRESH_MS {
        return Ok(());
    }
    let begun = Instant::now();
    let (pong, redis) = tokio::join!(
        tokio::time::timeout(PATIENCE, core.db.ping()),
        core.redis.answers()
    );
    let answers = matches!(pong, Ok(Ok(())));
    set_up(&core.metrics, "database", answers);
    set_up(&core.metrics, "writes", core.db.trouble().is_none());
    if let Some(answers) = redis {
        set_up(&core.metrics, "redis", answers);
    }
    match pong {
        Ok(pong) => pong?,
        Err(_elapsed) => return Err(late()),
    }
    let left = LONGEST.saturating_sub(begun.elapsed());
    tokio::time::timeout(left, read(core, inner, &mut known, now))
        .await
        .unwrap_or_else(|_elapsed| Err(late()))?;
    inner.gathered_at.store(now, Ordering::Release);
    Ok(())
}

/// No answer in time, which is the same as no connection.
fn late() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}

async fn read(core: &Core, inner: &Inner, known: &mut Known, now: i64) -> Result<(), DbErr> {
    let waiting = queue::waiting(&core.db, None).await?;
    states(inner, &waiting);
    connections(core, inner, known, &waiting, now).await?;
    dead_letters(core, inner, known).await?;
    if known
        .sized_at
        .is_none_or(|at| (now - at).abs() >= SIZE_FRESH_MS)
    {
        inner.db_size.set(core.db.size().await?);
        known.sized_at = Some(now);
    }
    Ok(())
}

fn set_up(metrics: &Metrics, part: &'static str, up: bool) {
    metrics
        .0
        .up
        .get_or_create(&Part { part })
        .set(i64::from(up));
}

/// The pool of the database and the connection to Redis, as this process has them now.
fn pools(core: &Core, inner: &Inner) {
    let pool = core.db.pool();
    for (state, count) in [("used", pool.used), ("idle", pool.idle)] {
        inner
            .db_connections
            .get_or_create(&Pool { state })
            .set(i64::from(count));
    }
    inner.db_connections_max.set(i64::from(pool.most));
    inner
        .db_timeouts
        .inner()
        .store(pool.timeouts, Ordering::Relaxed);
    if let Some(load) = core.redis.load() {
        inner.redis_calls.set(load.waiting);
        inner
            .redis_failed
            .inner()
            .store(load.failed, Ordering::Relaxed);
    }
}

fn states(inner: &Inner, waiting: &[Waiting]) {
    for state in DeliveryState::ALL.iter().filter(|state| state.is_open()) {
        let of_state = waiting.iter().filter(|w| w.state == *state);
        let label = State {
            state: state.as_str(),
        };
        inner
            .deliveries
            .get_or_create(&label)
            .set(of_state.map(|w| w.count).sum());
    }
}

/// Whether somebody should ask why a delivery in this state is old. What waits for a person or for
/// the end of a window does so rightly, and a connection that needs attention has a number of its own.
fn ages(state: DeliveryState) -> bool {
    !matches!(
        state,
        DeliveryState::Held | DeliveryState::Windowed | DeliveryState::Paused
    )
}

/// Gives each label its value, and takes those away that have none any more.
fn replace<L>(family: &Family<L, Gauge>, before: &HashSet<L>, values: &HashMap<L, i64>)
where
    L: Clone + Eq + Hash + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
{
    for (label, value) in values {
        family.get_or_create(label).set(*value);
    }
    for label in before.iter().filter(|label| !values.contains_key(*label)) {
        family.remove(label);
    }
}

/// Open deliveries of a connection, and the age of the oldest one that should not wait.
async fn connections(
    core: &Core,
    inner: &Inner,
    known: &mut Known,
    waiting: &[Waiting],
    now: i64,
) -> Result<(), DbErr> {
    let mut open: HashMap<Uuid, (i64, Option<i64>)> = HashMap::new();
    for one in waiting {
        let (count, first) = open.entry(one.connection).or_default();
        *count += one.count;
        if ages(one.state) {
            *first = Some(first.map_or(one.oldest, |before| before.min(one.oldest)));
        }
    }
    let snapshot = core.snapshots.current();
    let mut all: Vec<_> = snapshot.connections().collect();
    all.sort_by_key(|connection| connection.view.id);
    let mut queued: HashMap<OfConnection, i64> = HashMap::new();
    let mut oldest: HashMap<OfConnection, i64> = HashMap::new();
    let mut attention: HashMap<OfConnection, i64> = HashMap::new();
    let broken = open_breakers(core).await?;
    let mut breaker: HashMap<OfConnection, i64> = HashMap::new();
    for (place, connection) in all.into_iter().enumerate() {
        let workspace = snapshot.workspace(connection.view.workspace_id);
        let own = place < MOST_CONNECTIONS;
        let label = OfConnection {
            workspace: workspace
                .filter(|_| own)
                .map_or_else(|| OTHER.to_owned(), |w| w.slug.clone()),
            connection: if own {
                connection.view.name.clone()
            } else {
                OTHER.to_owned()
            },
        };
        let (count, first) = open.get(&connection.view.id).copied().unwrap_or_default();
        let age = first.map_or(0, |at| (now - at).max(0) / 1000);
        *queued.entry(label.clone()).or_default() += count;
        let longest = oldest.entry(label.clone()).or_default();
        *longest = age.max(*longest);
        *attention.entry(label.clone()).or_default() += i64::from(connection.attention);
        *breaker.entry(label).or_default() += i64::from(broken.contains(&connection.view.id));
    }
    let labels: HashSet<OfConnection> = queued.keys().cloned().collect();
    for (family, values) in [
        (&inner.queued, queued),
        (&inner.oldest, oldest),
        (&inner.attention, attention),
        (&inner.breaker, breaker),
    ] {
        replace(family, &known.connections, &values);
    }
    known.connections = labels;
    Ok(())
}

/// Connections whose breaker is open, on whichever node.
async fn open_breakers(core: &Core) -> Result<HashSet<Uuid>, DbErr> {
    let query = "SELECT connection_id AS id FROM breaker WHERE state = 'open'";
    let rows = sql::rows(core.db.read(), query, Vec::new()).await?;
    rows.iter().map(|row| row.try_get("", "id")).collect()
}

async fn dead_letters(core: &Core, inner: &Inner, known: &mut Known) -> Result<(), DbErr> {
    let mut dead: HashMap<Uuid, i64> = HashMap::new();
    for row in sql::rows(core.db.read(), queue::dead_query(false), Vec::new()).await? {
        dead.insert(row.try_get("", "id")?, row.try_get("", "dead")?);
    }
    let snapshot = core.snapshots.current();
    let values: HashMap<Workspace, i64> = snapshot
        .workspaces()
        .take(MOST_CONNECTIONS)
        .map(|workspace| {
            let label = Workspace {
                workspace: workspace.slug.clone(),
            };
            (label, dead.get(&workspace.id).copied().unwrap_or(0))
        })
        .collect();
    replace(&inner.dead, &known.workspaces, &values);
    known.workspaces = values.into_keys().collect();
    Ok(())
}

/// Resident memory, where the system tells (Linux): the second number of `statm`, in pages.
fn resident_bytes() -> Option<i64> {
    const PAGE: i64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}
