//! Whether a node lives.
//!
//! Each node changes its row every quarter of the lease time. Another node takes it for dead when it
//! has watched the row stay the same for a whole lease time, by its own monotonic clock. No wall
//! clock is compared with another: clocks that disagree, or that somebody sets, kill nobody and make
//! no two nodes work on the same delivery.
//!
//! A node that cannot renew (its database is away, it was suspended) must not make calls that
//! another may be making by then: its lease holds for three quarters of the time after the start of
//! the last renewal that came through. Without it no call is begun, and those under way are dropped;
//! the last quarter is for what they had sent already.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// The lease of this node.
#[derive(Debug)]
pub struct Lease {
    start: Instant,
    /// Milliseconds after `start` until which it holds; renewed over and over.
    until: AtomicU64,
    length: Duration,
    /// There can be no other node.
    alone: bool,
}

impl Lease {
    /// A lease that holds from now; without a length there are no other nodes, and it always holds.
    pub fn new(length: Option<Duration>) -> Self {
        let lease = Self {
            start: Instant::now(),
            until: AtomicU64::new(0),
            length: length.unwrap_or(Duration::from_secs(10)),
            alone: length.is_none(),
        };
        lease.renewed(lease.start);
        lease
    }

    /// How long others watch before they take this node for dead.
    pub const fn length(&self) -> Duration {
        self.length
    }

    /// A renewal that began then came through.
    pub fn renewed(&self, begun: Instant) {
        let holds = begun.saturating_duration_since(self.start) + self.length * 3 / 4;
        let ms = u64::try_from(holds.as_millis()).unwrap_or(u64::MAX);
        self.until.store(ms, Ordering::Release);
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.until().is_none_or(|until| Instant::now() < until)
    }

    /// Until when it holds unless it is renewed; none: always.
    pub fn until(&self) -> Option<Instant> {
        let until = Duration::from_millis(self.until.load(Ordering::Acquire));
        (!self.alone).then(|| self.start + until)
    }
}

/// The rows of the other nodes, as they are watched from here.
#[derive(Debug, Default)]
pub struct Watch {
    rows: HashMap<Uuid, (i64, Instant)>,
}

impl Watch {
    /// Takes note of the rows of the other nodes, each with what changes at a renewal. Returns those
    /// that have not changed for `lease`.
    pub fn look(
        &mut self,
        rows: &[(Uuid, i64)],
        now: Instant,
        lease: Duration,
    ) -> Vec<(Uuid, i64)> {
        self.rows
            .retain(|id, _| rows.iter().any(|(there, _)| there == id));
        let mut dead = Vec::new();
        for (id, value) in rows {
            let seen = self.rows.entry(*id).or_insert((*value, now));
            if seen.0 != *value {
                *seen = (*value, now);
            } else if now.saturating_duration_since(seen.1) >= lease {
                dead.push((*id, *value));
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_that_stays_the_same_is_dead() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut watch = Watch::default();
        let hour = 3_600_000;
        // What the rows say about time does not matter: an hour ago, or in an hour.
        assert!(
            watch
                .look(&[(a, -hour), (b, hour)], start, second * 3)
                .is_empty()
        );
        let late = start + second * 2;
        assert!(
            watch
                .look(&[(a, -hour), (b, hour + 1)], late, second * 3)
                .is_empty()
        );
        let later = start + second * 3;
        let dead = watch.look(&[(a, -hour), (b, hour + 1)], later, second * 3);
        assert_eq!(dead, [(a, -hour)]);
        // Gone and back, it is watched anew.
        assert!(watch.look(&[(b, hour + 2)], later, second * 3).is_empty());
        assert!(
            watch
                .look(&[(a, -hour), (b, hour + 2)], later, second * 3)
                .is_empty()
        );
    }

    #[test]
    fn a_lease_ends_before_others_may_take_over() {
        let lease = Lease::new(Some(Duration::from_secs(40)));
        assert!(lease.holds());
        let most = Instant::now() + Duration::from_secs(30);
        assert!(lease.until().unwrap() <= most);
        let alone = Lease::new(None);
        assert!(alone.holds());
        assert_eq!(alone.until(), None);
        alone.renewed(Instant::now());
        assert!(alone.holds());
        let short = Lease::new(Some(Duration::ZERO));
        assert!(!short.holds());
        assert!(short.length() < lease.length());
    }
}
