//! Discarding all that waits for one connection: a little at once, much as a job.
//!
//! Invariant: what is being sent right now is left, and what comes in later is not meant. Those
//! behind another of their lane go first and its head last, so nothing is let go on the way only to
//! be sent. Each batch is a transaction under the locks of its lanes that checks the states it starts
//! from; what was discarded is found no more, so a piece that a crash cut off goes on where it was.

use std::collections::{BTreeMap, BTreeSet};

use entity::{delivery, job};
use openapi::deliveries::{DeadResult, State};
use sea_orm::{DbErr, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::find;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::journal::sql::{self, Values};
use crate::journal::{self, Lane, OPEN};
use crate::schedule::batches::{self, Found, ROWS};
use crate::schedule::job::{self as work, Params, Step, Worker};
use crate::scope::Scope;
use crate::services::actions::{commit, tell};
use crate::services::audit::{self, Act, Actor};
use crate::services::replay::AT_ONCE;

/// The kind of these jobs, and the word in the audit log.
const DISCARD: &str = "deliveries.discard";
/// What waits, in whatever way. The index of open deliveries is read state by state.
const WAITING: [&str; 6] = ["ready", "retrying", "windowed", "held", "paused", "parked"];
/// Why some stay.
const BEING_SENT: &str = "being_sent";

/// Whose deliveries.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Asked {
    connection_id: Uuid,
}

/// What is meant: deliveries to this connection, up to the newest of them.
type Meant = Params<Asked>;

/// Discards all that waits for a connection. They are kept as `discarded`.
///
/// # Errors
/// 404; the database failed.
pub async fn discard_waiting(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
) -> ApiResult<DeadResult> {
    let connection = find(core, scope, id).await?;
    let mut result = DeadResult {
        count: 0,
        failed: 0,
        reasons: BTreeMap::new(),
        job: None,
    };
    let Some((count, last)) = extent(core, id).await? else {
        return Ok(result);
    };
    let asked = Asked { connection_id: id };
    let meant = Meant { asked, last };
    let txn = core.db.begin().await?;
    let job = if count <= AT_ONCE {
        None
    } else {
        let params = serde_json::to_string(&meant).unwrap_or_default();
        let who = by.name().to_owned();
        Some(work::start(&txn, core, scope, DISCARD, params, count, who).await?)
    };
    let act = Act {
        action: DISCARD,
        kind: "connection",
        id: Some(id),
        name: &connection.name,
        before: serde_json::Value::Null,
        after: json!({ "count": count, "job": job.as_ref().map(|job| job.id) }),
    };
    audit::note(&txn, &core.clock, scope, by, act).await?;
    txn.commit().await?;
    result.count = u64::try_from(count).unwrap_or(0);
    if let Some(job) = job {
        work::tell(core, job.id).await;
        result.job = Some(work::to_wire(job));
        return Ok(result);
    }
    let done = batches::all(0, |done, _| batch(core, meant, done)).await?;
    let left = being_sent(core, meant).await?;
    result.count = u64::try_from(done).unwrap_or(0);
    result.failed = u64::try_from(left).unwrap_or(0);
    if left > 0 {
        result.reasons.insert(BEING_SENT.to_owned(), left);
    }
    Ok(result)
}

/// How much waits or is being sent, and the newest of it.
async fn extent(core: &Core, connection: Uuid) -> Result<Option<(i64, Uuid)>, DbErr> {
    let of =
        |what: &str| format!("SELECT {what} FROM delivery WHERE connection_id = $1 AND {OPEN}");
    let id = || vec![Value::from(connection)];
    let counted = sql::rows(core.db.read(), of("COUNT(*) AS n"), id()).await?;
    let newest = of("id") + " ORDER BY id DESC LIMIT 1";
    let newest = sql::rows(core.db.read(), newest, id()).await?;
    Ok(match (counted.first(), newest.first()) {
        (Some(counted), Some(newest)) => {
            Some((counted.try_get("", "n")?, newest.try_get("", "id")?))
        }
        _ => None,
    })
}

async fn being_sent(core: &Core, meant: Meant) -> Result<i64, DbErr> {
    let query = format!(
        "SELECT COUNT(*) AS n FROM delivery WHERE connection_id = $1 AND state = 'leased' \
         AND {OPEN} AND id <= $2"
    );
    let values = vec![meant.asked.connection_id.into(), meant.last.into()];
    let rows = sql::rows(core.db.read(), query, values).await?;
    rows.first().map_or(Ok(0), |row| row.try_get("", "n"))
}

