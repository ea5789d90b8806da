//! The settings of a subscription.

use std::time::Duration;

use openapi::connections::Field;
use openapi::problem::FieldError;
use openapi::webhooks::Kind;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::connectors::common::{Describe as _, field, wrong};

/// Longest call that may be set, in seconds.
const LONGEST: f64 = 60.0;
/// Most days that may be set.
const MOST_DAYS: u32 = 365;
/// Longest lists.
const MOST: usize = 200;

/// The settings of a subscription.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where messages go.
    pub url: String,
    /// Types, `delivery.*` or `*`.
    pub types: Vec<String>,
    /// Slugs of sources; empty: all.
    #[serde(default)]
    pub sources: Vec<String>,
    /// How much messages say.
    #[serde(default)]
    pub detail: Detail,
    #[serde(default = "fifteen")]
    timeout_seconds: f64,
    #[serde(default = "week")]
    disable_after_days: u32,
}

/// How much messages say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Ids, names and codes.
    #[default]
    Ids,
    /// Texts, payloads and fields too.
    Full,
}

impl Settings {
    /// Longest call.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds.clamp(0.1, LONGEST))
    }

    /// After how many days with nothing but failures it is switched off; none: never.
    pub fn disable_after_days(&self) -> Option<u32> {
        Some(self.disable_after_days).filter(|days| *days > 0)
    }

    /// What the types cannot say.
    pub(super) fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut add = |at: &str, code: &str, message: &str| {
            faults.push(wrong(format!("settings.{at}"), code, message));
        };
        match Url::parse(&self.url) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                add(
                    "url",
                    "invalid_url",
                    "only http and https addresses are called",
                );
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => add(
                "url",
                "invalid_url",
                "the address must not carry a user name or password",
            ),
            Ok(_) => {}
            Err(_) => add("url", "invalid_url", "this is not a complete address"),
        }
        if self.types.is_empty() {
            add("types", "missing_field", "at least one type is needed");
        }
        for (index, pattern) in self.types.iter().enumerate() {
            if !known(pattern) {
                add(
                    &format!("types[{index}]"),
                    "unknown_value",
                    "there is no such type; a type, a family as `delivery.*`, or `*` is expected",
                );
            }
        }
        for (at, list) in [("types", &self.types), ("sources", &self.sources)] {
            if list.len() > MOST {
                add(at, "too_many", "at most 200");
            }
        }
        if !(0.1..=LONGEST).contains(&self.timeout_seconds) {
            add("timeout_seconds", "invalid_value", "from 0.1 to 60 seconds");
        }
        if self.disable_after_days > MOST_DAYS {
            add(
                "disable_after_days",
                "invalid_value",
                "from 0 to 365 days; 0 is never",
            );
        }
        faults
    }
}

/// Whether a pattern means any type.
fn known(pattern: &str) -> bool {
    let family = |kind: &Kind| kind.word().split_once('.').map(|(family, _)| family);
    pattern == "*"
        || Kind::ALL.iter().any(|kind| kind.word() == pattern)
        || pattern
            .strip_suffix(".*")
            .is_some_and(|head| Kind::ALL.iter().any(|kind| family(kind) == Some(head)))
}

pub(super) fn fields() -> Vec<Field> {
    let types: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    vec![
        field(
            "url",
            "Address",
            "url",
            "Where messages are posted. Answer with any 2xx within the timeout.",
        )
        .required(),
        field(
            "types",
            "Messages",
            "list",
            "What is told. In files and in the API also families as delivery.*, and * for all.",
        )
        .required()
        .choices(&types),
        field(
            "sources",
            "Sources",
            "list",
            "Slugs of the sources whose events are told; empty: all.",
        ),
        field(
            "detail",
            "Detail",
            "string",
            "ids: ids, names and codes; full: also texts, payloads and rendered fields.",
        )
        .choices(&["ids", "full"])
        .default("ids"),
        field(
            "timeout_seconds",
            "Timeout",
            "number",
            "Longest call in seconds, 0.1 to 60.",
        )
        .default(15),
        field(
            "disable_after_days",
            "Switch off after",
            "number",
            "Days with nothing but failures, 0 to 365; 0: never.",
        )
        .default(json!(7)),
    ]
}

pub(super) fn secrets() -> Vec<Field> {
    vec![
        field(
            super::SECRET,
            "Signing secret",
            "string",
            "whsec_… of Standard Webhooks. Left out, one is made and shown once. Several, newest first, are separated by a space; messages are signed with each.",
        )
        .required(),
    ]
}

const fn fifteen() -> f64 {
    15.0
}

const fn week() -> u32 {
    7
}
