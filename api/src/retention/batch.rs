//! One batch: archived, held, looked at once more, deleted, in one short transaction.
//!
//! What somebody took up again since it was found or archived stays for the next round. On
//! PostgreSQL the rows are held first, so that what the next statement sees stays so: whoever makes a
//! delivery of an event that is stored already holds the event too (`crate::journal::hold_events`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use entity::{attempt, audit, delivery, event};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::archive::{Archive, Fault, Line, Piece, Whose, line};
use super::queries;
use crate::chain;
use crate::core::Core;
use crate::db::Transaction;
use crate::journal::sql::{self, Values};
use crate::schedule::{self, Due};

/// Ids in one statement: an event may have any number of deliveries, a statement of SQLite 32,766
/// parameters.
const PARAMETERS: usize = 1_000;

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gone {
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Attempts.
    pub attempts: u64,
    /// Other rows.
    pub rows: u64,
    /// Bytes in the archive.
    pub archived: u64,
    /// How long others that write had to wait for it: without the archive.
    pub writing: Duration,
}

/// Why a batch was not deleted.
#[derive(Debug)]
pub enum Stopped {
    /// The database failed.
    Database(DbErr),
    /// The archive did not take it.
    Archive(Fault),
    /// Another server goes on, or may.
    Lost,
}

impl From<DbErr> for Stopped {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// Who works, and where the rows of a batch go before they are deleted.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The server.
    pub core: &'a Core,
    /// The claim of the clean-up.
    pub due: &'a Due,
    /// The archive; none: they are gone.
    pub target: Option<Target<'a>>,
}

/// The archive of a workspace.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// The workspace.
    pub workspace: Uuid,
    /// Its folder in the archive.
    pub slug: &'a str,
}

impl Place<'_> {
    /// Begins the transaction that deletes. The claim holds until its end.
    async fn begin(&self) -> Result<Transaction, Stopped> {
        let txn = self.core.db.begin().await?;
        if !schedule::holds(&txn, self.due).await? {
            txn.rollback().await?;
            return Err(Stopped::Lost);
        }
        Ok(txn)
    }

    async fn written(&self, target: Target<'_>, lines: Vec<Line>) -> Result<Vec<Piece>, Stopped> {
        let whose = Whose {
            workspace: target.workspace,
            slug: target.slug,
            due: self.due,
        };
        target
            .archive
            .write(self.core, whose, lines)
            .await
            .map_err(|fault| match fault {
                Fault::Lapsed => Stopped::Lost,
                fault => Stopped::Archive(fault),
            })
    }
}

/// `(?), (?)` of ids.
fn marks(db: &impl ConnectionTrait, ids: &[Uuid]) -> Values {
    let mut values = Values::of(db);
    for id in ids {
        values.row([(*id).into()]);
    }
    values
}

async fn delete(
    txn: &impl ConnectionTrait,
    ids: &[Uuid],
    text: impl FnOnce(&str) -> String,
) -> Result<u64, DbErr> {
    if ids.is_empty() {
        return Ok(0);
    }
    let values = marks(txn, ids);
    sql::execute(txn, text(&values.text), values.values).await
}

/// Deletes those of some rows that may still go; returns their ids.
async fn delete_some(
    txn: &impl ConnectionTrait,
    ids: &[Uuid],
    dead: i64,
    text: impl FnOnce(&str, &str) -> String,
) -> Result<Vec<Uuid>, DbErr> {
    let mut values = marks(txn, ids);
    let dead = values.single(dead.into());
    sql::rows(txn, text(&values.text, &dead), values.values)
        .await?
        .iter()
        .map(|row| row.try_get("", "id"))
        .collect()
}

/// What tells whether a delivery is as it was: its state, its last change, its attempts.
type Version = (String, i64, i32);

fn version(row: &delivery::Model) -> Version {
    (row.state.clone(), row.updated_at, row.attempts)
}

/// Holds rows by their ids; returns the deliveries as they are now, with their events.
async fn versions(
    txn: &impl ConnectionTrait,
    ids: &[Uuid],
    text: impl FnOnce(&str, bool) -> String,
) -> Result<BTreeMap<Uuid, (Uuid, Version)>, DbErr> {
    let values = marks(txn, ids);
    let postgres = txn.get_database_backend() == DatabaseBackend::Postgres;
    sql::rows(txn, text(&values.text, postgres), values.values)
        .await?
        .iter()
        .map(|row| {
            let version = (
                row.try_get("", "state")?,
                row.try_get("", "updated_at")?,
                row.try_get("", "attempts")?,
            );
            Ok((
                row.try_get("", "id")?,
                (row.try_get("", "event_id")?, version),
            ))
        })
        .collect()
}

