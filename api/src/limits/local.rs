//! Buckets in the memory of this process.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;

use super::{Act, Away, Buckets, Key, Rate, Taken};

/// Buckets that are kept; when there are more, the fullest go first.
const KEYS: usize = 10_000;

/// A bucket, as it was when it was last touched.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: Rate,
    left: f64,
    at: Instant,
}

impl Bucket {
    const fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            left: rate.burst,
            at: now,
        }
    }

    fn left(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed * self.rate.per_second).min(self.rate.burst)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Local(Mutex<HashMap<Key, Bucket>>);

impl Local {
    fn act_at(&self, key: &Key, rate: Rate, act: Act, now: Instant) -> Taken {
        let mut buckets = self.0.lock();
        if let Some(bucket) = buckets.get_mut(key) {
            if bucket.rate != rate {
                *bucket = Bucket::full(rate, now);
            }
            return touch(bucket, act, now);
        }
        if act == Act::Look {
            return Taken {
                wait: None,
                left: rate.burst,
            };
        }
        if buckets.len() >= KEYS {
            make_room(&mut buckets, now);
        }
        let bucket = buckets
            .entry(key.clone())
            .or_insert(Bucket::full(rate, now));
        touch(bucket, act, now)
    }
}

fn touch(bucket: &mut Bucket, act: Act, now: Instant) -> Taken {
    let left = bucket.left(now);
    let wait = bucket.rate.wait(left);
    let next = match act {
        Act::Look => return Taken { wait, left },
        Act::Take if wait.is_some() => left,
        Act::Take => left - 1.0,
        Act::Drain => (left - 1.0).max(0.0),
    };
    bucket.left = next;
    bucket.at = bucket.at.max(now);
    Taken { wait, left: next }
}

/// The emptier half stays.
fn make_room(buckets: &mut HashMap<Key, Bucket>, now: Instant) {
    let share = |bucket: &Bucket| bucket.left(now) / bucket.rate.burst;
    let mut left: Vec<f64> = buckets.values().map(share).collect();
    left.sort_by(f64::total_cmp);
    let limit = left.get(left.len() / 2).copied().unwrap_or_default();
    buckets.retain(|_, bucket| share(bucket) < limit);
    if buckets.len() >= KEYS {
        buckets.clear();
    }
}

#[async_trait::async_trait]
impl Buckets for Local {
    async fn act(&self, key: &Key, rate: Rate, act: Act) -> Result<Taken, Away> {
        Ok(self.act_at(key, rate, act, Instant::now()))
    }

    async fn fill(&self, key: &Key) -> Result<(), Away> {
        self.0.lock().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(text: &str) -> Key {
        Key::Failures("test", text.to_owned())
    }

    #[test]
    fn lets_the_burst_through_then_the_rate() {
        let (start, rate, local) = (Instant::now(), Rate::per_minute(60), Local::default());
        let take = |now| local.act_at(&key("a"), rate, Act::Take, now).wait;
        for _ in 0..6 {
            assert_eq!(take(start), None);
        }
        assert_eq!(take(start), Some(Duration::from_secs(1)));
        assert_eq!(take(start + Duration::from_secs(1)), None);
        assert!(take(start + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn a_low_rate_still_lets_one_through() {
        let (start, rate, local) = (Instant::now(), Rate::per_minute(1), Local::default());
        let take = || local.act_at(&key("a"), rate, Act::Take, start).wait;
        assert_eq!((take(), take()), (None, Some(Duration::from_secs(60))));
    }

    #[test]
    fn failures_are_looked_at_and_forgotten() {
        let (start, rate, local) = (Instant::now(), Rate::one_every(60, 3), Local::default());
        let act = |name, act, after| {
            let now = start + Duration::from_secs(after);
            local
                .act_at(&key(name), rate, act, now)
                .wait
                .map(|w| w.as_secs())
        };
        for _ in 0..3 {
            assert_eq!(act("a", Act::Look, 0), None);
            act("a", Act::Drain, 0);
        }
        assert_eq!(act("a", Act::Look, 0), Some(60));
        assert_eq!(act("b", Act::Look, 0), None);
        assert_eq!(act("a", Act::Look, 30), Some(30));
        assert_eq!(act("a", Act::Look, 60), None);
        act("a", Act::Drain, 60);
        assert!(act("a", Act::Look, 60).is_some());
        local.0.lock().remove(&key("a"));
        assert_eq!(act("a", Act::Look, 60), None);
    }

    #[test]
    fn a_new_rate_is_a_new_bucket() {
        let (now, local) = (Instant::now(), Local::default());
        let take = |n| {
            local
                .act_at(&key("a"), Rate::per_minute(n), Act::Take, now)
                .wait
        };
        assert_eq!(take(1), None);
        assert!(take(1).is_some());
        assert_eq!(take(600), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_worst() {
        let (now, rate, local) = (Instant::now(), Rate::one_every(60, 3), Local::default());
        for _ in 0..3 {
            local.act_at(&key("worst"), rate, Act::Drain, now);
        }
        for n in 0..KEYS + KEYS / 4 {
            local.act_at(&key(&n.to_string()), rate, Act::Drain, now);
        }
        assert!(local.0.lock().len() <= KEYS);
        let worst = local.act_at(&key("worst"), rate, Act::Look, now);
        assert!(worst.wait.is_some());
    }
}
