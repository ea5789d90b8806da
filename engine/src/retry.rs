//! When to try again: growing or listed waits over a horizon, as a pure function.

use std::time::Duration;

use crate::status::Statuses;

/// How a delivery is repeated. The default spreads its attempts over a day.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Wait after the first failed attempt.
    pub first: Duration,
    /// Each further wait is this many times longer; below 1 counts as 1.
    pub factor: f64,
    /// No wait is longer, unless the upstream asks for it.
    pub max: Duration,
    /// No attempt starts later than this after the first one.
    pub horizon: Duration,
    /// Part of a wait that is left to chance, from 0 (none) to 1 (all of it). Waits only become
    /// shorter by it.
    pub jitter: f64,
    /// Waits one after the other, instead of growing ones; after the last one the delivery is given
    /// up. Empty: growing.
    pub waits: Vec<Duration>,
    /// Longest wait that an upstream may ask for; zero: what it asks for is not listened to.
    pub asked_max: Duration,
    /// Statuses after which there is no other attempt, whatever the connector makes of them.
    pub permanent: Statuses,
    /// Statuses after which there is another attempt, whatever the connector makes of them.
    pub retried: Statuses,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(15 * 60),
            horizon: Duration::from_secs(24 * 60 * 60),
            jitter: 0.5,
            waits: Vec::new(),
            asked_max: Duration::MAX,
            permanent: Statuses::default(),
            retried: Statuses::default(),
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again after this wait.
    After(Duration),
    /// The horizon, or the end of the list, is reached.
    GiveUp,
}

impl RetryPolicy {
    /// Decides after `attempts_made` failed attempts, `elapsed` after the first one started.
    ///
    /// `random` is a number from 0 to 1 (what lies outside counts as the nearer end).
    /// `retry_after` is what the upstream asked for and is never undercut, up to
    /// [`Self::asked_max`]: if it lies beyond the horizon, there is no further attempt. The last
    /// attempt falls on the horizon itself.
    #[must_use]
    pub fn next(
        &self,
        attempts_made: u32,
        elapsed: Duration,
        random: f64,
        retry_after: Option<Duration>,
    ) -> Next {
        let Some(left) = self.horizon.checked_sub(elapsed).filter(|d| !d.is_zero()) else {
            return Next::GiveUp;
        };
        let Some(wait) = self.backoff(attempts_made, random) else {
            return Next::GiveUp;
        };
        let wait = wait.min(left);
        match retry_after.map(|asked| asked.min(self.asked_max)) {
            Some(asked) if asked > left => Next::GiveUp,
            Some(asked) => Next::After(wait.max(asked)),
            None => Next::After(wait),
        }
    }

    /// The attempts that would follow, each by its time after the first one, if all of them failed
    /// at once and chance shortened none of the waits: `count` at most, none at or before
    /// `elapsed`.
    #[must_use]
    pub fn ahead(&self, attempts_made: u32, elapsed: Duration, count: usize) -> Vec<Duration> {
        let mut at = elapsed;
        let mut made = attempts_made;
        let mut times = Vec::new();
        while times.len() < count {
            match self.next(made, at, 0.0, None) {
                // A wait of nothing would never end.
                Next::After(wait) if !wait.is_zero() => {
                    at = at.saturating_add(wait);
                    times.push(at);
                }
                Next::After(_) | Next::GiveUp => break,
            }
            made = made.saturating_add(1);
        }
        times
    }

    fn backoff(&self, attempts_made: u32, random: f64) -> Option<Duration> {
        let wait = if self.waits.is_empty() {
            self.growing(attempts_made)
        } else {
            let place = usize::try_from(attempts_made.saturating_sub(1)).unwrap_or(usize::MAX);
            self.waits.get(place)?.as_secs_f64()
        };
        let part = unit(self.jitter) * unit(random);
        Some(Duration::try_from_secs_f64(wait * (1.0 - part)).unwrap_or(self.max))
    }

    fn growing(&self, attempts_made: u32) -> f64 {
        let factor = if self.factor.is_finite() {
            self.factor.max(1.0)
        } else {
            1.0
        };
        let exponent = i32::try_from(attempts_made.saturating_sub(1)).unwrap_or(i32::MAX);
        let max = self.max.as_secs_f64();
        // Overflow is infinity, which `min` turns into the longest wait.
        (self.first.as_secs_f64() * factor.powi(exponent)).min(max)
    }
}

/// Clamped to 0..=1; not-a-number counts as 0.
fn unit(number: f64) -> f64 {
    if number.is_nan() {
        0.0
    } else {
        number.clamp(0.0, 1.0)
    }
}
