//! What waits: open deliveries, by connection and state.
//!
//! Everything here reads the index over open deliveries: for each connection and state one place in
//! it, from which the entries are counted. So it costs what is open, and nothing for what has ended,
//! however much that is; and what waits in one workspace costs the others nothing.

use openapi::deliveries::State;
use sea_orm::{DbErr, Value};
use uuid::Uuid;

use crate::db::Db;
use crate::journal::{OPEN_D, OPEN_STATES, sql};
use crate::scope::Scope;

/// Rows that are looked at for the age of what waits in one state of a connection. Those that are
/// due first are the oldest, but for retries; their rows have to be read.
const AGED: u32 = 1_000;

/// Open deliveries of one connection in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The connection; nil for what a rule in quarantine sends to one that does not exist.
    pub connection: Uuid,
    /// The state.
    pub state: State,
    /// How many there are; at least one.
    pub count: i64,
    /// When the oldest of the first [`AGED`] was made, in milliseconds since 1970.
    pub oldest: i64,
}

/// What waits, in a workspace or in all of them.
///
/// # Errors
/// The database failed.
pub async fn waiting(db: &Db, scope: Option<Scope>) -> Result<Vec<Waiting>, DbErr> {
    let own: Vec<Value> = scope.iter().map(|scope| scope.workspace().into()).collect();
    let mut nowhere: Vec<Value> = vec![Uuid::nil().into()];
    nowhere.extend(own.iter().cloned());
    let mut found = Vec::new();
    for (query, values) in [
        (waiting_query(scope.is_some()), own),
        (nowhere_query(scope.is_some()), nowhere),
    ] {
        for row in sql::rows(db.read(), query, values).await? {
            let (count, oldest): (i64, Option<i64>) =
                (row.try_get("", "n")?, row.try_get("", "oldest")?);
            let state: String = row.try_get("", "state")?;
            if let (Some(state), Some(oldest)) = (State::parse(&state), oldest) {
                found.push(Waiting {
                    connection: row.try_get("", "connection")?,
                    state,
                    count,
                    oldest,
                });
            }
        }
    }
    Ok(found)
}

/// Count and age for each connection, of workspace `$1` or of all, and each open state.
pub fn waiting_query(scoped: bool) -> String {
    let states = OPEN_STATES.map(|state| format!("('{state}')")).join(",");
    // The condition of the index stands in the text word for word, so that it is used.
    let these =
        format!("FROM delivery d WHERE d.connection_id = c.id AND d.state = s.state AND {OPEN_D}");
    let own = if scoped {
        "WHERE c.workspace_id = $1"
    } else {
        ""
    };
    format!(
        "WITH s(state) AS (VALUES {states}) SELECT c.id AS connection, s.state AS state, \
         (SELECT COUNT(*) {these}) AS n, (SELECT MIN(o.created_at) FROM (SELECT d.created_at {these} \
         ORDER BY d.due_at LIMIT {AGED}) o) AS oldest FROM connection c CROSS JOIN s {own}"
    )
}

/// What a rule in quarantine sends to a connection `$1` that does not exist, of workspace `$2` or
/// of all.
pub fn nowhere_query(scoped: bool) -> String {
    let own = if scoped {
        "AND d.workspace_id = $2"
    } else {
        ""
    };
    format!(
        "SELECT d.connection_id AS connection, d.state AS state, COUNT(*) AS n, \
         MIN(d.created_at) AS oldest FROM delivery d WHERE d.connection_id = $1 \
         AND d.state = 'parked' AND {OPEN_D} {own} GROUP BY d.connection_id, d.state"
    )
}

/// Dead letters of workspace `$1`, or of each.
pub fn dead_query(scoped: bool) -> &'static str {
    if scoped {
        "SELECT COUNT(*) AS dead FROM delivery WHERE workspace_id = $1 AND state = 'dead'"
    } else {
        "SELECT workspace_id AS id, COUNT(*) AS dead FROM delivery WHERE state = 'dead' \
         GROUP BY workspace_id"
    }
}
