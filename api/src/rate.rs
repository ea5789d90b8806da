//! A token bucket, on a clock that only goes forward.

use std::time::{Duration, Instant};

/// Lets `per_minute` calls through in a minute, and a burst of a tenth of that (at least one).
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    per_minute: u32,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            per_minute,
            tokens: Self::burst(per_minute),
            at: now,
        }
    }

    fn burst(per_minute: u32) -> f64 {
        (f64::from(per_minute) / 10.0).max(1.0)
    }

    /// Whether it is a bucket of this rate.
    pub const fn is_of(&self, per_minute: u32) -> bool {
        self.per_minute == per_minute
    }

    /// Takes a token, or says how long until there is one.
    ///
    /// # Errors
    /// The wait until the next token.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let per_second = f64::from(self.per_minute.max(1)) / 60.0;
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * per_second).min(Self::burst(self.per_minute));
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_the_burst_through_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        for _ in 0..6 {
            assert!(bucket.take(start).is_ok());
        }
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        assert!(bucket.take(start + Duration::from_secs(1)).is_ok());
        assert!(bucket.take(start + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn a_low_rate_still_lets_one_through() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1, start);
        assert!(bucket.take(start).is_ok());
        assert_eq!(bucket.take(start), Err(Duration::from_secs(60)));
    }
}
