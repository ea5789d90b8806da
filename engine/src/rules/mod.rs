//! Rules: compiled once, asked for every event.
//!
//! Rules are asked in the order of priority (lower first), then of creation, then of id. All
//! conditions of a rule must hold. A rule that cannot be compiled is quarantined: it still takes
//! what its conditions match (a condition that cannot be read counts as holding), and its steps
//! come out with a fault to be parked, so that nothing falls through to the next rule.

mod compile;
mod condition;
mod evaluate;
mod explain;
mod field;
mod index;
mod operation;
mod verdict;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::model::{MatchMode, RuleSpec};

pub use compile::{CompiledNoMatch, RuleSet, validate};
pub use verdict::{
    Action, ConditionExplanation, Disposition, Explanation, Matched, Rendered, RuleExplanation,
    StepKind, Verdict, reason,
};

/// A rule as it comes from the store.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleInput {
    /// Its id, unique in the set.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The id of the only source it sees; `None` sees every source.
    pub source: Option<String>,
    /// Lower goes first.
    pub priority: i32,
    /// Order of creation: decides between equal priorities.
    pub order: u64,
    /// Whether it takes part.
    pub enabled: bool,
    /// What a person wrote.
    pub spec: RuleSpec,
}

/// What is known of an event beside its payload; templates read it as `@event_id` and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// The id of the event.
    pub event_id: String,
    /// What ties it to the request and everything that follows.
    pub correlation_id: String,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// The name of its source.
    pub source: String,
}

/// One question to a [`RuleSet`].
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The id of the source, compared with [`RuleInput::source`].
    pub source: &'a str,
    /// First match or all matches.
    pub mode: MatchMode,
    /// What happens if no rule matches.
    pub no_match: &'a CompiledNoMatch,
    /// The parsed event.
    pub payload: &'a Value,
    /// What templates may read beside it.
    pub meta: &'a Meta,
    /// The time of the evaluation, for `@now`.
    pub now: DateTime<Utc>,
    /// What the evaluation may cost; see [`crate::limits::FUEL`].
    pub fuel: u64,
}
