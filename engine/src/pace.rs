//! How many calls at once, and how far apart: additive increase, multiplicative decrease.
//!
//! Invariant: the limit lies between a tenth and the most that is allowed. An upstream that
//! says "too many" (429, 503) halves it, once for all answers that come within the same moment;
//! each success raises it by a little, so that a whole round of successes gives one call more. Below
//! one, a single call is made at a time and the calls keep a distance. The state is memory only:
//! after a crash a connection starts at full width, which costs the upstream a few calls.

use std::time::Duration;

/// The smallest limit: its calls are 0.9 seconds apart, so that an upstream that is down is still
/// asked once a second.
const LEAST: f64 = 0.1;
/// Answers within this time of a cut are answers to what was sent before it.
const SAME_MOMENT_MS: u64 = 250;
/// Below a limit of one, each success gives back this much.
const BACK: f64 = 0.125;
/// The distance between calls at a limit of one half.
const DISTANCE_MS: f64 = 100.0;

/// The pace of one connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    limit: f64,
    cut_at_ms: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: f64::INFINITY,
            cut_at_ms: None,
        }
    }
}

impl Pace {
    /// Calls that may be under way at once, of `most` that are allowed.
    pub fn concurrency(&self, most: usize) -> usize {
        let most = most.max(1);
        let wide = u32::try_from(most).unwrap_or(u32::MAX);
        if self.limit >= f64::from(wide) {
            return most;
        }
        // Below `most`, and never negative.
        (self.limit as usize).clamp(1, most)
    }

    /// The time from the start of one call to that of the next.
    pub fn distance(&self) -> Duration {
        if self.limit >= 1.0 {
            return Duration::ZERO;
        }
        let missing = 1.0 / self.limit.max(LEAST) - 1.0;
        Duration::try_from_secs_f64(DISTANCE_MS * missing / 1000.0).unwrap_or_default()
    }

    /// Whether it is slower than allowed.
    pub fn is_slowed(&self) -> bool {
        self.limit.is_finite()
    }

    /// The upstream said "too many"; `under_way` calls had been made at once. Returns true if this
    /// slowed it down.
    pub fn too_many(&mut self, now_ms: u64, under_way: usize) -> bool {
        if self
            .cut_at_ms
            .is_some_and(|at| now_ms >= at && now_ms - at < SAME_MOMENT_MS)
        {
            return false;
        }
        self.cut_at_ms = Some(now_ms);
        // What was not used up to now is no measure of what the upstream takes.
        let used = f64::from(u32::try_from(under_way.max(1)).unwrap_or(u32::MAX));
        self.limit = (self.limit.min(used) / 2.0).max(LEAST);
        true
    }

    /// A call was answered as it should be.
    pub fn success(&mut self, most: usize) {
        if !self.limit.is_finite() {
            return;
        }
        self.limit += if self.limit < 1.0 {
            BACK
        } else {
            1.0 / self.limit
        };
        if self.limit >= f64::from(u32::try_from(most.max(1)).unwrap_or(u32::MAX)) {
            *self = Self::default();
        }
    }

    /// The upstream came back from an outage: what it said while it was going down is no measure.
    pub fn back_again(&mut self) {
        self.limit = self.limit.max(1.0);
        self.cut_at_ms = None;
    }
}
