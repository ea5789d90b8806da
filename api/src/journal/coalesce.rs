//! Notes that wait in a lane become one.
//!
//! Invariant: only a note takes the place of a note, of the same rule, step and operation, that waits
//! behind the head of its lane and was never leased; and only if all that came in between are notes,
//! too. So an open or a close keeps its place among the notes around it. The older one becomes
//! `coalesced`, a final state, and the newer one stands for both.

use std::collections::{BTreeSet, HashMap};

use entity::delivery;
use sea_orm::DbErr;
use uuid::Uuid;

use super::lanes::{self, Lane, OPEN};
use super::sql::{self, Values};
use crate::db::Sql;

/// The word of the action that may be coalesced.
const NOTE: &str = "note";

/// What two notes must have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Purpose {
    rule: Option<Uuid>,
    step: i32,
    operation: String,
}

impl Purpose {
    fn of(row: &delivery::Model) -> Self {
        Self {
            rule: row.rule_id,
            step: row.step,
            operation: row.operation.clone(),
        }
    }
}

/// A note that waits.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// In the database, standing for so many.
    Stored(Uuid, i32),
    /// In this batch, by its place.
    Here(usize),
}

/// The notes at the end of the lanes of a batch.
#[derive(Debug, Default)]
pub struct Notes {
    lanes: HashMap<Lane, HashMap<Purpose, Waiting>>,
    /// Stored notes that became part of another: which, and of whom.
    taken: Vec<(Uuid, Uuid)>,
    /// How many became part of another, by workspace and connection.
    pub coalesced: HashMap<(Uuid, Uuid), i64>,
}

/// Whether a delivery may stand for others.
pub fn is_note(row: &delivery::Model) -> bool {
    row.action.as_deref() == Some(NOTE) && row.state == "ready"
}

impl Notes {
    /// Looks up the notes that wait at the end of these lanes.
    pub async fn find(txn: &impl Sql, wanted: &BTreeSet<Lane>) -> Result<Self, DbErr> {
        let query = |values: &str| {
            format!(
                "WITH v(connection_id, lane) AS (VALUES {values}) SELECT d.id AS id, \
                 d.connection_id AS c, d.lane AS l, d.rule_id AS rule_id, d.step AS step, \
                 d.operation AS operation, d.repeats AS repeats FROM v JOIN delivery d \
                 ON d.connection_id = v.connection_id AND d.lane = v.lane WHERE \
                 d.state = 'ready' AND d.behind = TRUE AND d.action = 'note' AND d.fence = 0 \
                 AND NOT EXISTS (SELECT 1 FROM delivery n WHERE n.connection_id = d.connection_id \
                 AND n.lane = d.lane AND n.lane IS NOT NULL AND n.state IN {OPEN} AND n.id > d.id \
                 AND (n.action IS NULL OR n.action <> 'note')) ORDER BY d.id"
            )
        };
        let mut notes = Self::default();
        for row in lanes::of_lanes(txn, wanted, query).await? {
            let lane: Lane = (row.get("c")?, row.get("l")?);
            let purpose = Purpose {
                rule: row.get("rule_id")?,
                step: row.get("step")?,
                operation: row.get("operation")?,
            };
            let waiting = Waiting::Stored(row.get("id")?, row.get("repeats")?);
            // In order: the newest of a purpose stays.
            notes
                .lanes
                .entry(lane)
                .or_default()
                .insert(purpose, waiting);
        }
        Ok(notes)
    }

    /// A delivery that is no note joins a lane: what waits before it keeps its place.
    pub fn pass(&mut self, lane: &Lane) {
        self.lanes.remove(lane);
    }

    /// A note joins the end of a lane, behind its head; `at` is its place in the batch. It takes the
    /// place of one that waits for the same purpose.
    pub fn join(&mut self, batch: &mut [&mut delivery::Model], at: usize, lane: &Lane, now: i64) {
        let Some(row) = batch.get(at) else { return };
        let (id, purpose) = (row.id, Purpose::of(row));
        let subject = (row.workspace_id, row.connection_id);
        let before = self
            .lanes
            .entry(lane.clone())
            .or_default()
            .insert(purpose, Waiting::Here(at));
        let more = match before {
            None => return,
            Some(Waiting::Stored(older, repeats)) => {
                self.taken.push((older, id));
                repeats
            }
            Some(Waiting::Here(older)) => {
                let Some(older) = batch.get_mut(older) else {
                    return;
                };
                "coalesced".clone_into(&mut older.state);
                older.coalesced_into = Some(id);
                older.behind = false;
                older.due_at = now;
                older.finished_at = Some(now);
                older.repeats
            }
        };
        *self.coalesced.entry(subject).or_default() += 1;
        if let Some(row) = batch.get_mut(at) {
            row.repeats = row.repeats.saturating_add(more);
        }
    }

    /// Writes what became of the stored ones.
    pub async fn write(&self, txn: &impl Sql, now: i64) -> Result<(), DbErr> {
        for chunk in sql::padded(&self.taken) {
            let mut rows = Values::of(txn);
            for (older, newer) in chunk {
                rows.row([(*older).into(), (*newer).into()]);
            }
            let values = rows.text.clone();
            let mark = rows.single(now.into());
            let query = format!(
                "WITH v(id, newer) AS (VALUES {values}), t(at) AS (SELECT {mark}) UPDATE delivery \
                 SET state = 'coalesced', coalesced_into = v.newer, behind = FALSE, due_at = t.at, \
                 finished_at = t.at, updated_at = t.at FROM v, t WHERE delivery.id = v.id \
                 AND {ready} AND delivery.behind = TRUE AND delivery.fence = 0",
                ready = sql::state_is("ready"),
            );
            sql::execute(txn, query, rows.values).await?;
        }
        Ok(())
    }
}
