//! Lanes: deliveries of one connection and key go one after the other.
//!
//! Invariant: of the open deliveries of a lane, exactly one is not `behind`; when it ends, the oldest
//! of the others follows. The order is that of the ids, and a delivery that joins a lane has a
//! larger id than all that are in it, whatever the clocks of the nodes say. On PostgreSQL every
//! transaction that adds to or ends something in a lane first takes the lane's advisory lock, in a
//! fixed order; on SQLite there is one writer anyway.
//!
//! A head that fails for good goes the way of the connection's policy: it makes room (`skip`), it
//! stays and the lane waits for a person (`block`), or it takes all that wait behind it with it to
//! the dead letters (`park`, see [`aside`](super::aside)), where what comes later joins them until
//! they are replayed or discarded. The order among those is that of their places: a repeat keeps the
//! place of what it stands in the place of, so one that fails again comes before what was not
//! repeated yet.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::delivery;
use sea_orm::{DatabaseBackend, DbErr};
use uuid::Uuid;

use super::open::{OPEN_D, open_of};
use super::sql::{self, Values};
use crate::db::{Row, Sql};
use crate::dispatch::{self, Leased, Places};

/// The place of a delivery `d` in its lane, in the words of the index over those that were set aside.
pub const PLACE: &str = "COALESCE(d.place, d.id)";

/// A connection and a key.
pub type Lane = (Uuid, String);

