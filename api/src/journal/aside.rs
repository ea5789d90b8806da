//! Setting aside the lane of a head that failed for good, where the connection's policy is `park`.
//!
//! Invariant: nothing of such a lane is sent before all of it is set aside, and what is aside by then
//! is the newest of it. The transaction in which the head fails sets aside what is behind it, as much
//! as is quickly done. Of a longer lane that is the newest, and the head, which is counted and told
//! as dead, is `parked` and stops its lane, as under `block`; by its due time ([`UNDER_WAY`]) it is
//! told from those that wait for a person. A timer sets aside the rest from the newest on, a few in a
//! transaction, and the head last. What comes in meanwhile joins those that are aside, or waits behind
//! the head and is set aside as well.
//!
//! A crash leaves a lane that stands still, and the timer, which goes on. Until it is done, whoever
//! replays something of the lane, or tries its head again or discards it, is told of a conflict:
//! a part of it alone would come out of order. Those behind the head may be discarded, and with all
//! that waits for the connection the head, too; then nothing is left to do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::delivery;
use sea_orm::DbErr;
use uuid::Uuid;

use super::lanes::{self, Lane};
use super::open::OPEN_D;
use super::sql::{self, Values};
use super::stats::{Counters, metric};
use crate::db::Sql;
use crate::dispatch::{self, Leased};
use crate::schedule;

/// The kind of the timers; their keys are heads.
pub const ASIDE: &str = "lane_aside";

/// The due time of a head that stops its lane until the rest of it is set aside: before all times.
/// Whoever lets a head go gives it another.
pub const UNDER_WAY: i64 = -1;

/// Code and text of what was set aside because an earlier delivery of its lane failed.
pub const FAILED: (&str, &str) = (
    "lane_failed",
    "An earlier delivery of its lane failed; they are replayed together, in order.",
);

/// How many the transaction of failed heads sets aside, behind all of them together.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 512 };

/// How many of those that are left are counted for the message about the heads, together: reading
/// all of a very long lane takes long.
const COUNTED: usize = if cfg!(test) { 3 } else { 10_000 };

/// What goes to the dead letters with the head of its lane.
#[derive(Clone, Debug)]
pub struct Followers {
    /// The workspace.
    pub workspace: Uuid,
    /// How many did.
    pub count: i64,
    /// How many follow by and by, as far as they were counted.
    pub rest: i64,
    /// The sources of their events.
    pub sources: BTreeSet<Uuid>,
}

/// Which deliveries `d` of a lane go aside with its head: not those that wait for a person, or for a
/// rule to be mended. Their state serves no index: only that of the lane reads no others.
fn goes() -> String {
    format!(
        "d.lane IS NOT NULL AND {OPEN_D} AND d.behind = TRUE \
         AND d.state || '' IN ('ready', 'retrying', 'windowed', 'paused')"
    )
}

/// Sets aside what waits behind these heads, which failed, or begins to. Returns what becomes of each
/// lane that was longer than its head.
///
/// # Errors
/// A statement failed.
pub async fn park(
    txn: &impl Sql,
    heads: &BTreeMap<Lane, Uuid>,
    now: i64,
) -> Result<HashMap<Lane, Followers>, DbErr> {
    let lanes: BTreeSet<Lane> = heads.keys().cloned().collect();
    let most = (AT_ONCE / lanes.len().max(1)).max(1);
    let longer = lanes::one_of_each(txn, &lanes, |values| newest_query(values, most)).await?;
    let mut parked = newest(txn, &lanes, &longer, now).await?;
    let long: BTreeSet<Lane> = longer.into_keys().collect();
    let counted = (COUNTED / long.len().max(1)).max(1);
    for lane in &long {
        if let Some(followers) = parked.get_mut(lane) {
            count_rest(txn, lane, counted, followers).await?;
        }
    }
    let stopping: Vec<Uuid> = long
        .iter()
        .filter_map(|lane| heads.get(lane))
        .copied()
        .collect();
    stop(txn, &stopping, now).await?;
    Ok(parked)
}

/// The newest of those that are too many for one transaction, by rows of connection and key.
fn newest_query(values: &str, most: usize) -> String {
    let which = format!("{} ORDER BY d.id DESC LIMIT 1 OFFSET {most}", goes());
    lanes::one_query(values, "d.id", &which)
}

/// Counts those of a lane that are left, the newest of them.
async fn count_rest(
    txn: &impl Sql,
    (connection, key): &Lane,
    most: usize,
    followers: &mut Followers,
) -> Result<(), DbErr> {
    let mut rows = Values::of(txn);
    let connection = rows.single((*connection).into());
    let key = rows.single(key.clone().into());
    let query = format!(
        "SELECT r.s AS s, COUNT(*) AS n FROM (SELECT d.source_id AS s FROM delivery d \
         WHERE d.connection_id = {connection} AND d.lane = {key} AND {goes} \
         ORDER BY d.id DESC LIMIT {most}) r GROUP BY r.s",
        goes = goes(),
    );
    for row in sql::fetch(txn, query, rows.values).await? {
        let more: i64 = row.get("n")?;
        followers.rest += more;
        let source: Option<Uuid> = row.get("s")?;
        followers.sources.extend(source);
    }
    Ok(())
}

