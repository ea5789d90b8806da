//! When to try again: exponential backoff over a horizon, as a pure function.

use std::time::Duration;

/// How a delivery is repeated. The default spreads its attempts over a day.
#[derive(Debug, Clone, Copy, PartialEq)]
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
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(15 * 60),
            horizon: Duration::from_secs(24 * 60 * 60),
            jitter: 0.5,
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again after this wait.
    After(Duration),
    /// The horizon is reached.
    GiveUp,
}

impl RetryPolicy {
    /// Decides after `attempts_made` failed attempts, `elapsed` after the first one started.
    ///
    /// `random` is a number from 0 to 1 (what lies outside counts as the nearer end).
    /// `retry_after` is what the upstream asked for and is never undercut: if it lies beyond the
    /// horizon, there is no further attempt. The last attempt falls on the horizon itself.
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
        let wait = self.backoff(attempts_made, random).min(left);
        match retry_after {
            Some(asked) if asked > left => Next::GiveUp,
            Some(asked) => Next::After(wait.max(asked)),
            None => Next::After(wait),
        }
    }

    fn backoff(&self, attempts_made: u32, random: f64) -> Duration {
        let factor = if self.factor.is_finite() {
            self.factor.max(1.0)
        } else {
            1.0
        };
        let exponent = i32::try_from(attempts_made.saturating_sub(1)).unwrap_or(i32::MAX);
        let max = self.max.as_secs_f64();
        // Overflow is infinity, which `min` turns into the longest wait.
        let wait = (self.first.as_secs_f64() * factor.powi(exponent)).min(max);
        let part = unit(self.jitter) * unit(random);
        Duration::try_from_secs_f64(wait * (1.0 - part)).unwrap_or(self.max)
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
