//! Repeats that wait in a lane become one.
//!
//! Invariant: only a note takes the place of a note, and only an open that repeats another takes the
//! place of one that does; of the same rule, step, operation and customer, that waits behind the head
//! of its lane and was never leased; and only if all that came in between are of the same kind. So a
//! close, or what makes a ticket, keeps its place among what is around it. The older one becomes
//! `coalesced`, a final state, and the newer one stands for both.
//!
//! An open repeats another if one waits or is called before it in its lane, with no close between:
//! it becomes a note if that one works. That first one never becomes part of another, for it makes
//! the ticket. If it fails, or somebody closes its ticket meanwhile, the one that stands for the
//! repeats makes it.

use std::collections::{BTreeSet, HashMap};

use entity::delivery;
use sea_orm::DbErr;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::lanes::{self, Lane};
use super::open::{OPEN_D, open_of};
use super::sql::{self, Values};
use crate::db::Sql;

/// How the names of operations end that keep one open record for each key. Only with these an open
/// is a note where a record is open.
const UPSERT: &str = ".upsert";

/// So far from its end a lane is looked through for what may become part of another.
const TAIL: usize = 32;

/// What may be coalesced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Note,
    Open,
}

impl Kind {
    fn of(row: &delivery::Model) -> Option<Self> {
        match row.action.as_deref() {
            Some("note") => Some(Self::Note),
            None | Some("open") if row.operation.ends_with(UPSERT) => Some(Self::Open),
            _ => None,
        }
    }
}

/// The same in SQL, of the row of this name; what is no kind is `other`.
fn kind_of(row: &str) -> String {
    format!(
        "(CASE WHEN {row}.action = 'note' THEN 'note' WHEN COALESCE({row}.action, 'open') = 'open' \
         AND {row}.operation LIKE '%{UPSERT}' THEN 'open' ELSE 'other' END)"
    )
}

/// What two of a kind must have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Purpose {
    rule: Option<Uuid>,
    step: i32,
    operation: String,
    /// Whose record it is: a key can be in use for several.
    customer: String,
}

impl Purpose {
    fn of(row: &delivery::Model) -> Self {
        Self {
            rule: row.rule_id,
            step: row.step,
            operation: row.operation.clone(),
            customer: customer(&row.operation, &row.fields),
        }
    }
}

/// The field that says, with the key, which record it is.
fn customer(operation: &str, fields: &str) -> String {
    #[derive(Deserialize)]
    struct Fields {
        company: Option<Value>,
    }
    if !operation.ends_with(UPSERT) {
        return String::new();
    }
    serde_json::from_str(fields)
        .ok()
        .and_then(|fields: Fields| fields.company)
        .map(|company| company.to_string())
        .unwrap_or_default()
}

/// A repeat that waits.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// In the database, standing for so many.
    Stored(Uuid, i32),
    /// In this batch, by its place.
    Here(usize),
}

/// The end of a lane.
#[derive(Debug, Default)]
struct End {
    /// Whether an open is in it, and no close after that.
    opened: bool,
    /// Of which kind the last ones are.
    kind: Option<Kind>,
    /// Those of them that may become part of another.
    waiting: HashMap<Purpose, Waiting>,
}

/// The ends of the lanes of a batch.
#[derive(Debug, Default)]
pub struct Repeats {
    lanes: HashMap<Lane, End>,
    /// Stored ones that became part of another: which, and of whom.
    taken: Vec<(Uuid, Uuid)>,
    /// How many became part of another, by workspace and connection.
    pub coalesced: HashMap<(Uuid, Uuid), i64>,
}

/// Whether a delivery may stand for others.
pub fn may_stand_for_others(row: &delivery::Model) -> bool {
    row.state == "ready" && Kind::of(row).is_some()
}

impl Repeats {
    /// Looks at the ends of these lanes.
    pub async fn find(txn: &impl Sql, wanted: &BTreeSet<Lane>) -> Result<Self, DbErr> {
        let mut repeats = Self::default();
        for row in lanes::of_lanes(txn, wanted, opened_query).await? {
            let last: Option<String> = row.get("last")?;
            let lane: Lane = (row.get("c")?, row.get("l")?);
            let end = repeats.lanes.entry(lane).or_default();
            end.opened = last.is_some_and(|action| action != "close");
        }
        for row in lanes::of_lanes(txn, wanted, waiting_query).await? {
            let lane: Lane = (row.get("c")?, row.get("l")?);
            let (operation, fields): (String, String) = (row.get("operation")?, row.get("fields")?);
            let purpose = Purpose {
                rule: row.get("rule_id")?,
                step: row.get("step")?,
                customer: customer(&operation, &fields),
                operation,
            };
            let kind: String = row.get("kind")?;
            let end = repeats.lanes.entry(lane).or_default();
            end.kind = Some(if kind == "note" {
                Kind::Note
            } else {
                Kind::Open
            });
            // In order: the newest of a purpose stays.
            let waiting = Waiting::Stored(row.get("id")?, row.get("repeats")?);
            end.waiting.insert(purpose, waiting);
        }
        Ok(repeats)
    }

    /// A delivery joins a lane that stands for no others, or leads it: what waits before it keeps its
    /// place.
    pub fn pass(&mut self, lane: &Lane, row: &delivery::Model) {
        let end = self.lanes.entry(lane.clone()).or_default();
        end.kind = None;
        end.waiting.clear();
        if Kind::of(row) == Some(Kind::Open) {
            end.opened = true;
        } else if row.action.as_deref() == Some("close") {
            end.opened = false;
        }
    }

