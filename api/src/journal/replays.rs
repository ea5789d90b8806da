//! Repeats: what was given up, or parked, is replaced by what was made in its place.
//!
//! Invariant: the old row is superseded and points to the new one in the transaction that writes the
//! new one, and only if it is still `dead` or `parked`. So a repeat that is asked for twice, by two
//! people or after a crash, is made once: the second finds nothing to replace and writes nothing.
//!
//! An event that more is made of is held first, after the lanes and before any delivery, against the
//! clean-up, which would delete it with all that it sees. If the clean-up was quicker there is nothing
//! to hold, and nothing is made.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use entity::delivery;
use sea_orm::{DatabaseBackend, DbErr};
use uuid::Uuid;

use super::AcceptWaiting;
use super::entry::AcceptEvent;
use super::lanes::{self, Lane};
use super::sql::{self, Values};
use crate::db::Sql;

/// Holds stored events against the clean-up until the transaction ends; returns those that are there.
/// Messages that are about no event are of the nil one, which is always there.
///
/// # Errors
/// A statement failed.
pub async fn hold_events(
    txn: &impl Sql,
    events: impl IntoIterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, DbErr> {
    let mut there = HashSet::from([Uuid::nil()]);
    let wanted: BTreeSet<Uuid> = events.into_iter().filter(|id| !id.is_nil()).collect();
    let wanted: Vec<Uuid> = wanted.into_iter().collect();
    let lock = match txn.backend() {
        DatabaseBackend::Postgres => " FOR KEY SHARE OF e",
        // There is one writer.
        _ => "",
    };
    for chunk in sql::padded(&wanted) {
        let mut rows = Values::of(txn);
        for id in chunk {
            rows.row([(*id).into()]);
        }
        let query = format!(
            "WITH v(id) AS (VALUES {}) SELECT e.id AS id FROM event e \
             WHERE e.id IN (SELECT id FROM v) ORDER BY e.id{lock}",
            rows.text
        );
        for row in sql::fetch(txn, query, rows.values).await? {
            there.insert(row.get("id")?);
        }
    }
    Ok(there)
}

/// Holds the events of the batch that are stored already. Nothing is made of one that is gone.
pub async fn hold(txn: &impl Sql, batch: &mut [AcceptWaiting]) -> Result<(), DbErr> {
    let replays = |event: &&AcceptEvent| event.replay && !event.deliveries.is_empty();
    let wanted: Vec<Uuid> = batch
        .iter()
        .flat_map(|waiting| &waiting.accept.events)
        .filter(replays)
        .map(|event| event.event.id)
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let there = hold_events(txn, wanted).await?;
    for event in batch.iter_mut().flat_map(|w| &mut w.accept.events) {
        if event.replay && !there.contains(&event.event.id) {
            event.deliveries.clear();
        }
    }
    Ok(())
}

/// Supersedes what the deliveries of the batch replace, and takes those out of the batch whose old
/// row has ended otherwise. What is taken out stays out: a row that has ended never opens again.
/// Returns how many were superseded.
pub async fn supersede(txn: &impl Sql, batch: &mut [AcceptWaiting]) -> Result<u64, DbErr> {
    let mut wanted: BTreeMap<Uuid, i64> = BTreeMap::new();
    let mut lanes: BTreeSet<Lane> = BTreeSet::new();
    let repeats = batch
        .iter()
        .flat_map(|waiting| &waiting.accept.events)
        .filter(|event| event.replay)
        .flat_map(|event| &event.deliveries);
    for delivery in repeats {
        if let Some(old) = delivery.row.replay_of {
            wanted.insert(old, delivery.row.created_at);
            lanes.extend(lanes::of(&delivery.row));
        }
    }
    if wanted.is_empty() {
        return Ok(0);
    }
    // Lanes before rows, as everybody does who ends something in a lane.
    lanes::lock(txn, &lanes).await?;
    let done = mark(txn, wanted.into_iter().collect()).await?;
    for event in batch.iter_mut().flat_map(|w| &mut w.accept.events) {
        if event.replay {
            event
                .deliveries
                .retain(|d| d.row.replay_of.is_none_or(|old| done.contains(&old)));
        }
    }
    Ok(u64::try_from(done.len()).unwrap_or(u64::MAX))
}

async fn mark(txn: &impl Sql, wanted: Vec<(Uuid, i64)>) -> Result<HashSet<Uuid>, DbErr> {
    let postgres = txn.backend() == DatabaseBackend::Postgres;
    let mut done = HashSet::new();
    for piece in sql::pieces(&wanted) {
        let mut rows = Values::of(txn);
        for (old, at) in piece {
            rows.row([(*old).into(), (*at).into()]);
        }
        // A stable order of locks, so that two nodes never wait for each other crosswise.
        if postgres {
            let query = format!(
                "SELECT d.id FROM delivery d JOIN (VALUES {}) AS v(old_id, at) \
                 ON d.id = v.old_id ORDER BY d.id FOR UPDATE OF d",
                rows.text
            );
            sql::fetch(txn, query, rows.values.clone()).await?;
        }
        let query = format!(
            "WITH v(old_id, at) AS (VALUES {}) UPDATE delivery SET state = 'superseded', \
             updated_at = v.at, finished_at = COALESCE(finished_at, v.at) FROM v \
             WHERE delivery.id = v.old_id AND delivery.state IN ('dead', 'parked') \
             RETURNING delivery.id AS id",
            rows.text
        );
        for row in sql::fetch(txn, query, rows.values).await? {
            done.insert(row.get("id")?);
        }
    }
    Ok(done)
}

/// Lets the old rows point to the new ones, whose ids are sure now: to the first of those that
/// stand in the place of one.
///
/// # Errors
/// A statement failed.
pub async fn link(txn: &impl Sql, written: &[&delivery::Model]) -> Result<(), DbErr> {
    let mut pairs: BTreeMap<Uuid, Uuid> = BTreeMap::new();
    for row in written {
        if let Some(old) = row.replay_of {
            pairs.entry(old).or_insert(row.id);
        }
    }
    let pairs: Vec<(Uuid, Uuid)> = pairs.into_iter().collect();
    for piece in sql::pieces(&pairs) {
        let mut rows = Values::of(txn);
        for (old, new) in piece {
            rows.row([(*old).into(), (*new).into()]);
        }
        let query = format!(
            "WITH v(old_id, new_id) AS (VALUES {}) UPDATE delivery SET replayed_as = v.new_id \
             FROM v WHERE delivery.id = v.old_id",
            rows.text
        );
        sql::execute(txn, query, rows.values).await?;
    }
    Ok(())
}
