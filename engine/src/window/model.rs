//! A schedule as people write it.

use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// When a window is open. Times are those of the wall clock in its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// From one moment to another.
    Once {
        /// `2026-12-24T22:00` in the zone, or a moment with its offset.
        start: String,
        /// Does not belong to it any more.
        end: String,
    },
    /// Every day.
    Daily {
        /// `22:00`.
        start: String,
        /// `06:00`; not later than the start: on the next day.
        end: String,
    },
    /// On some days of the week.
    Weekly {
        /// The days on which it begins.
        days: Vec<Day>,
        /// `22:00`.
        start: String,
        /// `06:00`; not later than the start: on the next day.
        end: String,
    },
    /// Whenever a cron expression says so, for a while.
    Cron {
        /// Minute, hour, day of the month, month, day of the week.
        cron: String,
        /// How long it is open each time, 1 to 10080.
        minutes: u32,
    },
}