    /// A delivery joins the end of a lane, behind its head; `at` is its place in the batch. It takes
    /// the place of one that waits for the same purpose.
    pub fn join(&mut self, batch: &mut [&mut delivery::Model], at: usize, lane: &Lane, now: i64) {
        let Some(row) = batch.get(at) else { return };
        let Some(kind) = Kind::of(row) else { return };
        let (id, purpose) = (row.id, Purpose::of(row));
        let subject = (row.workspace_id, row.connection_id);
        let end = self.lanes.entry(lane.clone()).or_default();
        if end.kind != Some(kind) {
            end.kind = Some(kind);
            end.waiting.clear();
        }
        if kind == Kind::Open && !std::mem::replace(&mut end.opened, true) {
            // The first one.
            return;
        }
        let before = end.waiting.insert(purpose, Waiting::Here(at));
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

/// What opened or closed last in each lane.
fn opened_query(values: &str) -> String {
    format!(
        "WITH v(connection_id, lane) AS (VALUES {values}) SELECT v.connection_id AS c, v.lane AS l, \
         (SELECT COALESCE(d.action, 'open') FROM delivery d WHERE d.connection_id = v.connection_id \
         AND d.lane = v.lane AND d.lane IS NOT NULL AND {OPEN_D} \
         AND (d.action = 'close' OR {kind} = 'open') ORDER BY d.id DESC LIMIT 1) AS last FROM v",
        kind = kind_of("d"),
    )
}

/// What waits at the end of each lane and may become part of another, in order. What lies deeper
/// than [`TAIL`] stays as it is, so that the cost does not grow with the lane.
fn waiting_query(values: &str) -> String {
    let of_lane = |row: &str, other: &str| {
        format!(
            "{row}.connection_id = {other}.connection_id AND {row}.lane = {other}.lane \
             AND {row}.lane IS NOT NULL AND {open}",
            open = open_of(row),
        )
    };
    // Single values in an order, not `EXISTS`, and a state that serves no index: only that of the
    // lane is left, whatever the planner believes of the table.
    format!(
        "WITH v(connection_id, lane) AS (VALUES {values}) SELECT d.id AS id, d.connection_id AS c, \
         d.lane AS l, d.rule_id AS rule_id, d.step AS step, d.operation AS operation, \
         d.fields AS fields, d.repeats AS repeats, {kind} AS kind FROM v JOIN delivery d \
         ON d.connection_id = v.connection_id AND d.lane = v.lane WHERE d.lane IS NOT NULL \
         AND {OPEN_D} AND d.id >= COALESCE((SELECT t.id FROM delivery t WHERE {tail} \
         ORDER BY t.id DESC LIMIT 1 OFFSET {TAIL}), (SELECT f.id FROM delivery f WHERE {first} \
         ORDER BY f.id LIMIT 1)) AND d.state || '' = 'ready' AND d.behind = TRUE \
         AND d.fence = 0 AND {kind} <> 'other' AND (SELECT n.id FROM delivery n WHERE {after} AND n.id > d.id \
         AND {kind_after} <> {kind} ORDER BY n.id DESC LIMIT 1) IS NULL AND ({kind} = 'note' \
         OR (SELECT COALESCE(o.action, 'open') FROM delivery o WHERE {before} AND o.id < d.id \
         AND (o.action = 'close' OR {kind_before} = 'open') ORDER BY o.id DESC LIMIT 1) <> 'close') \
         ORDER BY d.id",
        kind = kind_of("d"),
        tail = of_lane("t", "v"),
        first = of_lane("f", "v"),
        after = of_lane("n", "d"),
        kind_after = kind_of("n"),
        before = of_lane("o", "d"),
        kind_before = kind_of("o"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::open::OPEN;
    use super::*;

    #[test]
    fn only_the_end_of_a_long_lane_is_looked_through() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let lane = format!(
            "CREATE TABLE delivery (id INTEGER PRIMARY KEY, connection_id, lane, rule_id, step, \
             operation, fields, repeats, action, state, behind, fence); \
             CREATE INDEX delivery_lane ON delivery (connection_id, lane, id) \
             WHERE lane IS NOT NULL AND {OPEN}; \
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000) \
             INSERT INTO delivery SELECT n, 'c', 'l', NULL, 0, 'ticket.upsert', '', 1, 'open', \
             'ready', n > 1, 0 FROM n"
        );
        db.execute_batch(&lane).unwrap();
        let waiting = || {
            let mut query = db.prepare(&waiting_query("(?, ?)")).unwrap();
            let rows = query.query_map(["c", "l"], |row| row.get::<_, i64>("id"));
            rows.unwrap().map(Result::unwrap).collect::<Vec<i64>>()
        };
        assert_eq!(waiting(), (1968..=2000).collect::<Vec<i64>>());
        // The first one after a close makes a ticket.
        db.execute_batch("UPDATE delivery SET action = 'close' WHERE id = 1990")
            .unwrap();
        assert_eq!(waiting(), (1992..=2000).collect::<Vec<i64>>());
        db.execute_batch("UPDATE delivery SET action = 'note' WHERE id = 1990")
            .unwrap();
        assert_eq!(waiting(), (1991..=2000).collect::<Vec<i64>>());
        // A short lane is looked through whole, but for its head.
        db.execute_batch("DELETE FROM delivery WHERE id BETWEEN 4 AND 2000")
            .unwrap();
        assert_eq!(waiting(), [2, 3]);
    }
}