/// Sets aside those of each lane that are newer than the one that is named.
async fn newest(
    txn: &impl Sql,
    lanes: &BTreeSet<Lane>,
    after: &HashMap<Lane, Uuid>,
    now: i64,
) -> Result<HashMap<Lane, Followers>, DbErr> {
    let mut parked: HashMap<Lane, Followers> = HashMap::new();
    let all: Vec<&Lane> = lanes.iter().collect();
    for chunk in sql::padded(&all) {
        let mut rows = Values::of(txn);
        for lane in chunk {
            let (connection, key) = (lane.0, lane.1.clone());
            let after = after.get(*lane).copied().unwrap_or_default();
            rows.row([connection.into(), key.into(), after.into()]);
        }
        let values = rows.text.clone();
        let failed = failed(&mut rows, now);
        let query = format!(
            "WITH v(connection_id, lane, after) AS (VALUES {values}), {failed} \
             WHERE delivery.id IN (SELECT d.id FROM v JOIN delivery d \
             ON d.connection_id = v.connection_id AND d.lane = v.lane AND d.id > v.after \
             WHERE {goes}) RETURNING delivery.workspace_id AS w, delivery.connection_id AS c, \
             delivery.lane AS l, delivery.source_id AS s",
            goes = goes(),
        );
        for row in sql::fetch(txn, query, rows.values).await? {
            let workspace = row.get("w")?;
            let followers = parked
                .entry((row.get("c")?, row.get("l")?))
                .or_insert_with(|| Followers {
                    workspace,
                    count: 0,
                    rest: 0,
                    sources: BTreeSet::new(),
                });
            followers.count += 1;
            let source: Option<Uuid> = row.get("s")?;
            followers.sources.extend(source);
        }
    }
    Ok(parked)
}

/// The part of a statement that makes deliveries dead letters of their lane.
fn failed(rows: &mut Values, now: i64) -> String {
    let [at, code, text] = [now.into(), FAILED.0.into(), FAILED.1.into()].map(|v| rows.single(v));
    format!(
        "t(at, code, text) AS (SELECT {at}, {code}, {text}) UPDATE delivery SET state = 'dead', \
         lane_parked = TRUE, behind = FALSE, due_at = t.at, error_code = t.code, error = t.text, \
         finished_at = t.at, updated_at = t.at FROM t"
    )
}

/// Lets heads stop their lanes until the rest of them is set aside.
async fn stop(txn: &impl Sql, heads: &[Uuid], now: i64) -> Result<(), DbErr> {
    for chunk in sql::padded(heads) {
        let mut rows = Values::of(txn);
        for head in chunk {
            rows.row([(*head).into()]);
        }
        let query = format!(
            "WITH v(id) AS (VALUES {}) UPDATE delivery SET state = 'parked', \
             due_at = {UNDER_WAY}, finished_at = NULL \
             WHERE delivery.id IN (SELECT v.id FROM v) AND {dead}",
            rows.text,
            dead = sql::state_is("dead"),
        );
        sql::execute(txn, query, rows.values).await?;
    }
    for head in heads {
        schedule::set(txn, ASIDE, &head.to_string(), now).await?;
    }
    Ok(())
}

/// What a few more of a lane came to.
#[derive(Default)]
pub struct Aside {
    /// How many were set aside behind the head.
    pub count: u64,
    /// True: that was all, or the head was discarded with all that waited.
    pub ended: bool,
    /// What leads the lane after that, if it may be sent.
    pub next: Leased,
}

impl Aside {
    fn ended() -> Self {
        Self {
            ended: true,
            ..Self::default()
        }
    }
}

/// Sets aside a few more of the lane that this head stops, and the head with the last of them.
///
/// # Errors
/// A statement failed.
pub async fn more(
    txn: &impl Sql,
    dispatch: &dispatch::Handle,
    head: &delivery::Model,
    most: u64,
    now: i64,
) -> Result<Aside, DbErr> {
    let Some(lane) = lanes::of(head) else {
        return Ok(Aside::ended());
    };
    let lanes = BTreeSet::from([lane]);
    lanes::lock(txn, &lanes).await?;
    if !stops(txn, head.id).await? {
        return Ok(Aside::ended());
    }
    let count = newest_few(txn, head, most, now).await?;
    let gone = i64::try_from(count).unwrap_or(i64::MAX);
    let mut counters = Counters::default();
    let (workspace, connection) = (head.workspace_id, head.connection_id);
    counters.add(workspace, now, metric::DEAD, connection, gone);
    counters.write(txn).await?;
    let ended = count < most;
    let mut next = Leased::default();
    if ended {
        let query = "UPDATE delivery SET state = 'dead', due_at = $1, finished_at = $1, \
                     updated_at = $1 WHERE id = $2";
        sql::execute(txn, query, vec![now.into(), head.id.into()]).await?;
        next = lanes::release(txn, dispatch, &lanes, now).await?;
    }
    Ok(Aside { count, ended, next })
}

/// Whether a head still stops its lane, which is locked.
async fn stops(txn: &impl Sql, head: Uuid) -> Result<bool, DbErr> {
    let query = format!(
        "SELECT delivery.id AS id FROM delivery WHERE id = $1 AND due_at = {UNDER_WAY} \
         AND {parked}",
        parked = sql::state_is("parked"),
    );
    let found = sql::fetch(txn, query, vec![head.into()]).await?;
    Ok(!found.is_empty())
}

/// Sets aside the newest of a lane. Returns how many.
async fn newest_few(
    txn: &impl Sql,
    head: &delivery::Model,
    most: u64,
    now: i64,
) -> Result<u64, DbErr> {
    let mut rows = Values::of(txn);
    let failed = failed(&mut rows, now);
    let connection = rows.single(head.connection_id.into());
    let key = rows.single(head.lane.clone().into());
    let query = format!(
        "WITH {failed} WHERE delivery.id IN (SELECT d.id FROM delivery d \
         WHERE d.connection_id = {connection} AND d.lane = {key} AND {goes} \
         ORDER BY d.id DESC LIMIT {most})",
        goes = goes(),
    );
    sql::execute(txn, query, rows.values).await
}
