//! Numbers that are read when somebody asks for them: queues, dead letters, what answers.
//!
//! They are read from the database at most every few seconds, however often they are asked for,
//! from indexes over what is open.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use openapi::deliveries::State as DeliveryState;
use sea_orm::DbErr;
use uuid::Uuid;

use super::labels::{OfConnection, Part, State, Workspace};
use super::{Inner, Metrics};
use crate::core::Core;
use crate::journal::sql;
use crate::services::stats;

/// Connections that have numbers of their own; the rest of a larger installation shares the name
/// `other`.
pub const MOST_CONNECTIONS: usize = 300;
/// How long the numbers of the database are good for.
const FRESH_MS: i64 = 5_000;
/// The label of what has no label of its own.
const OTHER: &str = "other";

/// Reads them, unless they are fresh. Without a database the old ones stay, and `up` says so.
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
    let now = core.clock.now_ms();
    let before = inner.gathered_at.load(Ordering::Acquire);
    if (now - before).abs() < FRESH_MS {
        return Ok(());
    }
    set_up(&core.metrics, "database", core.db.ping().await.is_ok());
    set_up(&core.metrics, "writes", core.db.trouble().is_none());
    if let Some(answers) = core.redis.answers().await {
        set_up(&core.metrics, "redis", answers);
    }
    states(core, inner).await?;
    connections(core, inner, now).await?;
    dead_letters(core, inner).await?;
    inner.gathered_at.store(now, Ordering::Release);
    Ok(())
}

fn set_up(metrics: &Metrics, part: &'static str, up: bool) {
    metrics
        .0
        .up
        .get_or_create(&Part { part })
        .set(i64::from(up));
}

async fn states(core: &Core, inner: &Inner) -> Result<(), DbErr> {
    let counts: HashMap<DeliveryState, i64> = stats::open_by_state(core, None)
        .await?
        .into_iter()
        .collect();
    for state in DeliveryState::ALL.iter().filter(|state| state.is_open()) {
        let label = State {
            state: state.as_str(),
        };
        inner
            .deliveries
            .get_or_create(&label)
            .set(counts.get(state).copied().unwrap_or(0));
    }
    Ok(())
}

/// Open deliveries of a connection, and the age of the oldest one that is not held.
async fn connections(core: &Core, inner: &Inner, now: i64) -> Result<(), DbErr> {
    let query = "SELECT connection_id AS id, COUNT(*) AS open, \
                 MIN(CASE WHEN state = 'held' THEN NULL ELSE created_at END) AS oldest \
                 FROM delivery WHERE state IN \
                 ('ready','leased','retrying','windowed','held','paused','parked') \
                 GROUP BY connection_id";
    let mut open: HashMap<Uuid, (i64, Option<i64>)> = HashMap::new();
    for row in sql::rows(core.db.read(), query, Vec::new()).await? {
        open.insert(
            row.try_get("", "id")?,
            (row.try_get("", "open")?, row.try_get("", "oldest")?),
        );
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
    // Those of a connection that is gone would stay for ever.
    for (family, values) in [
        (&inner.queued, queued),
        (&inner.oldest, oldest),
        (&inner.attention, attention),
        (&inner.breaker, breaker),
    ] {
        family.clear();
        for (label, value) in values {
            family.get_or_create(&label).set(value);
        }
    }
    Ok(())
}

/// Connections whose breaker is open, on whichever node.
async fn open_breakers(core: &Core) -> Result<HashSet<Uuid>, DbErr> {
    let query = "SELECT connection_id AS id FROM breaker WHERE state = 'open'";
    let rows = sql::rows(core.db.read(), query, Vec::new()).await?;
    rows.iter().map(|row| row.try_get("", "id")).collect()
}

async fn dead_letters(core: &Core, inner: &Inner) -> Result<(), DbErr> {
    let query = "SELECT workspace_id AS id, COUNT(*) AS dead FROM delivery WHERE state = 'dead' \
                 GROUP BY workspace_id";
    let mut dead: HashMap<Uuid, i64> = HashMap::new();
    for row in sql::rows(core.db.read(), query, Vec::new()).await? {
        dead.insert(row.try_get("", "id")?, row.try_get("", "dead")?);
    }
    inner.dead.clear();
    let snapshot = core.snapshots.current();
    for workspace in snapshot.workspaces().take(MOST_CONNECTIONS) {
        let label = Workspace {
            workspace: workspace.slug.clone(),
        };
        let count = dead.get(&workspace.id).copied().unwrap_or(0);
        inner.dead.get_or_create(&label).set(count);
    }
    Ok(())
}

/// Resident memory, where the system tells (Linux): the second number of `statm`, in pages.
fn resident_bytes() -> Option<i64> {
    const PAGE: i64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}
