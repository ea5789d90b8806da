//! Claims of a carrier, beside its calls: while one is under way, calls end and others begin.
//!
//! A claim is a task of its own: it holds the way to the database, for which its carrier may wait
//! meanwhile to write something else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use engine::breaker::BreakerState;
use sea_orm::DbErr;
use tokio::task::JoinError;

use super::{Carrier, IDLE};
use crate::dispatch::claim::{self, Found, Retries, Room};
use crate::dispatch::node::Lost;

/// What came of a claim.
pub(super) struct Claimed {
    retries: Retries,
    found: Result<Found, DbErr>,
    /// Claims whose commit was never answered, this one among them.
    lost: Vec<Lost>,
}

impl Carrier {
    /// Begins to claim from the database while there is room for many.
    pub(super) fn fill(&mut self) {
        let is_over = |after: Option<Instant>| after.is_none_or(|after| Instant::now() >= after);
        if !self.claims.is_empty() || !is_over(self.claim_after) {
            return;
        }
        let probe = self.lacks_probe() && is_over(self.probe_after);
        let retries = match (self.recovered, probe) {
            (true, _) => Retries::All,
            (false, true) => Retries::Probe,
            (false, false) => Retries::Due,
        };
        let Some(room) = self.room(retries) else {
            return;
        };
        // Reserved before the claim, so that the journal cannot fill the same places.
        self.desk.held.fetch_add(room.places(), Ordering::AcqRel);
        if room.fresh > 0 {
            // Cleared before the look: what comes after it sets the flag again.
            self.desk.backlog.store(false, Ordering::Release);
            // What the flag was set for may be retries, for which there is no room now.
            self.more_waits |= room.waited == 0;
        }
        let (core, connection) = (Arc::clone(&self.core), self.desk.id);
        let mut lost = std::mem::take(&mut self.lost);
        self.claims.spawn(async move {
            let node = core.dispatch.node();
            let now = core.clock.now_ms();
            let (db, lost_here) = (&core.db, &mut lost);
            let found = claim::claim(db, node, connection, now, room, retries, lost_here).await;
            Claimed {
                retries,
                found,
                lost,
            }
        });
        self.reserved = room;
    }

    /// How many to claim of each kind; none if there is no reason to look, or no room for many.
    fn room(&self, retries: Retries) -> Option<Room> {
        let look = self.desk.backlog.load(Ordering::Acquire) || !self.lost.is_empty();
        let again = self.more_waits || retries != Retries::Due;
        if !look && !again {
            return None;
        }
        let capacity = self.core.dispatch.0.options.capacity;
        let held = self.desk.held.load(Ordering::Acquire);
        let waited = self.desk.queue.lock().waited();
        Room::of(capacity, held, waited, look, again)
    }

    /// Takes what a claim found.
    pub(super) fn filled(&mut self, claimed: Result<Claimed, JoinError>) {
        let Ok(claimed) = claimed else {
            // What it leased is freed when this node stops.
            tracing::error!(connection.id = %self.desk.id, "A claim ended without a result.");
            return self.claim_failed();
        };
        self.lost = claimed.lost;
        let found = match claimed.found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, connection.id = %self.desk.id, "Deliveries could not be claimed.");
                return self.claim_failed();
            }
        };
        let room = self.reserved;
        self.desk
            .held
            .fetch_sub(room.places().saturating_sub(found.len()), Ordering::AcqRel);
        if room.fresh > 0 && found.fresh.len() >= room.fresh {
            self.desk.backlog.store(true, Ordering::Release);
        }
        if room.waited > 0 {
            self.more_waits = found.waited.len() >= room.waited;
            if claimed.retries == Retries::All {
                self.recovered &= self.more_waits;
            }
        }
        if claimed.retries == Retries::Probe && found.len() == 0 {
            self.probe_after = Instant::now().checked_add(IDLE);
        }
        self.desk.queue.lock().extend(found.fresh, found.waited);
    }

    /// Gives its places back; the next one waits a while.
    fn claim_failed(&mut self) {
        let places = self.reserved.places();
        self.desk.held.fetch_sub(places, Ordering::AcqRel);
        self.claim_after = Instant::now().checked_add(IDLE);
    }

    /// Whether a probe is due and nothing is here to make it with. One that hangs holds up none, as
    /// long as there is a place for another call.
    fn lacks_probe(&self) -> bool {
        self.breaker.state() != BreakerState::Closed
            && self.breaker.until_probe(self.elapsed_ms()) == Some(0)
            && self.calls.len() < self.places()
            && self.desk.queue.lock().is_empty()
    }
}
