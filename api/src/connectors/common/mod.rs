//! What all connectors share: reading settings, calling with a trail, masking, judging statuses.

mod cache;
mod call;
mod describe;
mod mask;
mod names;
mod retry_after;
mod settings;

pub(super) use cache::Cache;
pub(super) use call::{Answer, Caller, Failure};
pub(super) use describe::{Describe, field, operation};
pub(super) use mask::{cut, mask_json, mask_url};
pub(super) use retry_after::retry_after;
pub(super) use settings::{check_map, check_names, check_settings, read, wrong};

use std::time::{Duration, Instant};

use openapi::connections::TestResult;

use super::{Fault, LinkChange, Outcome, Report};
use openapi::deliveries::Exchange;

/// Longest text of a fault.
const FAULT_LENGTH: usize = 500;

impl Fault {
    /// A fault; the message is cut to its limit.
    pub fn new(code: impl Into<String>, message: impl AsRef<str>, status: Option<u16>) -> Self {
        Self {
            code: code.into(),
            message: cut(message.as_ref(), FAULT_LENGTH),
            status,
        }
    }
}

/// A report that leaves the link as it is.
pub(super) fn report(outcome: Outcome, exchanges: Vec<Exchange>) -> Report {
    Report {
        outcome,
        link: LinkChange::Keep,
        exchanges,
    }
}

/// The answer to a test of a connection.
pub(super) fn tested(begun: Instant, result: Result<String, Fault>) -> TestResult {
    let duration_ms = millis(begun.elapsed());
    match result {
        Ok(message) => TestResult {
            ok: true,
            code: None,
            message,
            duration_ms,
        },
        Err(fault) => TestResult {
            ok: false,
            code: Some(fault.code),
            message: fault.message,
            duration_ms,
        },
    }
}

/// A text that stands for several says so.
pub(super) fn counted(text: String, repeats: u32) -> String {
    if repeats > 1 {
        let text = text.trim_end();
        format!("{text} (\u{d7}{repeats})").trim_start().to_owned()
    } else {
        text
    }
}

/// Whole milliseconds, as the database and the API have them.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
