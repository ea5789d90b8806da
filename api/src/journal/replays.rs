//! Repeats: what was given up, or parked, is replaced by what was made in its place.
//!
//! Invariant: the old row is superseded and points to the new one in the transaction that writes the
//! new one, and only if it is still `dead` or `parked`. So a repeat that is asked for twice, by two
//! people or after a crash, is made once: the second finds nothing to replace and writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use uuid::Uuid;

use super::AcceptWaiting;
use super::lanes::{self, Lane};
use super::sql::{self, Values};

/// Supersedes what the deliveries of the batch replace, and takes those out of the batch whose old
/// row has ended otherwise. What is taken out stays out: a row that has ended never opens again.
pub async fn supersede(
    txn: &impl ConnectionTrait,
    batch: &mut [AcceptWaiting],
) -> Result<(), DbErr> {
    // The old row points to the first of those that stand in its place.
    let mut wanted: BTreeMap<Uuid, (Uuid, i64)> = BTreeMap::new();
    let repeats = batch
        .iter()
        .flat_map(|waiting| &waiting.accept.events)
        .filter(|event| event.replay)
        .flat_map(|event| &event.deliveries);
    for delivery in repeats {
        if let Some(old) = delivery.row.replay_of {
            let first = (delivery.row.id, delivery.row.created_at);
            wanted.entry(old).or_insert(first);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    // Lanes before rows, as everybody does who ends something in a lane.
    let lanes: BTreeSet<Lane> = batch
        .iter()
        .flat_map(|waiting| &waiting.accept.events)
        .filter(|event| event.replay)
        .flat_map(|event| &event.deliveries)
        .filter_map(|delivery| lanes::of(&delivery.row))
        .collect();
    lanes::lock(txn, &lanes).await?;
    let done = mark(txn, wanted.into_iter().collect()).await?;
    for event in batch.iter_mut().flat_map(|w| &mut w.accept.events) {
        if event.replay {
            event
                .deliveries
                .retain(|d| d.row.replay_of.is_none_or(|old| done.contains(&old)));
        }
    }
    Ok(())
}

async fn mark(
    txn: &impl ConnectionTrait,
    wanted: Vec<(Uuid, (Uuid, i64))>,
) -> Result<HashSet<Uuid>, DbErr> {
    let postgres = txn.get_database_backend() == DatabaseBackend::Postgres;
    let mut done = HashSet::new();
    for piece in sql::pieces(&wanted) {
        let mut rows = Values::of(txn);
        for (old, (new, at)) in piece {
            rows.row([(*old).into(), (*new).into(), (*at).into()]);
        }
        // A stable order of locks, so that two nodes never wait for each other crosswise.
        if postgres {
            let query = format!(
                "SELECT d.id FROM delivery d JOIN (VALUES {}) AS v(old_id, new_id, at) \
                 ON d.id = v.old_id ORDER BY d.id FOR UPDATE OF d",
                rows.text
            );
            sql::rows(txn, query, rows.values.clone()).await?;
        }
        let query = format!(
            "WITH v(old_id, new_id, at) AS (VALUES {}) UPDATE delivery SET state = 'superseded', \
             replayed_as = v.new_id, updated_at = v.at, \
             finished_at = COALESCE(finished_at, v.at) FROM v WHERE delivery.id = v.old_id \
             AND delivery.state IN ('dead', 'parked') RETURNING delivery.id AS id",
            rows.text
        );
        for row in sql::rows(txn, query, rows.values).await? {
            done.insert(row.try_get("", "id")?);
        }
    }
    Ok(done)
}
