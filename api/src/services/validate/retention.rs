//! How long things are kept.

use openapi::problem::FieldError;
use openapi::retention::RetentionSpec;

use super::parts::error;

/// Most days that something can be kept before it is kept for good.
const MOST_DAYS: u32 = 36_500;

/// Checks how long a workspace keeps what it has. Fields are named below `days`.
pub fn validate_retention(days: &RetentionSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (field, value) in [
        ("events", days.events),
        ("deliveries", days.deliveries),
        ("attempts", days.attempts),
        ("dead_letters", days.dead_letters),
        ("refusals", days.refusals),
        ("audit", days.audit),
        ("jobs", days.jobs),
        ("stats", days.stats),
        ("links", days.links),
        ("sandbox", days.sandbox),
    ] {
        check_days(&mut errors, field, value);
    }
    let outlives = |one: u32, other: u32| other != 0 && (one == 0 || one > other);
    if outlives(days.deliveries, days.events) {
        errors.push(error(
            "deliveries",
            "outlives",
            "a delivery goes with its event: no more days than `events`",
        ));
    }
    if outlives(days.attempts, days.deliveries) {
        errors.push(error(
            "attempts",
            "outlives",
            "an attempt goes with its delivery: no more days than `deliveries`",
        ));
    }
    errors
}

/// Checks a number of days; 0 is for good.
pub(super) fn check_days(errors: &mut Vec<FieldError>, field: &str, days: u32) {
    if days > MOST_DAYS {
        errors.push(error(
            field,
            "out_of_range",
            format!("0 to {MOST_DAYS} days; 0 is for good"),
        ));
    }
}
