//! Lanes: deliveries of one connection and key go one after the other.
//!
//! Invariant: of the open deliveries of a lane, exactly one is not `behind`; when it ends, the oldest
//! of the others follows. On PostgreSQL
//! every transaction that adds to or ends something in a lane first takes the lane's advisory lock,
//! in a fixed order; on SQLite there is one writer anyway.

use std::collections::{BTreeSet, HashSet};

use entity::delivery;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, FromQueryResult as _};
use uuid::Uuid;

use super::sql::{self, Values};
use crate::dispatch;

/// States in which a delivery holds its place in the lane.
pub const OPEN: &str = "('ready','leased','retrying','windowed','held','paused','parked')";

/// The same, as a list.
pub const OPEN_STATES: [&str; 7] = [
    "ready", "leased", "retrying", "windowed", "held", "paused", "parked",
];

/// A connection and a key.
pub type Lane = (Uuid, String);

/// Takes the locks of these lanes until the end of the transaction.
pub async fn lock(txn: &impl ConnectionTrait, lanes: &BTreeSet<Lane>) -> Result<(), DbErr> {
    if txn.get_database_backend() != DatabaseBackend::Postgres || lanes.is_empty() {
        return Ok(());
    }
    let mut numbers: Vec<i64> = lanes.iter().map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for chunk in sql::padded(&numbers) {
        let mut rows = Values::of(txn);
        for n in chunk {
            rows.row([(*n).into()]);
        }
        // The order of evaluation follows the sorted list.
        sql::rows(
            txn,
            format!(
                "SELECT pg_advisory_xact_lock(n) FROM (VALUES {}) AS v(n)",
                rows.text
            ),
            rows.values,
        )
        .await?;
    }
    Ok(())
}

/// Takes the lock of one lane until the end of the transaction.
///
/// # Errors
/// The statement failed.
pub async fn lock_lane(
    txn: &impl ConnectionTrait,
    connection: Uuid,
    key: &str,
) -> Result<(), DbErr> {
    lock(txn, &BTreeSet::from([(connection, key.to_owned())])).await
}

/// A number for a lane; two lanes of one number only wait for each other needlessly.
fn number((connection, key): &Lane) -> i64 {
    // FNV-1a: the same on every node and in every version.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in connection.as_bytes().iter().chain(key.as_bytes()) {
        hash ^= u64::from(*byte);
        hash = hash.wrapping_mul(0x0100_0000_01b3);
    }
    hash.cast_signed()
}

/// Which of these lanes have open deliveries.
pub async fn occupied(
    txn: &impl ConnectionTrait,
    lanes: &BTreeSet<Lane>,
) -> Result<HashSet<Lane>, DbErr> {
    let mut found = HashSet::new();
    let all: Vec<&Lane> = lanes.iter().collect();
    for chunk in sql::padded(&all) {
        let mut rows = Values::of(txn);
        for (connection, key) in chunk {
            rows.row([(*connection).into(), key.clone().into()]);
        }
        let query = format!(
            "WITH v(connection_id, lane) AS (VALUES {}) SELECT v.connection_id AS c, v.lane AS l \
             FROM v WHERE EXISTS (SELECT 1 FROM delivery d WHERE d.connection_id = v.connection_id \
             AND d.lane = v.lane AND d.lane IS NOT NULL AND d.state IN {OPEN})",
            rows.text
        );
        for row in sql::rows(txn, query, rows.values).await? {
            found.insert((row.try_get("", "c")?, row.try_get("", "l")?));
        }
    }
    Ok(found)
}

/// Lets the oldest open delivery of a lane go, after the one before it has ended. Returns it if it
/// is leased to this node now; otherwise it is due and will be claimed.
///
/// # Errors
/// The statement failed.
pub async fn release_next(
    txn: &impl ConnectionTrait,
    dispatch: &dispatch::Handle,
    connection: Uuid,
    key: &str,
    now: i64,
) -> Result<Option<delivery::Model>, DbErr> {
    let query = format!(
        "UPDATE delivery SET behind = FALSE, due_at = $3, updated_at = $3 WHERE id = (SELECT id \
         FROM delivery WHERE connection_id = $1 AND lane = $2 AND lane IS NOT NULL AND state IN \
         {OPEN} ORDER BY id LIMIT 1) AND behind = TRUE AND NOT EXISTS (SELECT 1 FROM delivery h \
         WHERE h.connection_id = $1 AND h.lane = $2 AND h.lane IS NOT NULL AND h.state IN {OPEN} \
         AND h.behind = FALSE) RETURNING id, state"
    );
    let values = vec![connection.into(), key.into(), now.into()];
    let Some(row) = sql::rows(txn, query, values).await?.into_iter().next() else {
        return Ok(None);
    };
    let id: Uuid = row.try_get("", "id")?;
    let state: String = row.try_get("", "state")?;
    if state != "ready" {
        return Ok(None);
    }
    if !dispatch.reserve(connection) {
        dispatch.released(connection);
        return Ok(None);
    }
    let leased = lease(txn, dispatch.node(), id, now).await;
    if !matches!(leased, Ok(Some(_))) {
        dispatch.unreserve(connection);
    }
    leased
}

async fn lease(
    txn: &impl ConnectionTrait,
    node: Uuid,
    id: Uuid,
    now: i64,
) -> Result<Option<delivery::Model>, DbErr> {
    let query = "UPDATE delivery SET state = 'leased', lease_owner = $2, fence = fence + 1, \
                 updated_at = $3 WHERE id = $1 AND state = 'ready' RETURNING *";
    sql::rows(txn, query, vec![id.into(), node.into(), now.into()])
        .await?
        .first()
        .map(|row| delivery::Model::from_query_result(row, ""))
        .transpose()
}

/// The connection and key of a delivery that has one.
pub fn of(row: &delivery::Model) -> Option<Lane> {
    row.lane
        .as_ref()
        .map(|lane| (row.connection_id, lane.clone()))
}
