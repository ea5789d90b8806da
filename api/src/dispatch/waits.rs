//! What an upstream asked for: no calls before a time, and fewer at once. Data, beside its breaker.
//!
//! A row is written when an upstream asks for more than a moment, and now and then while calls are
//! fewer. So a wait is seen by people, holds on every node, and outlives a restart. The pace does
//! not: each node has its own, and a new process starts at full width, which costs the upstream a
//! few calls.

use std::collections::HashMap;
use std::time::Duration;

use entity::breaker;
use openapi::connections::Pace;
use sea_orm::DbErr;
use uuid::Uuid;

use crate::core::Core;
use crate::db::Db;
use crate::journal::sql;

/// No upstream is waited for longer at a time.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// A pace that was not written for so long is a process's that is gone, in milliseconds.
const FORGOTTEN: i64 = 150_000;

/// Calls are fewer than the connection allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// So many at once.
    pub at_once: i64,
    /// From the start of one to that of the next; milliseconds.
    pub apart_ms: i64,
}

/// Writes it down. A wait that ends earlier than the one that is there changes nothing of it.
pub async fn write(
    db: &Db,
    workspace: Uuid,
    connection: Uuid,
    not_before: Option<i64>,
    slow: Option<Slow>,
    now: i64,
) -> Result<(), DbErr> {
    let query = "INSERT INTO breaker (connection_id, workspace_id, state, failures, opened_at, \
                 probed_at, recoveries, updated_at, not_before, at_once, apart_ms) \
                 SELECT c.id, c.workspace_id, 'closed', 0, 0, $3, 0, $3, $4, $5, $6 \
                 FROM connection c WHERE c.id = $1 AND c.workspace_id = $2 \
                 ON CONFLICT (connection_id) DO UPDATE SET \
                 not_before = CASE WHEN excluded.not_before IS NULL \
                 OR breaker.not_before > excluded.not_before \
                 THEN breaker.not_before ELSE excluded.not_before END, \
                 at_once = excluded.at_once, apart_ms = excluded.apart_ms, \
                 updated_at = excluded.updated_at";
    let values = vec![
        connection.into(),
        workspace.into(),
        now.into(),
        not_before.into(),
        slow.map(|slow| slow.at_once).into(),
        slow.map(|slow| slow.apart_ms).into(),
    ];
    sql::execute(db.write(), query, values).await?;
    Ok(())
}

/// How long is still to be waited, by its row. A clock that was set back since makes it no longer.
pub fn left(row: &breaker::Model, now: i64) -> Option<Duration> {
    let left = row.not_before?.saturating_sub(now.max(row.updated_at));
    let left = Duration::from_millis(u64::try_from(left).ok()?);
    (!left.is_zero()).then(|| left.min(LONGEST))
}

/// The pace that its row tells of.
pub fn pace(row: &breaker::Model, now: i64) -> Option<Pace> {
    let fresh = now.saturating_sub(row.updated_at) < FORGOTTEN;
    let at_once = row.at_once.filter(|_| fresh)?;
    Some(Pace {
        at_once,
        apart_ms: row.apart_ms.unwrap_or_default(),
    })
}

/// Which waits the carriers of this node were told of.
pub type Known = HashMap<Uuid, i64>;

/// Tells the carrier of a connection what its row says, unless it was told.
pub fn tell(core: &Core, known: &mut Known, row: &breaker::Model, now: i64) {
    let (Some(not_before), Some(left)) = (row.not_before, left(row, now)) else {
        return;
    };
    if known.insert(row.connection_id, not_before) != Some(not_before) {
        core.dispatch.wait(row.connection_id, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_whatever_becomes_of_the_clock() {
        let row = breaker::Model {
            connection_id: Uuid::nil(),
            workspace_id: Uuid::nil(),
            state: "closed".to_owned(),
            failures: 0,
            opened_at: 0,
            probed_at: 0,
            recoveries: 0,
            updated_at: 1_000_000,
            not_before: Some(1_060_000),
            at_once: Some(2),
            apart_ms: Some(0),
        };
        let left = |now| left(&row, now).map(|left| left.as_secs());
        assert_eq!(left(1_000_000), Some(60));
        assert_eq!(left(1_050_000), Some(10));
        assert_eq!(left(1_060_000), None);
        assert_eq!(left(2_000_000), None);
        // An hour back.
        assert_eq!(left(1_000_000 - 3_600_000), Some(60));
        let pace = |now| pace(&row, now).map(|pace| pace.at_once);
        assert_eq!((pace(1_100_000), pace(2_000_000)), (Some(2), None));
    }
}
