//! Claiming due deliveries from the database.

use entity::delivery;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, FromQueryResult as _, Statement};
use uuid::Uuid;

use super::node::{Lost, give_back};
use crate::db::Db;
use crate::journal::OPEN;

/// Which retries are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// Those that are due.
    Due,
    /// Those that are due; where nothing is, one that is not, so that an open breaker has something
    /// to probe with.
    Probe,
    /// All: the upstream is back.
    All,
}

/// Leases up to `room` due deliveries of a connection to this node: three parts fresh work, one
/// part retries and what was set aside while the connection needed attention, so that neither
/// starves the other.
///
/// The answer to a commit can be lost when it is on disk already. What it leased is known here by
/// then: it is kept in `lost`, and given back with the next claim.
pub async fn claim(
    db: &Db,
    node: Uuid,
    connection: Uuid,
    now: i64,
    room: usize,
    retries: Retries,
    lost: &mut Vec<Lost>,
) -> Result<Vec<delivery::Model>, DbErr> {
    let txn = db.begin().await?;
    give_back(&txn, lost, node, now).await?;
    let claimed = claim_all(&txn, node, connection, now, room, retries).await?;
    if let Err(error) = txn.commit().await {
        lost.extend(claimed.iter().map(Lost::of));
        return Err(error);
    }
    lost.clear();
    Ok(claimed)
}

async fn claim_all(
    txn: &impl ConnectionTrait,
    node: Uuid,
    connection: Uuid,
    now: i64,
    room: usize,
    retries: Retries,
) -> Result<Vec<delivery::Model>, DbErr> {
    let fresh = room - room / 4;
    let any_time = i64::MAX - 1;
    let mut claimed = claim_state(txn, node, connection, now, now, fresh, "ready").await?;
    let left = room.saturating_sub(claimed.len());
    let due = if retries == Retries::All {
        any_time
    } else {
        now
    };
    claimed.extend(claim_state(txn, node, connection, now, due, left, "retrying").await?);
    let left = room.saturating_sub(claimed.len());
    claimed.extend(claim_state(txn, node, connection, now, any_time, left, "paused").await?);
    let left = room.saturating_sub(claimed.len());
    if left > 0 && claimed.len() >= fresh {
        claimed.extend(claim_state(txn, node, connection, now, now, left, "ready").await?);
    }
    if claimed.is_empty() && retries == Retries::Probe {
        claimed = claim_state(txn, node, connection, now, any_time, 1, "retrying").await?;
    }
    Ok(claimed)
}

async fn claim_state(
    txn: &impl ConnectionTrait,
    node: Uuid,
    connection: Uuid,
    now: i64,
    due: i64,
    limit: usize,
    state: &'static str,
) -> Result<Vec<delivery::Model>, DbErr> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let backend = txn.get_database_backend();
    let lock = if backend == DatabaseBackend::Postgres {
        "FOR UPDATE SKIP LOCKED"
    } else {
        ""
    };
    let query = claim_query(state, lock);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = vec![
        node.into(),
        now.into(),
        connection.into(),
        due.into(),
        limit.into(),
    ];
    let statement = Statement::from_sql_and_values(backend, query, values);
    let mut rows = txn
        .query_all_raw(statement)
        .await?
        .iter()
        .map(|row| delivery::Model::from_query_result(row, ""))
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| (row.due_at, row.id));
    Ok(rows)
}

/// The condition of the partial index stands in the text word for word, so that it is used.
pub fn claim_query(state: &str, lock: &str) -> String {
    format!(
        "UPDATE delivery SET state = 'leased', lease_owner = $1, fence = fence + 1, \
         updated_at = $2 WHERE id IN (SELECT id FROM delivery WHERE connection_id = $3 \
         AND state = '{state}' AND state IN {OPEN} AND due_at <= $4 AND behind = FALSE \
         ORDER BY due_at, id LIMIT $5 {lock}) RETURNING *"
    )
}

/// Connections that have something due. Reads one index entry for each connection and state.
pub async fn due_connections(db: &Db, now: i64) -> Result<Vec<Uuid>, DbErr> {
    let statement = Statement::from_sql_and_values(db.backend(), due_query(), vec![now.into()]);
    db.read()
        .query_all_raw(statement)
        .await?
        .iter()
        .map(|row| row.try_get("", "id"))
        .collect()
}

/// The same condition, for each connection and state.
pub fn due_query() -> String {
    let due = |state: &str, condition: &str| {
        format!(
            "EXISTS (SELECT 1 FROM delivery d WHERE d.connection_id = c.id AND d.state = '{state}' \
             AND d.state IN {OPEN}{condition})"
        )
    };
    format!(
        "SELECT c.id AS id FROM connection c WHERE c.enabled = TRUE AND c.state = 'ok' AND \
         ({} OR {} OR {})",
        due("ready", " AND d.due_at <= $1"),
        due("retrying", " AND d.due_at <= $1"),
        due("paused", ""),
    )
}
