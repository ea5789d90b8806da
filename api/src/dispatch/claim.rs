//! Claiming due deliveries from the database.

use entity::delivery;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, FromQueryResult as _, Statement};
use uuid::Uuid;

use super::node::{Lost, give_back};
use crate::db::Db;
use crate::journal::{OPEN, OPEN_D, sql};

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

/// How many may be claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Of fresh work.
    pub fresh: usize,
    /// Of retries, and of what was set aside while the connection needed attention.
    pub waited: usize,
}

impl Room {
    /// Of `capacity` places `held` are taken, `waited` of them by what has waited before and is not
    /// being called. `look`: something lies in the database; `again`: retries do. Of what has waited
    /// before half the places hold no more, so that fresh work finds its own; and nothing is claimed
    /// before there is room for many.
    pub fn of(
        capacity: usize,
        held: usize,
        waited: usize,
        look: bool,
        again: bool,
    ) -> Option<Self> {
        let (half, free) = (capacity / 2, capacity.saturating_sub(held));
        let fresh = look && held.saturating_sub(waited) <= half;
        let again = (fresh || again) && waited <= half / 2;
        if free == 0 || !(fresh || again) {
            return None;
        }
        let mut room = Self::default();
        if again {
            room.waited = half.saturating_sub(waited).min(free / 2).max(1);
        }
        if fresh {
            room.fresh = free.saturating_sub(room.waited).min(half).max(1);
        }
        Some(room)
    }

    /// Places in memory.
    pub const fn places(self) -> usize {
        self.fresh.saturating_add(self.waited)
    }
}

/// What was claimed, the oldest first.
#[derive(Debug, Default)]
pub struct Found {
    /// Fresh work.
    pub fresh: Vec<delivery::Model>,
    /// Retries, and what was set aside.
    pub waited: Vec<delivery::Model>,
}

impl Found {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.waited.len()
    }
}

/// Leases due deliveries of a connection to this node, as many of each kind as there is room for, so
/// that neither takes the other's place.
///
/// The answer to a commit can be lost when it is on disk already. What it leased is known here by
/// then: it is kept in `lost`, and given back with the next claim.
pub async fn claim(
    db: &Db,
    node: Uuid,
    connection: Uuid,
    now: i64,
    room: Room,
    retries: Retries,
    lost: &mut Vec<Lost>,
) -> Result<Found, DbErr> {
    let txn = db.begin().await?;
    give_back(&txn, lost, node, now).await?;
    let found = claim_all(&txn, node, connection, now, room, retries).await?;
    if let Err(error) = txn.commit().await {
        lost.extend(found.fresh.iter().chain(&found.waited).map(Lost::of));
        return Err(error);
    }
    lost.clear();
    Ok(found)
}

async fn claim_all(
    txn: &impl ConnectionTrait,
    node: Uuid,
    connection: Uuid,
    now: i64,
    room: Room,
    retries: Retries,
) -> Result<Found, DbErr> {
    let any_time = i64::MAX - 1;
    let due = if retries == Retries::All {
        any_time
    } else {
        now
    };
    let (fresh, waited) = (room.fresh, room.waited);
    let fresh = claim_state(txn, node, connection, now, now, fresh, "ready").await?;
    // A part is for what was set aside, however many retries there are.
    let most = waited - waited / 4;
    let mut waited = claim_state(txn, node, connection, now, due, most, "retrying").await?;
    let more = waited.len() >= most;
    let left = room.waited.saturating_sub(waited.len());
    waited.extend(claim_state(txn, node, connection, now, any_time, left, "paused").await?);
    let left = room.waited.saturating_sub(waited.len());
    if more {
        waited.extend(claim_state(txn, node, connection, now, due, left, "retrying").await?);
    }
    if fresh.is_empty() && waited.is_empty() && retries == Retries::Probe {
        waited = claim_state(txn, node, connection, now, any_time, 1, "retrying").await?;
    }
    Ok(Found { fresh, waited })
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

/// The condition of the partial index stands in the text word for word, so that it is used. What was
/// set aside has its horizon moved by the wait: nobody tried meanwhile.
pub fn claim_query(state: &str, lock: &str) -> String {
    let moved = if state == "paused" {
        "tried_at = CASE WHEN $2 > updated_at THEN tried_at + ($2 - updated_at) ELSE tried_at END, "
    } else {
        ""
    };
    format!(
        "UPDATE delivery SET state = 'leased', lease_owner = $1, fence = fence + 1, {moved}\
         updated_at = $2 WHERE id IN (SELECT id FROM delivery WHERE connection_id = $3 \
         AND state = '{state}' AND {OPEN} AND due_at <= $4 AND behind = FALSE \
         ORDER BY due_at, id LIMIT $5 {lock}) RETURNING {columns}",
        columns = sql::returned(),
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
             AND {OPEN_D}{condition})"
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_kinds_find_room(
            capacity in 2_usize..3000, held in 0_usize..3000, share in 0_usize..=100,
            look: bool, again: bool,
        ) {
            let held = held.min(capacity);
            let waited = held * share / 100;
            let Some(room) = Room::of(capacity, held, waited, look, again) else {
                let full = held == capacity;
                let fresh_waits = look && held - waited <= capacity / 2;
                let retries_wait = again && waited <= capacity / 4;
                prop_assert!(full || !(fresh_waits || retries_wait));
                return Ok(());
            };
            // One over is harmless; what comes is bounded.
            prop_assert!(held + room.places() <= capacity + 1);
            prop_assert!(waited + room.waited <= (capacity / 2).max(waited + 1));
            prop_assert!(room.fresh == 0 || look);
            prop_assert!(room.places() > 0);
            if room.fresh > 0 && waited <= capacity / 4 {
                prop_assert!(room.waited > 0, "a look is for both");
            }
        }
    }

    #[test]
    fn however_many_retries_wait_fresh_work_is_looked_for() {
        // As many retries as there may be, and all calls under way.
        let room = Room::of(2000, 1016, 1000, true, true).unwrap();
        assert_eq!(
            room,
            Room {
                fresh: 984,
                waited: 0
            }
        );
        assert_eq!(
            Room::of(2000, 0, 0, true, false),
            Some(Room {
                fresh: 1000,
                waited: 1000
            })
        );
        assert_eq!(
            Room::of(2000, 1500, 0, true, true),
            Some(Room {
                fresh: 0,
                waited: 250
            })
        );
        assert_eq!(Room::of(2000, 1500, 0, true, false), None);
    }
}
