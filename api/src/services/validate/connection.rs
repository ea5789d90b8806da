//! Connections.

use engine::status::Statuses;
use openapi::connections::RetrySettings;
use openapi::problem::FieldError;
use serde_json::Value;

use super::parts::{check_limit, check_name, error};
use crate::connectors::Registry;

/// Longest wait in seconds.
const YEAR: f64 = 31_536_000.0;
/// Listed waits of one connection.
const WAITS: usize = 100;

/// A connection as somebody wrote it.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInput<'a> {
    /// Name that rules use.
    pub name: &'a str,
    /// Kind of upstream.
    pub connector: &'a str,
    /// Settings.
    pub settings: &'a Value,
    /// Names of all secrets that it will have.
    pub secrets: &'a [&'a str],
    /// Calls at once.
    pub concurrency: Option<u32>,
    /// Calls a minute.
    pub rate_per_minute: Option<u32>,
    /// Retry policy.
    pub retry: &'a RetrySettings,
}

/// Checks a connection. Fields are named as in the API.
pub fn validate_connection(
    registry: &Registry,
    connection: ConnectionInput<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&mut errors, "name", connection.name, 60);
    match registry.get(connection.connector) {
        Some(connector) => {
            errors.extend(connector.validate(connection.settings, connection.secrets));
        }
        None => errors.push(error(
            "connector",
            "unknown_connector",
            "this server has no connector of that name",
        )),
    }
    check_limit(&mut errors, "concurrency", connection.concurrency);
    check_limit(&mut errors, "rate_per_minute", connection.rate_per_minute);
    let retry = connection.retry;
    for (field, value, least) in [
        ("retry.first_seconds", retry.first_seconds, 0.01),
        ("retry.factor", retry.factor, 1.0),
        ("retry.max_seconds", retry.max_seconds, 0.01),
        ("retry.horizon_seconds", retry.horizon_seconds, 0.0),
        (
            "retry.retry_after_max_seconds",
            retry.retry_after_max_seconds,
            0.0,
        ),
    ] {
        check_range(&mut errors, field, value, least, YEAR);
    }
    check_range(&mut errors, "retry.jitter", retry.jitter, 0.0, 1.0);
    check_retries(&mut errors, retry);
    errors
}

/// Checks the lists of a retry policy.
fn check_retries(errors: &mut Vec<FieldError>, retry: &RetrySettings) {
    if retry.waits_seconds.len() > WAITS {
        errors.push(error(
            "retry.waits_seconds",
            "too_many",
            format!("at most {WAITS} waits"),
        ));
    }
    for (at, wait) in retry.waits_seconds.iter().enumerate() {
        let field = format!("retry.waits_seconds[{at}]");
        check_range(errors, &field, Some(*wait), 0.01, YEAR);
    }
    let grows = [retry.first_seconds, retry.factor, retry.max_seconds];
    if !retry.waits_seconds.is_empty() && grows.iter().any(Option::is_some) {
        errors.push(error(
            "retry.waits_seconds",
            "contradiction",
            "listed waits take the place of first_seconds, factor and max_seconds",
        ));
    }
    for (name, words) in [("permanent", &retry.permanent), ("retried", &retry.retried)] {
        if let Err(at) = Statuses::parse(words) {
            errors.push(error(
                &format!("retry.{name}[{at}]"),
                "bad_status",
                "a status is a number from 100 to 599, a class as 4xx, or a range as 500-504",
            ));
        }
    }
}

fn check_range(
    errors: &mut Vec<FieldError>,
    field: &str,
    value: Option<f64>,
    least: f64,
    most: f64,
) {
    if value.is_some_and(|v| !(v.is_finite() && v >= least && v <= most)) {
        errors.push(error(
            field,
            "out_of_range",
            format!("must be between {least} and {most}"),
        ));
    }
}
