//! How fast a job may go.

use serde::{Deserialize, Serialize};

use crate::http::problem::{ApiError, ApiResult};

/// Most a second.
const MOST_PER_SECOND: u32 = 1_000;
/// Most a minute.
const MOST_PER_MINUTE: u32 = 60_000;
/// How much of the past may be caught up with: pieces begin a little late, but a job that rested
/// for an hour does not owe an hour.
const CATCH_UP_US: i64 = 2_000_000;

/// A rate; the time from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    every_us: i64,
}

impl Pace {
    /// What was asked for; none: as fast as it goes.
    ///
    /// # Errors
    /// 422 for one out of range, or both.
    pub fn of(per_second: Option<u32>, per_minute: Option<u32>) -> ApiResult<Option<Self>> {
        let (count, most, period_us, field) = match (per_second, per_minute) {
            (None, None) => return Ok(None),
            (Some(n), None) => (n, MOST_PER_SECOND, 1_000_000, "per_second"),
            (None, Some(n)) => (n, MOST_PER_MINUTE, 60_000_000, "per_minute"),
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "per_minute",
                    "one_of",
                    "Either per_second or per_minute is expected.",
                ));
            }
        };
        if !(1..=most).contains(&count) {
            return Err(ApiError::invalid(
                field,
                "out_of_range",
                format!("A number from 1 to {most} is expected."),
            ));
        }
        Ok(Some(Self {
            every_us: period_us / i64::from(count),
        }))
    }

    /// How many may go at `now`, if the next one was planned for `planned`; both in microseconds since
    /// 1970. None: nothing has gone yet, and there is nothing to catch up with.
    pub fn room(self, planned: Option<i64>, now: i64) -> i64 {
        let from = from(planned, now);
        if from > now {
            return 0;
        }
        (now - from) / self.every_us + 1
    }

    /// When the next one is planned, after `count` have gone at `now`.
    pub fn after(self, planned: Option<i64>, now: i64, count: i64) -> i64 {
        from(planned, now) + count * self.every_us
    }
}

fn from(planned: Option<i64>, now: i64) -> i64 {
    planned.unwrap_or(now).max(now - CATCH_UP_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some time in 2030.
    const START: i64 = 1_900_000_000_000_000;

    #[test]
    fn as_many_as_were_asked_for_whatever_the_steps() {
        let pace = Pace::of(Some(10), None).unwrap().unwrap();
        let (mut planned, mut gone) = (None, 0);
        // Looked at every 500 ms, for a minute.
        for step in (0..60_000_000).step_by(500_000) {
            let now = START + step;
            let room = pace.room(planned, now);
            planned = Some(pace.after(planned, now, room));
            gone += room;
            // Never more than what is due, from the first on.
            assert!(gone <= step / 100_000 + 1, "{gone} after {step} us");
        }
        assert!((595..=601).contains(&gone), "{gone}");
    }

    #[test]
    fn a_rest_is_not_made_up_for() {
        let pace = Pace::of(None, Some(60)).unwrap().unwrap();
        assert_eq!(pace.room(Some(START), START + 3_600_000_000), 3);
        assert_eq!(pace.room(Some(START + 1_000), START), 0);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        assert_eq!(Pace::of(None, None).unwrap(), None);
        assert!(Pace::of(Some(0), None).is_err());
        assert!(Pace::of(Some(1_001), None).is_err());
        assert!(Pace::of(Some(1), Some(1)).is_err());
    }
}
