//! Breakers as data: what people see, what other nodes learn, what outlives a restart.
//!
//! A row is written when a breaker opens and when the upstream comes back, and now and then while
//! it is open; never for a call. Subscribers are told in the transaction that turns it. Nodes look
//! at the rows that changed lately: where one of them finds an upstream failing the others probe
//! instead of finding out for themselves, and where one finds it back, the waiting retries of all
//! are due.

use std::collections::{HashMap, VecDeque};

use entity::breaker;
use openapi::connections::Breaker;
use openapi::stream::{ConnectionMessage, Message};
use sea_orm::{ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{News, waits};
use crate::clock::from_ms;
use crate::core::Core;
use crate::db::Sql;
use crate::journal::sql;
use crate::lifecycle::{self, Message as Told};
use crate::scope::Scope;
use crate::snapshot::ConnectionConfig;

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
    /// It opened.
    Open {
        /// Milliseconds since 1970.
        since: i64,
        /// Calls in a row that failed.
        failures: u32,
    },
    /// It is open as before.
    Still {
        /// Calls in a row that failed.
        failures: u32,
        /// When a call was last let through; milliseconds since 1970.
        probed_at: i64,
    },
    /// The upstream came back.
    Back {
        /// Milliseconds since 1970.
        at: i64,
    },
}

/// What is still to be written of a breaker, the oldest first: openings and returns, by turns.
#[derive(Debug, Default)]
pub struct Notes(VecDeque<Note>);

impl Notes {
    /// Most that wait, while the database is away.
    const MOST: usize = 4;

    /// Adds one. What it says anew is said once; of a breaker that flaps on and on the oldest
    /// opening is forgotten together with the return from it.
    pub fn add(&mut self, note: Note) {
        match (self.0.back_mut(), note) {
            (Some(_), Note::Still { .. }) => {}
            (Some(last @ (Note::Open { .. } | Note::Still { .. })), Note::Open { .. })
            | (Some(last @ (Note::Back { .. } | Note::Still { .. })), Note::Back { .. }) => {
                *last = note;
            }
            _ => self.0.push_back(note),
        }
        if self.0.len() > Self::MOST {
            self.0.drain(..2);
        }
    }

    /// The next one.
    pub fn next(&self) -> Option<Note> {
        self.0.front().copied()
    }

    /// The next one is written.
    pub fn written(&mut self) {
        self.0.pop_front();
    }

    /// None of them holds any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a note down. The row says what all nodes know: the one whose note turns it tells the
/// subscribers, in the same transaction; others that find the same out tell nobody.
///
/// # Errors
/// Nothing was written, or the answer was lost: the note is to be written again, which tells
/// nobody twice.
pub async fn write(core: &Core, connection: &ConnectionConfig, note: Note) -> Result<(), DbErr> {
    let (id, now) = (connection.view.id, core.clock.now_ms());
    let txn = core.db.begin().await?;
    let message = match note {
        Note::Open { since, failures } => {
            make(&txn, connection, now).await?;
            let query = "UPDATE breaker SET state = 'open', failures = $2, opened_at = $3, \
                         probed_at = $3, updated_at = $4 WHERE connection_id = $1 \
                         AND state <> 'open'";
            let failures = i64::from(failures);
            let values = vec![id.into(), failures.into(), since.into(), now.into()];
            let turned = sql::execute(&txn, query, values).await? > 0;
            turned.then(|| Told::breaker(connection, true, since))
        }
        Note::Still {
            failures,
            probed_at,
        } => {
            // Another node may have found it back meanwhile.
            let query = "UPDATE breaker SET failures = $2, probed_at = $3, updated_at = $4 \
                         WHERE connection_id = $1 AND state = 'open'";
            let failures = i64::from(failures);
            let values = vec![id.into(), failures.into(), probed_at.into(), now.into()];
            sql::execute(&txn, query, values).await?;
            None
        }
        Note::Back { at } => {
            make(&txn, connection, now).await?;
            let query = "UPDATE breaker SET state = 'closed', failures = 0 \
                         WHERE connection_id = $1 AND state = 'open'";
            let turned = sql::execute(&txn, query, vec![id.into()]).await? > 0;
            let query = "UPDATE breaker SET recoveries = recoveries + 1, probed_at = $2, \
                         updated_at = $2 WHERE connection_id = $1";
            sql::execute(&txn, query, vec![id.into(), now.into()]).await?;
            turned.then(|| Told::breaker(connection, false, at))
        }
    };
    let snapshot = core.snapshots.current();
    let told = lifecycle::publish_in(&txn, &snapshot, message.flatten()).await?;
    txn.commit().await?;
    lifecycle::wake(core, told);
    Ok(())
}

/// Makes the row of a connection that never had one, unless it was deleted.
async fn make(txn: &impl Sql, connection: &ConnectionConfig, now: i64) -> Result<(), DbErr> {
    let view = &connection.view;
    let query = "INSERT INTO breaker (connection_id, workspace_id, state, failures, opened_at, \
                 probed_at, recoveries, updated_at) SELECT c.id, c.workspace_id, 'closed', 0, 0, \
                 0, 0, $3 FROM connection c WHERE c.id = $1 AND c.workspace_id = $2 \
                 ON CONFLICT (connection_id) DO NOTHING";
    let values = vec![view.id.into(), view.workspace_id.into(), now.into()];
    sql::execute(txn, query, values).await?;
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
    fn notes_are_written_by_turns_and_never_pile_up() {
        let open = |since| Note::Open { since, failures: 3 };
        let still = Note::Still {
            failures: 9,
            probed_at: 1,
        };
        let back = |at| Note::Back { at };
        let all = |notes: &Notes| notes.0.iter().copied().collect::<Vec<_>>();
        let mut notes = Notes::default();
        assert!(notes.is_empty());
        notes.add(still);
        notes.add(open(1));
        notes.add(still);
        notes.add(open(2));
        notes.add(back(3));
        notes.add(back(4));
        assert_eq!(all(&notes), [open(2), back(4)]);
        assert_eq!(notes.next(), Some(open(2)));
        notes.written();
        assert_eq!(notes.next(), Some(back(4)));
        for at in 5..100 {
            notes.add(open(at));
            notes.add(back(at));
        }
        // One that is open in the row is closed by what follows, whatever was left out.
        assert_eq!(all(&notes), [back(98), open(99), back(99)]);
        notes.clear();
        assert!(notes.is_empty());
    }

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
