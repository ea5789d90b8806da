//! Heartbeats: a source that was silent for too long raises one alert, and its return another event.
//!
//! When a source was heard is kept in memory on each node and written in batches, one row for each
//! source and node, so that no row is hot; the newest of all nodes counts. The look at the silence
//! is a timer for each source. An alert is an event of that source with an id of its own, made from
//! the moment since which it is silent: however often the look is repeated, over restarts and on
//! other nodes, the journal stores it once.
//!
//! Failure and crash: what was not written yet is lost with a node, a few seconds at most, and the
//! look allows for them. Time in which no node listened does not count as silence.

mod event;
mod silence;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DbErr};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::core::Core;
use crate::db::Outage;
use crate::journal::sql::{self, Values};

pub use silence::{Silence, forget, look_soon};

/// How often what was heard is written.
const WRITE: Duration = Duration::from_secs(2);

/// When sources were heard on this node, as far as it is not written yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Beats(Arc<Mutex<HashMap<Uuid, i64>>>);

impl Beats {
    /// Notes that a source was heard, in milliseconds since 1970.
    pub fn heard(&self, source: Uuid, at: i64) {
        let mut beats = self.0.lock();
        let known = beats.entry(source).or_insert(at);
        *known = at.max(*known);
    }

    fn take(&self) -> BTreeMap<Uuid, i64> {
        self.0.lock().drain().collect()
    }
}

/// Writes what was heard until `shutdown`, then the rest.
pub async fn keep(core: Core, shutdown: CancellationToken) {
    let mut swept = HashSet::new();
    let mut outage = Outage::default();
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            () = tokio::time::sleep(WRITE) => {}
            () = shutdown.cancelled() => stopping = true,
        }
        let beats = core.beats.take();
        if beats.is_empty() {
            continue;
        }
        match write(&core, &beats, &mut swept).await {
            Ok(()) => outage.over(),
            Err(error) => {
                outage.failed("When sources were heard could not be written.", &error);
                beats
                    .into_iter()
                    .for_each(|(id, at)| core.beats.heard(id, at));
            }
        }
    }
}

async fn write(
    core: &Core,
    beats: &BTreeMap<Uuid, i64>,
    swept: &mut HashSet<(Uuid, Uuid)>,
) -> Result<(), DbErr> {
    let node = core.dispatch.node();
    let all: Vec<(Uuid, i64)> = beats.iter().map(|(id, at)| (*id, *at)).collect();
    let txn = core.db.begin().await?;
    for chunk in all.chunks(sql::ROWS) {
        let mut rows = Values::of(&txn);
        for (id, at) in chunk {
            rows.row([(*id).into(), node.into(), (*at).into()]);
        }
        let query = format!(
            "INSERT INTO source_beat (source_id, node_id, at) VALUES {} \
             ON CONFLICT (source_id, node_id) DO UPDATE SET at = excluded.at",
            rows.text
        );
        sql::execute(&txn, query, rows.values).await?;
    }
    for (id, at) in all.iter().filter(|(id, _)| !swept.contains(&(node, *id))) {
        sweep(&txn, node, *id, *at).await?;
    }
    silence::wake(&txn, &all, core.clock.now_ms()).await?;
    txn.commit().await?;
    swept.extend(beats.keys().map(|id| (node, *id)));
    Ok(())
}

/// Takes away the rows of nodes that are gone.
async fn sweep(
    txn: &impl ConnectionTrait,
    node: Uuid,
    source: Uuid,
    before: i64,
) -> Result<(), DbErr> {
    sql::execute(
        txn,
        "DELETE FROM source_beat WHERE source_id = $1 AND node_id <> $2 AND at <= $3 \
         AND node_id NOT IN (SELECT id FROM node)",
        vec![source.into(), node.into(), before.into()],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts_and_is_taken_once() {
        let beats = Beats::default();
        let id = Uuid::from_u128(7);
        beats.heard(id, 5);
        beats.heard(id, 9);
        beats.heard(id, 7);
        assert_eq!(beats.take(), BTreeMap::from([(id, 9)]));
        assert!(beats.take().is_empty());
    }
}