/// Deletes events with all that was made of them.
pub async fn events(place: Place<'_>, ids: &[Uuid], dead: i64) -> Result<Gone, Stopped> {
    let Place { core, target, .. } = place;
    let (pieces, archived) = match target {
        None => (Vec::new(), None),
        Some(target) => {
            let db = core.db.read();
            let all = event::Entity::find()
                .filter(event::Column::Id.is_in(ids.iter().copied()))
                .all(db)
                .await?;
            let of = delivery::Entity::find()
                .filter(delivery::Column::EventId.is_in(ids.iter().copied()))
                .all(db)
                .await?;
            let mut lines: Vec<Line> = all.iter().map(line::event).collect();
            lines.extend(archived_deliveries(core, &of).await?);
            let pieces = place.written(target, lines).await?;
            let archived: BTreeMap<_, _> = of
                .iter()
                .map(|row| (row.id, (row.event_id, version(row))))
                .collect();
            (pieces, Some(archived))
        }
    };
    let begun = Instant::now();
    let txn = place.begin().await?;
    let mut held = hold(&txn, ids).await?;
    if !held.is_empty() {
        let now = versions(&txn, &held, queries::hold_deliveries_of).await?;
        if let Some(archived) = archived {
            let changed = differing(&archived, &now);
            held.retain(|id| !changed.contains(id));
        }
    }
    let gone = if held.is_empty() {
        Vec::new()
    } else {
        delete_some(&txn, &held, dead, queries::delete_events).await?
    };
    if gone.is_empty() {
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let attempts = delete(&txn, &gone, queries::delete_attempts_of_events).await?;
    let deliveries = delete(&txn, &gone, queries::delete_deliveries_of).await?;
    finish(
        core,
        (txn, begun),
        &pieces,
        Gone {
            events: gone.len() as u64,
            deliveries,
            attempts,
            ..Gone::default()
        },
    )
    .await
}

/// Holds those of some events that nobody else holds.
async fn hold(txn: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Uuid>, DbErr> {
    let values = marks(txn, ids);
    let postgres = txn.get_database_backend() == DatabaseBackend::Postgres;
    let query = queries::hold_events(&values.text, postgres);
    sql::rows(txn, query, values.values)
        .await?
        .iter()
        .map(|row| row.try_get("", "id"))
        .collect()
}

/// The events whose deliveries are not those that were archived.
fn differing(
    archived: &BTreeMap<Uuid, (Uuid, Version)>,
    now: &BTreeMap<Uuid, (Uuid, Version)>,
) -> BTreeSet<Uuid> {
    let one_sided = |these: &BTreeMap<Uuid, (Uuid, Version)>,
                     those: &BTreeMap<Uuid, (Uuid, Version)>| {
        these
            .iter()
            .filter(|(id, row)| those.get(*id) != Some(*row))
            .map(|(_, (event, _))| *event)
            .collect::<Vec<_>>()
    };
    let mut events: BTreeSet<Uuid> = one_sided(archived, now).into_iter().collect();
    events.extend(one_sided(now, archived));
    events
}

/// Deletes deliveries with their attempts.
pub async fn deliveries(place: Place<'_>, ids: &[Uuid], dead: i64) -> Result<Gone, Stopped> {
    let Place { core, target, .. } = place;
    let (pieces, archived) = match target {
        None => (Vec::new(), None),
        Some(target) => {
            let all = delivery::Entity::find()
                .filter(delivery::Column::Id.is_in(ids.iter().copied()))
                .all(core.db.read())
                .await?;
            let pieces = place
                .written(target, archived_deliveries(core, &all).await?)
                .await?;
            let archived: BTreeMap<Uuid, Version> =
                all.iter().map(|row| (row.id, version(row))).collect();
            (pieces, Some(archived))
        }
    };
    let begun = Instant::now();
    let txn = place.begin().await?;
    let held: Vec<Uuid> = versions(&txn, ids, queries::hold_deliveries)
        .await?
        .into_iter()
        .filter(|(id, (_, now))| archived.as_ref().is_none_or(|all| all.get(id) == Some(now)))
        .map(|(id, _)| id)
        .collect();
    let gone = if held.is_empty() {
        Vec::new()
    } else {
        delete_some(&txn, &held, dead, queries::delete_deliveries).await?
    };
    if gone.is_empty() {
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let attempts = delete(&txn, &gone, queries::delete_attempts_of).await?;
    finish(
        core,
        (txn, begun),
        &pieces,
        Gone {
            deliveries: gone.len() as u64,
            attempts,
            ..Gone::default()
        },
    )
    .await
}

/// Deletes attempts.
pub async fn attempts(place: Place<'_>, ids: &[Uuid]) -> Result<Gone, Stopped> {
    let Place { core, target, .. } = place;
    let pieces = match target {
        None => Vec::new(),
        Some(target) => {
            let all = attempt::Entity::find()
                .filter(attempt::Column::Id.is_in(ids.iter().copied()))
                .all(core.db.read())
                .await?;
            place
                .written(target, all.iter().map(line::attempt).collect())
                .await?
        }
    };
    let begun = Instant::now();
    let txn = place.begin().await?;
    let attempts = delete(&txn, ids, queries::delete_attempts).await?;
    if attempts == 0 {
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let gone = Gone {
        attempts,
        ..Gone::default()
    };
    finish(core, (txn, begun), &pieces, gone).await
}

/// Deletes lines of the audit log: the first of its chain, with its anchor.
pub async fn audit(place: Place<'_>, ids: &[Uuid]) -> Result<Gone, Stopped> {
    let Place { core, target, .. } = place;
    let Some(cut) = chain::cut(core.db.read(), ids).await? else {
        return Ok(Gone::default());
    };
    let ids = cut.ids.as_slice();
    let pieces = match target {
        None => Vec::new(),
        Some(target) => {
            let all = audit::Entity::find()
                .filter(audit::Column::Id.is_in(ids.iter().copied()))
                .all(core.db.read())
                .await?;
            place
                .written(target, all.iter().map(line::audit).collect())
                .await?
        }
    };
    let begun = Instant::now();
    let txn = place.begin().await?;
    if !chain::move_anchor(&txn, &cut).await? {
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let rows = delete(&txn, ids, |ids| queries::delete_rows("audit", ids)).await?;
    let gone = Gone {
        rows,
        ..Gone::default()
    };
    finish(core, (txn, begun), &pieces, gone).await
}

/// Deletes rows that nobody has changed since a time.
pub async fn unchanged(
    core: &Core,
    ids: &[Uuid],
    cut: i64,
    text: fn(&str, &str) -> String,
) -> Result<Gone, Stopped> {
    let mut values = marks(core.db.write(), ids);
    let cut = values.single(cut.into());
    let query = text(&values.text, &cut);
    let rows = sql::execute(core.db.write(), query, values.values).await?;
    Ok(Gone {
        rows,
        ..Gone::default()
    })
}

/// Deletes rows of a table that is not archived.
pub async fn rows(core: &Core, table: &'static str, ids: &[Uuid]) -> Result<Gone, Stopped> {
    let rows = delete(core.db.write(), ids, |ids| queries::delete_rows(table, ids)).await?;
    Ok(Gone {
        rows,
        ..Gone::default()
    })
}

async fn archived_deliveries(core: &Core, rows: &[delivery::Model]) -> Result<Vec<Line>, DbErr> {
    let mut lines: Vec<Line> = rows.iter().map(line::delivery).collect();
    for part in rows.chunks(PARAMETERS) {
        let attempts = attempt::Entity::find()
            .filter(attempt::Column::DeliveryId.is_in(part.iter().map(|row| row.id)))
            .all(core.db.read())
            .await?;
        lines.extend(attempts.iter().map(line::attempt));
    }
    Ok(lines)
}

/// Counts the pieces of the archive, and commits.
async fn finish(
    core: &Core,
    (txn, begun): (Transaction, Instant),
    pieces: &[Piece],
    mut gone: Gone,
) -> Result<Gone, Stopped> {
    let now = core.clock.now_ms();
    for piece in pieces {
        piece.count(&txn, now).await?;
        gone.archived += piece.bytes();
    }
    txn.commit().await?;
    gone.writing = begun.elapsed();
    Ok(gone)
}
