//! Slows down who guesses passwords.
//!
//! A bucket of tries for each key; a failure takes one, time gives them back. Bounded: when the
//! table is full, the fullest buckets (who have all but recovered) go first.

use std::collections::HashMap;

use parking_lot::Mutex;

const KEYS: usize = 10_000;

/// Counts failures by key.
#[derive(Debug)]
pub struct Limiter {
    /// Failures that may follow each other at once.
    burst: f64,
    /// Milliseconds that give one try back.
    refill_ms: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: i64,
}

impl Limiter {
    /// `burst` failures at once, then one more every `refill_seconds`.
    pub fn new(burst: u32, refill_seconds: u32) -> Self {
        Self {
            burst: f64::from(burst),
            refill_ms: f64::from(refill_seconds) * 1000.0,
            buckets: Mutex::default(),
        }
    }

    /// Seconds until this key may try again; none: now.
    pub fn wait(&self, key: &str, now_ms: i64) -> Option<u64> {
        let buckets = self.buckets.lock();
        let left = self.left(*buckets.get(key)?, now_ms);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the refill time"
        )]
        (left < 1.0).then(|| ((1.0 - left) * self.refill_ms / 1000.0).ceil().max(1.0) as u64)
    }

    /// This key failed.
    pub fn failed(&self, key: &str, now_ms: i64) {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= KEYS && !buckets.contains_key(key) {
            self.make_room(&mut buckets, now_ms);
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket {
            left: self.burst,
            at: now_ms,
        });
        bucket.left = (self.left(*bucket, now_ms) - 1.0).max(0.0);
        bucket.at = now_ms;
    }

    /// This key succeeded; its failures are forgotten.
    pub fn succeeded(&self, key: &str) {
        self.buckets.lock().remove(key);
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some days")]
    fn left(&self, bucket: Bucket, now_ms: i64) -> f64 {
        let gained = (now_ms - bucket.at).max(0) as f64 / self.refill_ms;
        (bucket.left + gained).min(self.burst)
    }

    fn make_room(&self, buckets: &mut HashMap<String, Bucket>, now_ms: i64) {
        let mut left: Vec<f64> = buckets.values().map(|b| self.left(*b, now_ms)).collect();
        left.sort_by(f64::total_cmp);
        // The fuller half goes.
        let limit = left.get(left.len() / 2).copied().unwrap_or_default();
        buckets.retain(|_, bucket| self.left(*bucket, now_ms) < limit);
        if buckets.len() >= KEYS {
            buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_one_waits() {
        let limiter = Limiter::new(3, 60);
        for _ in 0..3 {
            assert_eq!(limiter.wait("a", 0), None);
            limiter.failed("a", 0);
        }
        assert_eq!(limiter.wait("a", 0), Some(60));
        assert_eq!(limiter.wait("b", 0), None);
        assert_eq!(limiter.wait("a", 30_000), Some(30));
        assert_eq!(limiter.wait("a", 60_000), None);
        limiter.failed("a", 60_000);
        assert!(limiter.wait("a", 60_000).is_some());
        limiter.succeeded("a");
        assert_eq!(limiter.wait("a", 60_000), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_worst() {
        let limiter = Limiter::new(3, 60);
        for _ in 0..3 {
            limiter.failed("worst", 0);
        }
        for n in 0..3 * KEYS {
            limiter.failed(&n.to_string(), 0);
        }
        assert!(limiter.buckets.lock().len() <= KEYS);
    }
}
