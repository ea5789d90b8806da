//! What the upstream asked for, as others are told of it.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::pause::Pause;
use super::{Carrier, IDLE};
use crate::dispatch::waits::{self, LONGEST, Slow};

/// A shorter wait is over before anybody hears of it.
const TOLD: Duration = Duration::from_secs(2);
/// A wait that ends so much later than the one that was told is told, too.
const LONGER: Duration = Duration::from_secs(1);
/// A pace that changes its kind is written so soon, one that changes its figures so soon, and one
/// that does not change so soon.
const KIND: Duration = Duration::from_secs(2);
const FIGURES: Duration = Duration::from_secs(15);
const SAME: Duration = Duration::from_secs(60);

/// What the upstream asked this carrier for, and what was written of it.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// No calls before. By the clock that nobody sets: it is written again and again.
    until: Option<Instant>,
    written_until: Option<Instant>,
    written_slow: Option<Slow>,
    written: Option<Instant>,
    pause: Pause,
}

impl Carrier {
    /// The upstream asked for a pause.
    pub(super) fn wait(&mut self, wait: Duration) {
        let wait = wait.min(LONGEST);
        let until = Instant::now().checked_add(wait);
        self.not_before = self.not_before.max(until);
        self.waits.until = self.waits.until.max(until);
    }

    /// Writes down what is worth it. Returns how long to wait at most.
    pub(super) async fn write_waits(&mut self, workspace: Uuid) -> Duration {
        if self.waits.until.is_none() && self.waits.written_slow.is_none() && !self.pace.is_slowed()
        {
            return IDLE;
        }
        let (slow, at) = (self.slow(), Instant::now());
        let left = self.waits.left(at);
        if !self.waits.is_due(slow, left, at) {
            return IDLE;
        }
        if let Some(pause) = self.waits.pause.left(at) {
            return pause;
        }
        let now = self.core.clock.now_ms();
        let left = i64::try_from(left.as_millis()).unwrap_or_default();
        let until = (left > 0).then(|| now.saturating_add(left));
        match waits::write(&self.core.db, workspace, self.desk.id, until, slow, now).await {
            Ok(()) => {
                self.waits.written_until = self.waits.until;
                self.waits.written_slow = slow;
                self.waits.written = Some(Instant::now());
                self.waits.pause.over();
                IDLE
            }
            Err(error) => {
                tracing::warn!(%error, connection.id = %self.desk.id, "What an upstream asked for could not be written.");
                self.waits.pause.failed(Instant::now())
            }
        }
    }

    fn slow(&self) -> Option<Slow> {
        self.pace.is_slowed().then(|| Slow {
            at_once: i64::try_from(self.pace.concurrency(self.most)).unwrap_or(i64::MAX),
            apart_ms: i64::try_from(self.pace.distance().as_millis()).unwrap_or(i64::MAX),
        })
    }
}

impl Waits {
    fn left(&self, now: Instant) -> Duration {
        let until = self.until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn is_due(&self, slow: Option<Slow>, left: Duration, at: Instant) -> bool {
        let told = self.written_until.and_then(|at| at.checked_add(LONGER));
        if left >= TOLD && self.until > told {
            return true;
        }
        let soon = match (self.written_slow, slow) {
            (None, None) => return false,
            (None, Some(_)) | (Some(_), None) => KIND,
            (Some(before), Some(now)) if before != now => FIGURES,
            (Some(_), Some(_)) => SAME,
        };
        let written = self.written;
        written.is_none_or(|written| at.saturating_duration_since(written) >= soon)
    }
}
