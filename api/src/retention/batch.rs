//! One batch: archived, looked at once more, deleted, in one short transaction.

use entity::{attempt, audit, delivery, event};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::archive::{Archive, Fault, Line, Piece, line};
use super::queries;
use crate::chain;
use crate::core::Core;
use crate::journal::sql::{self, Values};

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
}

/// Why a batch was not deleted.
#[derive(Debug)]
pub enum Stopped {
    /// The database failed.
    Database(DbErr),
    /// The archive did not take it.
    Archive(Fault),
}

impl From<DbErr> for Stopped {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// Where the rows of a batch go before they are deleted.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// The workspace.
    pub workspace: Uuid,
    /// Its folder in the archive.
    pub slug: &'a str,
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

/// Deletes events with all that was made of them.
pub async fn events(
    core: &Core,
    ids: &[Uuid],
    dead: i64,
    target: Option<Target<'_>>,
) -> Result<Gone, Stopped> {
    let pieces = match target {
        None => Vec::new(),
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
            written(core, target, lines).await?
        }
    };
    let txn = core.db.begin().await?;
    let gone = delete_some(&txn, ids, dead, queries::delete_events).await?;
    if gone.is_empty() || (!pieces.is_empty() && gone.len() != ids.len()) {
        // Somebody took one of them up again; the piece is written anew without it.
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let attempts = delete(&txn, &gone, queries::delete_attempts_of_events).await?;
    let deliveries = delete(&txn, &gone, queries::delete_deliveries_of).await?;
    finish(
        core,
        txn,
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

/// Deletes deliveries with their attempts.
pub async fn deliveries(
    core: &Core,
    ids: &[Uuid],
    dead: i64,
    target: Option<Target<'_>>,
) -> Result<Gone, Stopped> {
    let pieces = match target {
        None => Vec::new(),
        Some(target) => {
            let all = delivery::Entity::find()
                .filter(delivery::Column::Id.is_in(ids.iter().copied()))
                .all(core.db.read())
                .await?;
            written(core, target, archived_deliveries(core, &all).await?).await?
        }
    };
    let txn = core.db.begin().await?;
    let gone = delete_some(&txn, ids, dead, queries::delete_deliveries).await?;
    if gone.is_empty() || (!pieces.is_empty() && gone.len() != ids.len()) {
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let attempts = delete(&txn, &gone, queries::delete_attempts_of).await?;
    finish(
        core,
        txn,
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
pub async fn attempts(
    core: &Core,
    ids: &[Uuid],
    target: Option<Target<'_>>,
) -> Result<Gone, Stopped> {
    let pieces = match target {
        None => Vec::new(),
        Some(target) => {
            let all = attempt::Entity::find()
                .filter(attempt::Column::Id.is_in(ids.iter().copied()))
                .all(core.db.read())
                .await?;
            written(core, target, all.iter().map(line::attempt).collect()).await?
        }
    };
    let txn = core.db.begin().await?;
    let attempts = delete(&txn, ids, queries::delete_attempts).await?;
    let gone = Gone {
        attempts,
        ..Gone::default()
    };
    finish(core, txn, &pieces, gone).await
}

/// Deletes lines of the audit log: the first of its chain, with its anchor.
pub async fn audit(core: &Core, ids: &[Uuid], target: Option<Target<'_>>) -> Result<Gone, Stopped> {
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
            written(core, target, all.iter().map(line::audit).collect()).await?
        }
    };
    let txn = core.db.begin().await?;
    if !chain::move_anchor(&txn, &cut).await? {
        txn.rollback().await?;
        return Ok(Gone::default());
    }
    let rows = delete(&txn, ids, |ids| queries::delete_rows("audit", ids)).await?;
    let gone = Gone {
        rows,
        ..Gone::default()
    };
    finish(core, txn, &pieces, gone).await
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
    let attempts = attempt::Entity::find()
        .filter(attempt::Column::DeliveryId.is_in(rows.iter().map(|row| row.id)))
        .all(core.db.read())
        .await?;
    let mut lines: Vec<Line> = rows.iter().map(line::delivery).collect();
    lines.extend(attempts.iter().map(line::attempt));
    Ok(lines)
}

async fn written(core: &Core, target: Target<'_>, lines: Vec<Line>) -> Result<Vec<Piece>, Stopped> {
    target
        .archive
        .write(core, target.workspace, target.slug, lines)
        .await
        .map_err(Stopped::Archive)
}

/// Counts the pieces of the archive, and commits.
async fn finish(
    core: &Core,
    txn: crate::db::Transaction,
    pieces: &[Piece],
    mut gone: Gone,
) -> Result<Gone, Stopped> {
    let now = core.clock.now_ms();
    for piece in pieces {
        if !piece.count(&txn, now).await? {
            // Another node was at the same place; what it wrote counts.
            txn.rollback().await?;
            return Ok(Gone::default());
        }
        gone.archived += piece.bytes();
    }
    txn.commit().await?;
    Ok(gone)
}
