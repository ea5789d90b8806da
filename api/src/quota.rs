//! Events that a workspace may take in a day, counted in memory.
//!
//! Invariant: the way of an event costs no query. A node knows how many events of today are in the
//! database, all nodes together, and adds its own as it takes them; every two seconds it asks anew,
//! for those workspaces that have a limit. An event is counted before it is stored, and given back if
//! it is not. So a limit can be passed by what the other nodes take within that time, by what is in
//! flight while the database is asked, and by the rest of a request that carries several events;
//! nothing is refused too early, and nothing that was accepted is taken back. A day begins at midnight UTC, where the hourly counters
//! begin anew as well. A crash loses nothing: the first answer after a start comes from the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use entity::stat_hour;
use parking_lot::Mutex;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::core::Core;
use crate::db::Outage;
use crate::journal::metric;

/// How often the database is asked.
const LOOK: Duration = Duration::from_secs(2);
const DAY_MS: i64 = 86_400_000;

/// Midnight before a moment.
const fn day_start(now: i64) -> i64 {
    now - now.rem_euclid(DAY_MS)
}

/// Midnight after a moment.
pub const fn day_end(now: i64) -> i64 {
    day_start(now) + DAY_MS
}

/// The events of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    day: i64,
    /// In the database when it was last asked.
    stored: u64,
    /// Taken here since then.
    own: u64,
}

/// The counts of this node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Daily(Arc<Mutex<HashMap<Uuid, Count>>>);

impl Daily {
    /// Counts the events of a request, if the workspace may take another one.
    ///
    /// # Errors
    /// The time until the next day.
    pub fn take(
        &self,
        workspace: Uuid,
        limit: u64,
        events: usize,
        now: i64,
    ) -> Result<(), Duration> {
        let mut counts = self.0.lock();
        let count = counts.entry(workspace).or_default();
        count.turn(now);
        if count.stored + count.own < limit {
            count.own += u64::try_from(events).unwrap_or_default();
            return Ok(());
        }
        let left = u64::try_from(day_end(now) - now).unwrap_or_default();
        Err(Duration::from_millis(left))
    }

    /// Takes back what was counted for a request that was not stored.
    pub fn give_back(&self, workspace: Uuid, events: usize) {
        if let Some(count) = self.0.lock().get_mut(&workspace) {
            let events = u64::try_from(events).unwrap_or_default();
            count.own = count.own.saturating_sub(events);
        }
    }

    fn own(&self, workspace: Uuid) -> u64 {
        self.0.lock().get(&workspace).map_or(0, |count| count.own)
    }

    /// Takes over what the database says. `own` was counted here before it was asked.
    fn learned(&self, workspace: Uuid, stored: u64, own: u64, now: i64) {
        let mut counts = self.0.lock();
        let count = counts.entry(workspace).or_default();
        count.turn(now);
        count.stored = stored;
        count.own = count.own.saturating_sub(own);
    }

    /// Asks the database for the workspaces that have a limit.
    ///
    /// # Errors
    /// The database failed.
    async fn look(&self, core: &Core) -> Result<(), DbErr> {
        let snapshot = core.snapshots.current();
        let limited: Vec<Uuid> = snapshot
            .workspaces()
            .filter(|w| w.events_per_day.is_some())
            .map(|w| w.id)
            .collect();
        self.0.lock().retain(|id, _| limited.contains(id));
        if limited.is_empty() {
            return Ok(());
        }
        let own: Vec<u64> = limited.iter().map(|id| self.own(*id)).collect();
        let now = core.clock.now_ms();
        let stored = stored(core.db.read(), &limited, now).await?;
        for (id, own) in limited.into_iter().zip(own) {
            let stored = stored.get(&id).copied().unwrap_or_default();
            self.learned(id, stored, own, now);
        }
        Ok(())
    }
}

impl Count {
    /// Begins anew when the day has changed.
    fn turn(&mut self, now: i64) {
        let day = day_start(now);
        if self.day != day {
            *self = Self {
                day,
                ..Self::default()
            };
        }
    }
}

/// How many events of today are stored, by workspace.
///
/// # Errors
/// The database failed.
pub async fn stored(
    db: &impl ConnectionTrait,
    workspaces: &[Uuid],
    now: i64,
) -> Result<HashMap<Uuid, u64>, DbErr> {
    let rows: Vec<(Uuid, i64)> = stat_hour::Entity::find()
        .select_only()
        .column(stat_hour::Column::WorkspaceId)
        .column(stat_hour::Column::Value)
        .filter(stat_hour::Column::WorkspaceId.is_in(workspaces.iter().copied()))
        .filter(stat_hour::Column::Hour.gte(day_start(now)))
        .filter(stat_hour::Column::Hour.lt(day_end(now)))
        .filter(stat_hour::Column::Metric.eq(metric::ACCEPTED))
        .into_tuple()
        .all(db)
        .await?;
    let mut sums = HashMap::new();
    for (workspace, value) in rows {
        *sums.entry(workspace).or_insert(0) += u64::try_from(value).unwrap_or_default();
    }
    Ok(sums)
}

/// Keeps the counts until `shutdown`.
pub async fn keep(core: Core, shutdown: CancellationToken) {
    let mut outage = Outage::default();
    loop {
        match core.daily.look(&core).await {
            Ok(()) => outage.over(),
            Err(error) => outage.failed("The events of the day could not be counted.", &error),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * DAY_MS + DAY_MS / 2;

    #[test]
    fn counts_its_own_on_top_of_what_is_stored_until_midnight() {
        let (daily, id) = (Daily::default(), Uuid::nil());
        assert_eq!(daily.take(id, 1, 2, NOON), Ok(()), "a request is not cut");
        let half = Duration::from_secs(12 * 3600);
        assert_eq!(daily.take(id, 2, 1, NOON), Err(half));
        let own = daily.own(id);
        // Two more come while the database is asked, and one of them is not stored.
        assert_eq!(daily.take(id, 9, 2, NOON), Ok(()));
        daily.learned(id, 5, own, NOON);
        daily.give_back(id, 1);
        assert_eq!(daily.take(id, 6, 1, NOON), Err(half));
        assert_eq!(daily.take(id, 7, 1, NOON), Ok(()));
        let tomorrow = NOON + DAY_MS;
        assert_eq!(daily.take(id, 1, 1, tomorrow), Ok(()));
        assert_eq!(daily.take(id, 1, 1, tomorrow), Err(half));
        assert!(daily.take(id, 0, 1, tomorrow).is_err(), "none at all");
    }
}
