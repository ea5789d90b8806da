//! When and from where credentials were last used.
//!
//! Kept in memory and written every few seconds, beside the requests: one statement for each secret
//! that was used, however often it was. The newest of all nodes counts. A crash loses what was not
//! written yet, a few seconds; a database that is away delays it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::core::Core;
use crate::journal::sql;

/// How often uses are written.
const WRITE: Duration = Duration::from_secs(3);

/// A secret: its credential, and its slot there.
type Key = (Uuid, i32);

/// Uses that are not written yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Uses(Arc<Mutex<HashMap<Key, (i64, IpAddr)>>>);

impl Uses {
    /// Notes a use, in milliseconds since 1970.
    pub(super) fn used(&self, credential: Uuid, slot: i32, at: i64, from: IpAddr) {
        let mut uses = self.0.lock();
        let known = uses.entry((credential, slot)).or_insert((at, from));
        if at >= known.0 {
            *known = (at, from);
        }
    }

    fn take(&self) -> Vec<(Key, (i64, IpAddr))> {
        let mut all: Vec<_> = self.0.lock().drain().collect();
        // In one order on all nodes, so that no two wait for each other.
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}

/// Writes uses until `shutdown`, then the rest.
pub async fn keep_uses(core: Core, shutdown: CancellationToken) {
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            () = tokio::time::sleep(WRITE) => {}
            () = shutdown.cancelled() => stopping = true,
        }
        let uses = core.uses.take();
        if uses.is_empty() {
            continue;
        }
        if let Err(error) = write(&core, &uses).await {
            tracing::warn!(%error, "The use of credentials could not be noted.");
            for ((id, slot), (at, from)) in uses {
                core.uses.used(id, slot, at, from);
            }
        }
    }
}

async fn write(core: &Core, uses: &[(Key, (i64, IpAddr))]) -> Result<(), DbErr> {
    let txn = core.db.begin().await?;
    for ((id, slot), (at, from)) in uses {
        let from = from.to_string();
        sql::execute(
            &txn,
            "UPDATE credential SET last_used_at = $1, last_used_addr = $2 \
             WHERE id = $3 AND (last_used_at IS NULL OR last_used_at <= $4)",
            vec![
                (*at).into(),
                from.clone().into(),
                (*id).into(),
                (*at).into(),
            ],
        )
        .await?;
        sql::execute(
            &txn,
            "UPDATE credential_secret SET last_used_at = $1, last_used_addr = $2 \
             WHERE credential_id = $3 AND slot = $4 AND (last_used_at IS NULL OR last_used_at <= $5)",
            vec![
                (*at).into(),
                from.into(),
                (*id).into(),
                (*slot).into(),
                (*at).into(),
            ],
        )
        .await?;
    }
    txn.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts_for_each_secret_and_is_taken_once() {
        let uses = Uses::default();
        let id = Uuid::from_u128(7);
        let from = |n: u8| IpAddr::from([192, 0, 2, n]);
        uses.used(id, 0, 5, from(1));
        uses.used(id, 0, 9, from(2));
        uses.used(id, 0, 7, from(3));
        uses.used(id, 1, 6, from(4));
        let taken = uses.take();
        assert_eq!(taken, [((id, 0), (9, from(2))), ((id, 1), (6, from(4)))]);
        assert!(uses.take().is_empty());
    }
}