/// Discards a few. Returns how many with those that were discarded before.
async fn batch(core: &Core, meant: Meant, done: i64) -> Result<(i64, Found), DbErr> {
    for behind in [true, false] {
        for state in WAITING {
            let found = next(core, meant, state, behind).await?;
            if !found.is_empty() {
                let looked = u64::try_from(found.len()).unwrap_or(0);
                let more = discard(core, meant, found, behind).await?;
                let ended = false;
                return Ok((done + more, Found { looked, ended }));
            }
        }
    }
    Ok((done, Found::END))
}

/// Ids and lanes of some. Those behind have the latest time of all.
async fn next(
    core: &Core,
    meant: Meant,
    state: &str,
    behind: bool,
) -> Result<Vec<(Uuid, Option<String>)>, DbErr> {
    let (behind, order) = if behind {
        ("TRUE", "DESC")
    } else {
        ("FALSE", "ASC")
    };
    // The condition of the partial index stands in the text word for word, so that it is used.
    let query = format!(
        "SELECT id, lane FROM delivery WHERE connection_id = $1 AND state = '{state}' \
         AND {OPEN} AND behind = {behind} AND id <= $2 ORDER BY due_at {order} LIMIT {ROWS}"
    );
    let values = vec![meant.asked.connection_id.into(), meant.last.into()];
    let rows = sql::rows(core.db.read(), query, values).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("", "id")?, row.try_get("", "lane")?)))
        .collect()
}

/// Those of these that still wait, in one transaction. Returns how many.
async fn discard(
    core: &Core,
    meant: Meant,
    found: Vec<(Uuid, Option<String>)>,
    behind: bool,
) -> Result<i64, DbErr> {
    let now = core.clock.now_ms();
    let txn = core.db.begin().await?;
    let mut lanes: BTreeSet<Lane> = BTreeSet::new();
    let mut rows = Values::of(&txn);
    for (id, lane) in found {
        rows.row([id.into()]);
        lanes.extend(lane.map(|lane| (meant.asked.connection_id, lane)));
    }
    journal::lock(&txn, &lanes).await?;
    let values = rows.text.clone();
    let at = rows.single(now.into());
    // One that leads its lane by now is for later: what is behind it goes first.
    let still = if behind {
        "AND delivery.behind = TRUE"
    } else {
        ""
    };
    let query = format!(
        "WITH v(id) AS (VALUES {values}), t(at) AS (SELECT {at}) UPDATE delivery \
         SET state = 'discarded', updated_at = t.at, finished_at = t.at FROM t \
         WHERE delivery.id IN (SELECT v.id FROM v) AND {waits} {still} RETURNING {columns}",
        waits = sql::state_among(&WAITING),
        columns = sql::returned(),
    );
    let mut discarded: Vec<delivery::Model> = Vec::new();
    for row in sql::fetch(&txn, query, rows.values).await? {
        discarded.push(row.model()?);
    }
    let ended: BTreeSet<Lane> = discarded
        .iter()
        .filter(|row| !row.behind)
        .filter_map(|row| Some((row.connection_id, row.lane.clone()?)))
        .collect();
    // Only what came in later can follow.
    let next = journal::release(&txn, &core.dispatch, &ended, now).await?;
    commit(core, txn, next).await?;
    let count = discarded.len();
    core.metrics
        .ended(State::Discarded, u64::try_from(count).unwrap_or(0));
    for row in &discarded {
        tell(core, row, State::Discarded);
    }
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Does the pieces of these jobs.
#[derive(Debug)]
pub struct DiscardWaiting;

#[async_trait::async_trait]
impl Worker for DiscardWaiting {
    fn kind(&self) -> &'static str {
        DISCARD
    }

    async fn step(&self, core: &Core, job: &job::Model) -> Result<Step, DbErr> {
        let meant: Meant = Params::read(job)?;
        // Its time alone bounds a piece.
        let (done, found) = batches::piece(0, u64::MAX, |done, _| batch(core, meant, done)).await?;
        let mut step = Step {
            done,
            ..Step::default()
        };
        if found.ended {
            step.failed = being_sent(core, meant).await?;
            if step.failed > 0 {
                step.cursor = json!({ "reasons": { BEING_SENT: step.failed } }).to_string();
            }
        } else {
            step.again = Some(core.clock.now_ms());
        }
        Ok(step)
    }
}
