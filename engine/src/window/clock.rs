//! From the wall clock of a zone to moments, also where it jumps.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

/// What the wall clock shows.
pub fn wall(zone: Tz, at: DateTime<Utc>) -> NaiveDateTime {
    at.with_timezone(&zone).naive_local()
}

/// When the wall clock shows this: the first time, and the second if it comes twice. What it never
/// shows counts at the moment at which it jumps over it.
pub fn comes(zone: Tz, wall: NaiveDateTime) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) => (at.with_timezone(&Utc), None),
        MappedLocalTime::Ambiguous(one, other) => {
            let (one, other) = (one.with_timezone(&Utc), other.with_timezone(&Utc));
            (one.min(other), Some(one.max(other)))
        }
        MappedLocalTime::None => (jump(zone, wall), None),
    }
}

/// The first moment at which the wall clock shows this or later.
pub fn begin(zone: Tz, wall: NaiveDateTime) -> DateTime<Utc> {
    comes(zone, wall).0
}

/// The end of the last moment at which the wall clock shows less than this.
pub fn end(zone: Tz, until: NaiveDateTime) -> DateTime<Utc> {
    match comes(zone, until) {
        // Where the clock is set back to exactly this time, it shows less only before the first.
        (first, Some(last)) if wall(zone, last - TimeDelta::seconds(1)) >= until => first,
        (_, Some(last)) => last,
        (only, None) => only,
    }
}

/// The moment at which the wall clock jumps over this.
fn jump(zone: Tz, over: NaiveDateTime) -> DateTime<Utc> {
    let about = over.and_utc().timestamp();
    let moment = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    // Offsets are less than a day, and no jump is longer than one.
    let (mut before, mut after) = (about - 2 * 86_400, about + 2 * 86_400);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if wall(zone, moment(middle)) < over {
            before = middle;
        } else {
            after = middle;
        }
    }
    moment(after)
}
