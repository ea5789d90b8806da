//! What waits for a clock that was set back.
//!
//! Invariant: a delivery waits no longer than it was to wait when it was written, by whatever clock
//! that was; its row has both times. What was under way when the clock was set is written after it
//! with a time from before it, so the rows are looked at again until that must be over. A crash in
//! between leaves rows that wait too long; on PostgreSQL any other node finds those that are fresh.

use std::time::Duration;

use sea_orm::DbErr;
use tokio::time::Instant;

use crate::core::Core;
use crate::db::Db;
use crate::journal::{OPEN, sql};

/// How far the clock of another node may be ahead of this one before it is taken for wrong.
const SLACK_MS: i64 = 2_000;
/// How long after the clock was set something may be written that began before; a commit has less.
const STRAGGLERS: Duration = Duration::from_secs(20);
/// How often they are looked for.
const AGAIN: Duration = Duration::from_secs(1);

/// How often this node's clock was set back, as far as it was dealt with.
#[derive(Debug, Default)]
pub(super) struct SetBack {
    times: u64,
    /// The last time it was, and when stragglers were last looked for.
    last: Option<(Instant, Instant)>,
}

impl SetBack {
    /// Moves what waits for the clock, if it was set back.
    pub(super) async fn look(&mut self, core: &Core, now: i64) -> Result<(), DbErr> {
        let (times, by) = core.clock.set_back();
        if times != self.times {
            let moved = catch_up(&core.db, now, by).await?;
            tracing::warn!(
                moved,
                "The clock was set back; what waits for it waits no longer than before."
            );
            self.times = times;
            self.last = Some((Instant::now(), Instant::now()));
        } else if let Some((at, looked)) = &mut self.last
            && looked.elapsed() >= AGAIN
        {
            catch_up(&core.db, now, 0).await?;
            *looked = Instant::now();
            if at.elapsed() >= STRAGGLERS {
                self.last = None;
            }
        }
        Ok(())
    }
}

/// Moves what a node wrote whose clock is ahead of this one.
pub(super) async fn look_at_others(db: &Db, now: i64) -> Result<(), DbErr> {
    if ahead(db, now).await? {
        catch_up(db, now, 0).await?;
    }
    Ok(())
}

/// Whether fresh work is due later than now: a node whose clock is ahead of this one wrote it.
async fn ahead(db: &Db, now: i64) -> Result<bool, DbErr> {
    let query = "SELECT 1 AS one FROM connection c WHERE EXISTS (SELECT 1 FROM delivery d \
                 WHERE d.connection_id = c.id AND d.state = 'ready' AND d.due_at > $1 \
                 AND d.due_at < $2 AND d.updated_at > $1) LIMIT 1";
    let values = vec![now.saturating_add(SLACK_MS).into(), i64::MAX.into()];
    Ok(!sql::rows(db.read(), query, values).await?.is_empty())
}

/// After the clock was set back by so many milliseconds, or for work of a node whose clock is ahead:
/// deliveries wait as long as they were to wait when they were written. If it was set back, all
/// timers ring now: those that would have rung meanwhile, and those set for a while later, which
/// would ring later by so much; nobody can tell which of them meant a time of day, and a task that
/// rings early looks again. Done twice, or by two nodes, it changes nothing more.
async fn catch_up(db: &Db, now: i64, by: i64) -> Result<u64, DbErr> {
    // The condition of the partial index stands in the text word for word, so that it is used.
    let query = format!(
        "UPDATE delivery SET due_at = $1 + (due_at - updated_at), updated_at = $1 \
         WHERE state IN ('ready', 'retrying') AND {OPEN} AND behind = FALSE \
         AND updated_at > $2 AND due_at >= updated_at"
    );
    let slack = now.saturating_add(SLACK_MS);
    let mut moved = sql::execute(db.write(), query, vec![now.into(), slack.into()]).await?;
    // What upstreams asked for, too.
    let query = "UPDATE breaker SET not_before = $1 + (not_before - updated_at), updated_at = $1 \
                 WHERE not_before IS NOT NULL AND updated_at > $2";
    moved += sql::execute(db.write(), query, vec![now.into(), slack.into()]).await?;
    if by <= 0 {
        return Ok(moved);
    }
    let query = "UPDATE timer SET due_at = $1 WHERE due_at > $1";
    Ok(moved + sql::execute(db.write(), query, vec![now.into()]).await?)
}
