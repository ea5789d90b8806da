//! A pause after what failed, twice as long each time.

use std::time::{Duration, Instant};

/// The first one.
const FIRST: Duration = Duration::from_millis(250);
/// None is longer.
const LONGEST: Duration = Duration::from_secs(4);

/// How long to leave something alone.
#[derive(Debug, Default)]
pub(super) struct Pause {
    until: Option<Instant>,
    /// How long the last one was.
    last: Duration,
}

impl Pause {
    /// How long it still lasts; none: go on.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// It failed. Returns how long to wait.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        self.last = self.last.saturating_mul(2).clamp(FIRST, LONGEST);
        self.until = now.checked_add(self.last);
        self.last
    }

    /// It worked.
    pub(super) fn over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_up_to_some_seconds_and_ends_with_a_success() {
        let (mut pause, mut now) = (Pause::default(), Instant::now());
        assert_eq!(pause.left(now), None);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = pause.failed(now);
            assert_eq!(pause.left(now), Some(wait));
            now += wait;
            assert_eq!(pause.left(now), None);
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000, 4000]);
        pause.failed(now);
        pause.over();
        assert_eq!(pause.left(now), None);
        assert_eq!(pause.failed(now), FIRST);
    }
}
