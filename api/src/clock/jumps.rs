//! Noticing that somebody set the clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A difference between wall clock and monotonic time that is no correction of a few milliseconds.
const JUMP_MS: i64 = 2_000;
/// After so long without a jump, what the clock was corrected by in small steps is forgotten.
const ANCHOR: Duration = Duration::from_secs(10);
/// Jumps that are remembered.
const KEPT: usize = 64;

/// The jumps of one process.
#[derive(Debug)]
pub(super) struct Jumps {
    /// The wall clock at `at`.
    wall: i64,
    at: Instant,
    /// The wall clock right after the jump, and how far it went; oldest first.
    seen: VecDeque<(i64, i64)>,
    back: u64,
    last_back: i64,
}

impl Jumps {
    pub(super) const fn new(wall: i64, at: Instant) -> Self {
        Self {
            wall,
            at,
            seen: VecDeque::new(),
            back: 0,
            last_back: 0,
        }
    }

    /// Takes note of a reading.
    pub(super) fn look(&mut self, wall: i64, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let jump = wall - self.wall - i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        if jump.abs() >= JUMP_MS {
            tracing::warn!(milliseconds = jump, "The clock of this machine was set.");
            if self.seen.len() == KEPT {
                self.seen.pop_front();
            }
            self.seen.push_back((wall, jump));
            if jump < 0 {
                self.back += 1;
                self.last_back = -jump;
            }
        } else if passed < ANCHOR {
            return;
        }
        self.wall = wall;
        self.at = now;
    }

    /// How far the clock jumped in all since a moment that was read from it. A moment that was read
    /// before a jump lies before the time right after it; everything later followed that jump too.
    pub(super) fn since(&self, moment: i64) -> i64 {
        let first = self.seen.iter().position(|(after, _)| moment < *after);
        first.map_or(0, |first| {
            self.seen.iter().skip(first).map(|(_, jump)| jump).sum()
        })
    }

    pub(super) const fn set_back(&self) -> (u64, i64) {
        (self.back, self.last_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn small_corrections_are_no_jumps() {
        let start = Instant::now();
        let mut jumps = Jumps::new(0, start);
        for n in 1..100_u64 {
            // A clock that runs a tenth too fast.
            jumps.look(i64::try_from(n * 1_100).unwrap(), start + seconds(n));
        }
        assert_eq!((jumps.since(0), jumps.set_back()), (0, (0, 0)));
    }

    #[test]
    fn an_hour_forward_is_left_out_of_a_distance() {
        let start = Instant::now();
        let mut jumps = Jumps::new(0, start);
        jumps.look(5_000, start + seconds(5));
        jumps.look(HOUR + 6_000, start + seconds(6));
        assert_eq!(5_000 + jumps.since(5_000), HOUR + 5_000);
        let later = HOUR + 7_000;
        assert_eq!(later + jumps.since(later), later);
        assert_eq!(jumps.set_back(), (0, 0));
    }

    #[test]
    fn an_hour_back_too() {
        let start = Instant::now();
        let mut jumps = Jumps::new(2 * HOUR, start);
        jumps.look(HOUR + 1_000, start + seconds(1));
        assert_eq!(jumps.set_back(), (1, HOUR));
        let before = HOUR / 2;
        assert_eq!(before + jumps.since(before), before - HOUR);
    }

    #[test]
    fn there_and_back_is_nothing() {
        let start = Instant::now();
        let mut jumps = Jumps::new(0, start);
        jumps.look(HOUR + 1_000, start + seconds(1));
        jumps.look(2_000, start + seconds(2));
        assert_eq!(jumps.since(500), 0);
        assert_eq!(jumps.set_back(), (1, HOUR));
    }
}
