//! The end of maintenance: letting go what waits, in small transactions.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::Covered;
use crate::core::Core;
use crate::journal::sql;
use crate::schedule::{self, Due, Next, Task};

/// The kind of the timers.
const KIND: &str = "maintenance";
/// The timer of the next change.
const CHANGE: &str = "change";
/// The timer of the looks in between.
const AGAIN: &str = "again";
/// How long a routed event may take to its commit, or a claimed delivery to be put back.
const UNDER_WAY_MS: i64 = 10_000;
/// Between two of those looks: the longest wait of what becomes `windowed` after the end.
const MINUTE_MS: i64 = 60_000;
/// The calendar is asked at least this often.
const LONGEST_MS: i64 = 3_600_000;
/// Deliveries of one transaction: some milliseconds of the writer.
const BATCH: i64 = 500;
/// Transactions of one run.
const BATCHES: u32 = 50;

/// Releases what no window covers any more.
pub struct Release;

/// Has the next look come soon: a window or the switch has changed.
///
/// # Errors
/// The statement failed.
pub async fn look_soon(txn: &impl ConnectionTrait, now: i64) -> Result<(), DbErr> {
    schedule::set(txn, KIND, CHANGE, now).await
}

#[async_trait::async_trait]
impl Task for Release {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn standing(&self, now: i64) -> Vec<(String, i64)> {
        vec![(CHANGE.to_owned(), now)]
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        // The change that set this timer may not be served here yet.
        core.snapshots.refresh().await?;
        let now = core.clock.now_ms();
        if release(core, now).await? {
            return Ok(Next::At(now));
        }
        if due.key != CHANGE {
            return Ok(Next::At(now + MINUTE_MS));
        }
        schedule::set(core.db.write(), KIND, AGAIN, now + UNDER_WAY_MS).await?;
        let next = core
            .snapshots
            .current()
            .workspaces()
            .filter_map(|workspace| workspace.maintenance.next_change(now))
            .min();
        Ok(Next::At(
            next.unwrap_or(i64::MAX).min(now.saturating_add(LONGEST_MS)),
        ))
    }
}

/// Lets go what is not covered now. Returns whether there may be more of it.
async fn release(core: &Core, now: i64) -> Result<bool, DbErr> {
    let waiting = "SELECT c.id AS id, c.workspace_id AS workspace_id, c.state AS state \
                   FROM connection c WHERE EXISTS (SELECT 1 FROM delivery d \
                   WHERE d.connection_id = c.id AND d.state = 'windowed')";
    let snapshot = core.snapshots.current();
    let mut left = BATCHES;
    for row in sql::rows(core.db.read(), waiting, Vec::new()).await? {
        let id: Uuid = row.try_get("", "id")?;
        let state: String = row.try_get("", "state")?;
        let Some(workspace) = snapshot.workspace(row.try_get("", "workspace_id")?) else {
            continue;
        };
        let sources = match workspace.maintenance.covered(now, id) {
            Covered::All => continue,
            Covered::Sources(sources) => sources,
        };
        loop {
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            let released = batch(core, id, state != "ok", &sources, now).await?;
            if released > 0 {
                core.dispatch.announce(id);
            }
            if i64::try_from(released).unwrap_or(i64::MAX) < BATCH {
                break;
            }
        }
    }
    Ok(false)
}

/// Lets go the oldest of a connection. Their due times are those of their acceptance, which is the
/// order in which they are claimed. What was tried before has its horizon moved by the wait.
async fn batch(
    core: &Core,
    connection: Uuid,
    paused: bool,
    covered: &[Uuid],
    now: i64,
) -> Result<u64, DbErr> {
    let mut values = vec![connection.into(), now.into(), BATCH.into()];
    let mut others = String::new();
    if !covered.is_empty() {
        let marks: Vec<String> = (0..covered.len()).map(|n| format!("${}", n + 4)).collect();
        others = format!(
            "AND (source_id IS NULL OR source_id NOT IN ({}))",
            marks.join(", ")
        );
        values.extend(covered.iter().map(|id| sea_orm::Value::from(*id)));
    }
    let state = if paused {
        "CASE WHEN behind = TRUE THEN 'ready' ELSE 'paused' END"
    } else {
        "CASE WHEN attempts > 0 THEN 'retrying' ELSE 'ready' END"
    };
    let query = format!(
        "UPDATE delivery SET state = {state}, tried_at = tried_at + ($2 - updated_at), \
         updated_at = $2 WHERE state = 'windowed' AND id IN (SELECT id FROM delivery \
         WHERE connection_id = $1 AND state = 'windowed' {others} ORDER BY due_at, id LIMIT $3)"
    );
    sql::execute(core.db.write(), query, values).await
}
