//! How the sandbox answers.

use openapi::connections::Field;
use openapi::problem::FieldError;
use serde::Deserialize;

use crate::connectors::common::{Describe as _, field, wrong};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(default)]
    pub(super) answer: Answer,
    #[serde(default)]
    pub(super) fail_first: Option<u32>,
    #[serde(default)]
    pub(super) latency_ms: u64,
    #[serde(default = "one")]
    pub(super) retry_after_seconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    #[default]
    Ok,
    RateLimited,
    Error,
    Timeout,
    LostReply,
    Permanent,
    AuthFailed,
}

impl Settings {
    /// How this attempt is answered.
    pub(super) fn answer(&self, attempt: u32) -> Answer {
        match self.fail_first {
            Some(failing) if attempt > failing => Answer::Ok,
            _ => self.answer,
        }
    }

    pub(super) fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        if self.latency_ms > 60_000 {
            faults.push(wrong(
                "settings.latency_ms",
                "invalid_value",
                "at most 60000",
            ));
        }
        if self.retry_after_seconds > 86_400 {
            faults.push(wrong(
                "settings.retry_after_seconds",
                "invalid_value",
                "at most 86400",
            ));
        }
        faults
    }
}

pub(super) fn fields() -> Vec<Field> {
    vec![
        field(
            "answer",
            "Answer",
            "string",
            "How every call is answered. lost_reply: it is recorded, and the reply gets lost.",
        )
        .choices(&[
            "ok",
            "rate_limited",
            "error",
            "timeout",
            "lost_reply",
            "permanent",
            "auth_failed",
        ])
        .default("ok"),
        field(
            "fail_first",
            "Fail first",
            "number",
            "Answer like that only for so many attempts of a delivery, then ok. Absent: always.",
        ),
        field(
            "latency_ms",
            "Latency",
            "number",
            "Milliseconds before the answer.",
        )
        .default(0),
        field(
            "retry_after_seconds",
            "Retry after",
            "number",
            "What rate_limited tells the caller.",
        )
        .default(1),
    ]
}

const fn one() -> u64 {
    1
}