/// Takes the locks of these lanes until the end of the transaction.
///
/// # Errors
/// A statement failed.
pub async fn lock(txn: &impl Sql, lanes: &BTreeSet<Lane>) -> Result<(), DbErr> {
    if txn.backend() != DatabaseBackend::Postgres || lanes.is_empty() {
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
        sql::fetch(
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
pub async fn lock_lane(txn: &impl Sql, connection: Uuid, key: &str) -> Result<(), DbErr> {
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

/// The lanes of these that have open deliveries, with the id of the newest.
///
/// # Errors
/// A statement failed.
pub async fn occupied(
    txn: &impl Sql,
    lanes: &BTreeSet<Lane>,
) -> Result<HashMap<Lane, Uuid>, DbErr> {
    one_of_each(txn, lanes, occupied_query).await
}

/// The query of it, by rows of connection and key.
pub fn occupied_query(values: &str) -> String {
    let open = format!("d.lane IS NOT NULL AND {OPEN_D} ORDER BY d.id DESC LIMIT 1");
    one_query(values, "d.id", &open)
}

/// The lanes of these that were set aside whole and wait among the dead letters, with the id of the
/// newest.
///
/// # Errors
/// A statement failed.
pub async fn parked(txn: &impl Sql, lanes: &BTreeSet<Lane>) -> Result<HashMap<Lane, Uuid>, DbErr> {
    one_of_each(txn, lanes, parked_query).await
}

/// The query of it, by rows of connection and key.
pub fn parked_query(values: &str) -> String {
    let aside = "d.state = 'dead' AND d.lane_parked = TRUE ORDER BY d.id DESC LIMIT 1";
    one_query(values, "d.id", aside)
}

/// The same with the place of the first.
///
/// # Errors
/// A statement failed.
pub async fn first_aside(
    txn: &impl Sql,
    lanes: &BTreeSet<Lane>,
) -> Result<HashMap<Lane, Uuid>, DbErr> {
    one_of_each(txn, lanes, first_aside_query).await
}

/// The query of it, by rows of connection and key.
pub fn first_aside_query(values: &str) -> String {
    let aside = format!("d.state = 'dead' AND d.lane_parked = TRUE ORDER BY {PLACE} LIMIT 1");
    one_query(values, PLACE, &aside)
}

/// The query of a value of one delivery `d` of each lane that has it, by conditions, order and limit.
pub fn one_query(values: &str, value: &str, which: &str) -> String {
    format!(
        "WITH v(connection_id, lane) AS (VALUES {values}) SELECT v.connection_id AS c, \
         v.lane AS l, (SELECT {value} FROM delivery d WHERE d.connection_id = v.connection_id \
         AND d.lane = v.lane AND {which}) AS one FROM v"
    )
}

/// The value `one` of each lane that has it, by such a query over rows of connection and key.
pub async fn one_of_each(
    txn: &impl Sql,
    lanes: &BTreeSet<Lane>,
    query: impl Fn(&str) -> String,
) -> Result<HashMap<Lane, Uuid>, DbErr> {
    let mut found = HashMap::new();
    for row in of_lanes(txn, lanes, query).await? {
        let one: Option<Uuid> = row.get("one")?;
        if let Some(one) = one {
            found.insert((row.get("c")?, row.get("l")?), one);
        }
    }
    Ok(found)
}

/// Runs a query over lanes; it is given the rows of their values.
pub async fn of_lanes(
    txn: &impl Sql,
    lanes: &BTreeSet<Lane>,
    query: impl Fn(&str) -> String,
) -> Result<Vec<Row>, DbErr> {
    let all: Vec<&Lane> = lanes.iter().collect();
    let mut found = Vec::new();
    for chunk in sql::padded(&all) {
        let mut rows = Values::of(txn);
        for (connection, key) in chunk {
            rows.row([(*connection).into(), key.clone().into()]);
        }
        found.extend(sql::fetch(txn, query(&rows.text), rows.values).await?);
    }
    Ok(found)
}

/// Lets the oldest open delivery of each of these lanes go, after the one before it has ended: two
/// statements, however many lanes. Returns those that are leased to this node now, with their places;
/// the others are due and will be claimed.
///
/// # Errors
/// A statement failed; no place is reserved.
pub async fn release(
    txn: &impl Sql,
    dispatch: &dispatch::Handle,
    lanes: &BTreeSet<Lane>,
    now: i64,
) -> Result<Leased, DbErr> {
    let mut free: Vec<(Uuid, Uuid)> = Vec::new();
    let all: Vec<&Lane> = lanes.iter().collect();
    for chunk in sql::padded(&all) {
        let mut rows = Values::of(txn);
        for (connection, key) in chunk {
            rows.row([(*connection).into(), key.clone().into()]);
        }
        let values = rows.text.clone();
        let mark = rows.single(now.into());
        let query = release_query(&values, &mark);
        for row in sql::fetch(txn, query, rows.values).await? {
            let state: String = row.get("s")?;
            if state == "ready" {
                free.push((row.get("id")?, row.get("c")?));
            }
        }
    }
    let mut places = Places::default();
    let mut reserved = Vec::with_capacity(free.len());
    for (id, connection) in free {
        if dispatch.reserve(connection, &mut places) {
            reserved.push((id, connection));
        } else {
            dispatch.released(connection);
        }
    }
    let leased = lease(txn, dispatch.node(), &reserved, now).await?;
    // Places of those that were not leased are free again.
    let held: HashSet<Uuid> = leased.iter().map(|row| row.id).collect();
    for (id, connection) in reserved {
        if !held.contains(&id) {
            places.give_back(connection);
        }
    }
    Ok(Leased::new(leased, places))
}

/// Frees the heads of lanes that have none: by rows of connection and key, and the time.
pub fn release_query(values: &str, at: &str) -> String {
    format!(
        "WITH v(connection_id, lane) AS (VALUES {values}), t(at) AS (SELECT {at}) \
         UPDATE delivery SET behind = FALSE, due_at = t.at, updated_at = t.at FROM t \
         WHERE delivery.id IN (SELECT (SELECT d.id FROM delivery d \
         WHERE d.connection_id = v.connection_id AND d.lane = v.lane AND d.lane IS NOT NULL \
         AND {OPEN_D} ORDER BY d.id LIMIT 1) FROM v WHERE NOT EXISTS \
         (SELECT 1 FROM delivery h WHERE h.connection_id = v.connection_id \
         AND h.lane = v.lane AND h.lane IS NOT NULL AND {head_open} \
         AND h.behind = FALSE)) AND delivery.behind = TRUE \
         RETURNING delivery.id AS id, delivery.connection_id AS c, delivery.state AS s",
        head_open = open_of("h"),
    )
}

/// The same for one lane.
///
/// # Errors
/// A statement failed; no place is reserved.
pub async fn release_next(
    txn: &impl Sql,
    dispatch: &dispatch::Handle,
    connection: Uuid,
    key: &str,
    now: i64,
) -> Result<Leased, DbErr> {
    let lane = BTreeSet::from([(connection, key.to_owned())]);
    release(txn, dispatch, &lane, now).await
}

async fn lease(
    txn: &impl Sql,
    node: Uuid,
    reserved: &[(Uuid, Uuid)],
    now: i64,
) -> Result<Vec<delivery::Model>, DbErr> {
    let mut leased = Vec::with_capacity(reserved.len());
    for chunk in sql::padded(reserved) {
        let mut rows = Values::of(txn);
        for (id, _) in chunk {
            rows.row([(*id).into()]);
        }
        let values = rows.text.clone();
        let (owner, at) = (rows.single(node.into()), rows.single(now.into()));
        let query = format!(
            "WITH v(id) AS (VALUES {values}), t(owner, at) AS (SELECT {owner}, {at}) \
             UPDATE delivery SET state = 'leased', lease_owner = t.owner, fence = fence + 1, \
             updated_at = t.at FROM t WHERE delivery.id IN (SELECT v.id FROM v) \
             AND {ready} RETURNING {columns}",
            ready = sql::state_is("ready"),
            columns = sql::returned(),
        );
        for row in sql::fetch(txn, query, rows.values).await? {
            leased.push(row.model()?);
        }
    }
    Ok(leased)
}

/// The connection and key of a delivery that has one.
pub fn of(row: &delivery::Model) -> Option<Lane> {
    row.lane
        .as_ref()
        .map(|lane| (row.connection_id, lane.clone()))
}
