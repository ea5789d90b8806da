//! Breakers as data: what people see, what other nodes learn, what outlives a restart.
//!
//! A row is written when a breaker opens and when the upstream comes back, and now and then while
//! it is open; never for a call. Nodes look at the rows that changed lately: where one of them finds
//! an upstream failing the others probe instead of finding out for themselves, and where one finds
//! it back, the waiting retries of all are due.

use std::collections::HashMap;

use entity::breaker;
use openapi::connections::Breaker;
use openapi::stream::{ConnectionMessage, Message};
use sea_orm::{ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{News, waits};
use crate::clock::from_ms;
use crate::core::Core;
use crate::db::Db;
use crate::journal::sql;
use crate::scope::Scope;

/// Milliseconds between two probes of an open breaker.
pub const PROBE_MS: i64 = 1000;
/// How far back changes are looked for: more than the clocks of two nodes may differ.
const LOOK_BACK_MS: i64 = 60_000;

/// The word of an open breaker.
const OPEN: &str = "open";

/// A breaker that has nothing to say.
pub fn closed() -> Breaker {
    Breaker {
        state: "closed".to_owned(),
        failures: 0,
        opened_at: None,
        next_probe_at: None,
        asked_until: None,
        pace: None,
    }
}

/// The breakers of a workspace that ever opened, by connection.
///
/// # Errors
/// The database failed.
pub async fn breakers(core: &Core, scope: Scope) -> Result<HashMap<Uuid, Breaker>, DbErr> {
    let now = core.clock.now_ms();
    let rows = breaker::Entity::find()
        .filter(breaker::Column::WorkspaceId.eq(scope.workspace()))
        .all(core.db.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.connection_id, to_wire(&row, now)))
        .collect())
}

fn to_wire(row: &breaker::Model, now: i64) -> Breaker {
    let asked = Breaker {
        asked_until: waits::left(row, now).and(row.not_before).map(from_ms),
        pace: waits::pace(row, now),
        ..closed()
    };
    if row.state != OPEN {
        return asked;
    }
    // It is written now and then; in between the probes go on, one a second.
    let since = (now - row.probed_at).max(0);
    let next = now + PROBE_MS - since % PROBE_MS;
    Breaker {
        state: row.state.clone(),
        failures: row.failures,
        opened_at: Some(from_ms(row.opened_at)),
        next_probe_at: Some(from_ms(next)),
        ..asked
    }
}

/// What a carrier has to say of its breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It opened at that time, or is still open since then; so many calls in a row failed.
    Open {
        /// Milliseconds since 1970.
        since: i64,
        /// Calls in a row.
        failures: u32,
        /// Milliseconds since 1970.
        probed_at: i64,
    },
    /// The upstream came back.
    Back,
}

/// Writes it down.
pub async fn write(
    db: &Db,
    workspace: Uuid,
    connection: Uuid,
    note: Note,
    now: i64,
) -> Result<(), DbErr> {
    let (state, failures, since, probed_at, recoveries) = match note {
        Note::Open {
            since,
            failures,
            probed_at,
        } => (OPEN, i64::from(failures), since, probed_at, 0_i64),
        Note::Back => ("closed", 0, 0, now, 1),
    };
    let query = "INSERT INTO breaker (connection_id, workspace_id, state, failures, opened_at, \
                 probed_at, recoveries, updated_at) SELECT c.id, c.workspace_id, $3, $4, $5, $6, $7, \
                 $8 FROM connection c WHERE c.id = $1 AND c.workspace_id = $2 \
                 ON CONFLICT (connection_id) DO UPDATE SET state = excluded.state, \
                 failures = excluded.failures, probed_at = excluded.probed_at, \
                 opened_at = CASE WHEN excluded.state = 'closed' OR breaker.state = 'open' \
                 THEN breaker.opened_at ELSE excluded.opened_at END, \
                 recoveries = breaker.recoveries + excluded.recoveries, \
                 updated_at = excluded.updated_at";
    let values = vec![
        connection.into(),
        workspace.into(),
        state.into(),
        failures.into(),
        since.into(),
        probed_at.into(),
        recoveries.into(),
        now.into(),
    ];
    sql::execute(db.write(), query, values).await?;
    Ok(())
}

/// What this node knows of the breakers' rows.
#[derive(Debug, Default)]
pub struct Known {
    started: bool,
    rows: HashMap<Uuid, (bool, i64)>,
    waits: waits::Known,
}

/// Looks at the rows that changed, and tells the carriers. At the start, of those that are open or
/// wait.
pub async fn look(core: &Core, known: &mut Known) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    let mut query = breaker::Entity::find();
    query = if known.started {
        query.filter(breaker::Column::UpdatedAt.gte(now - LOOK_BACK_MS))
    } else {
        let open = Condition::any().add(breaker::Column::State.eq(OPEN));
        query.filter(open.add(breaker::Column::NotBefore.gt(now)))
    };
    for row in query.all(core.db.read()).await? {
        waits::tell(core, &mut known.waits, &row, now);
        let is_open = row.state == OPEN;
        let before = known
            .rows
            .insert(row.connection_id, (is_open, row.recoveries));
        let returns = match before {
            Some((_, recoveries)) => row.recoveries - recoveries,
            // A row that was not there when this node started.
            None if known.started => row.recoveries,
            None => 0,
        };
        let down_before = before.is_some_and(|(open, _)| open);
        if returns > 0 && returns > core.dispatch.own_returns(row.connection_id) {
            core.dispatch.tell(row.connection_id, News::Back);
        } else if is_open && !down_before {
            core.dispatch.tell(row.connection_id, News::Down);
        }
    }
    known.started = true;
    Ok(())
}

/// Tells those who watch that a breaker opened or closed.
pub fn announce(core: &Core, connection: &crate::connectors::Connection, change: &str) {
    core.live.publish(
        connection.workspace_id,
        Message::Connection(ConnectionMessage {
            id: connection.id,
            name: connection.name.clone(),
            change: change.to_owned(),
            code: None,
            reason: None,
            at: from_ms(core.clock.now_ms()),
        }),
    );
}

/// Tells those who watch that a connection needs no attention any more.
pub fn announce_over(core: &Core, connection: Uuid) {
    if let Some(config) = core.snapshots.current().connection(connection) {
        announce(core, &config.view, "ok");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_names_its_next_probe() {
        let row = breaker::Model {
            connection_id: Uuid::nil(),
            workspace_id: Uuid::nil(),
            state: OPEN.to_owned(),
            failures: 12,
            opened_at: 1_000,
            probed_at: 5_000,
            recoveries: 0,
            updated_at: 5_000,
            not_before: None,
            at_once: None,
            apart_ms: None,
        };
        let wire = to_wire(&row, 7_300);
        assert_eq!(wire.next_probe_at, Some(from_ms(8_000)));
        assert_eq!((wire.failures, wire.opened_at), (12, Some(from_ms(1_000))));
        let back = breaker::Model {
            state: "closed".to_owned(),
            ..row
        };
        assert_eq!(to_wire(&back, 7_300), closed());
    }
}
