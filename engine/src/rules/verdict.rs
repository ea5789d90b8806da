//! What the engine answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::model::Op;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// A rule or the default target took it.
    Routed,
    /// No rule matched and the policy keeps it.
    Unmatched,
    /// A rule or the policy dropped it.
    Dropped,
    /// A fault while routing; it can be replayed.
    Unrouted,
}

/// The stable reason codes of a verdict.
pub mod reason {
    /// At least one rule matched.
    pub const MATCHED: &str = "matched";
    /// A rule dropped the event.
    pub const RULE_DROP: &str = "rule_drop";
    /// Only quarantined rules matched: their steps are to be parked.
    pub const RULE_QUARANTINED: &str = "rule_quarantined";
    /// Nothing matched; kept as unmatched.
    pub const NO_MATCH_KEEP: &str = "no_match_keep";
    /// Nothing matched; dropped.
    pub const NO_MATCH_DROP: &str = "no_match_drop";
    /// Nothing matched; sent to the default target.
    pub const NO_MATCH_TARGET: &str = "no_match_target";
    /// The evaluation failed; the fault says why. Explanations only.
    pub const FAULT: &str = "fault";
}

/// The answer of [`super::RuleSet::evaluate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// What becomes of the event.
    pub disposition: Disposition,
    /// Why, as one of the codes in [`reason`].
    #[cfg_attr(feature = "schema", schema(example = "matched"))]
    pub reason: String,
    /// The rules that took it, in order.
    pub matches: Vec<Matched>,
}

/// One rule that took the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Matched {
    /// The rule; absent for the default target of the no-match policy.
    pub rule_id: Option<String>,
    /// Its name; empty for the default target.
    pub rule_name: String,
    /// Whether the rule is invalid: its steps carry a fault and are to be parked.
    #[serde(default)]
    pub quarantined: bool,
    /// Its operations, rendered, in order.
    pub steps: Vec<Rendered>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Sends the operation.
    Deliver,
    /// Waits for a person first.
    Hold,
}

/// What a lifecycle decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The record opens, or is noted if it is open.
    Open,
    /// The record closes.
    Close,
    /// The record is noted, if there is one.
    Note,
    /// Nothing is sent.
    Ignore,
}

/// One operation with everything filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rendered {
    /// The position of the step in its rule, from 0.
    pub step: usize,
    /// Deliver or hold.
    pub kind: StepKind,
    /// The name of the connection.
    pub connection: String,
    /// The operation of its connector.
    pub operation: String,
    /// The record key, if the step has one.
    pub key: Option<String>,
    /// What the lifecycle decided, if the step has one.
    pub action: Option<Action>,
    /// The fields; those without a value are left out.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub fields: Map<String, Value>,
    /// Why this step must not be sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// The answer of [`super::RuleSet::explain`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// What becomes of the event.
    pub disposition: Disposition,
    /// Why, as one of the codes in [`reason`].
    #[cfg_attr(feature = "schema", schema(example = "matched"))]
    pub reason: String,
    /// The fault, if the disposition is `unrouted` because of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Every rule of the set in the order of evaluation.
    pub rules: Vec<RuleExplanation>,
    /// What the winning rules render.
    pub matches: Vec<Matched>,
}

/// What one rule made of the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleExplanation {
    /// The rule.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its priority; lower goes first.
    pub priority: i32,
    /// The only source it sees; absent if it sees every source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether it counts for this event: enabled, and it sees the source.
    pub evaluated: bool,
    /// Whether it counts and all its conditions hold.
    pub matched: bool,
    /// Whether it decided about the event.
    pub won: bool,
    /// Every condition with the values seen, whether the rule counts or not.
    pub conditions: Vec<ConditionExplanation>,
    /// Why it is quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// What one condition saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConditionExplanation {
    /// The path as written.
    pub path: String,
    /// How it compares.
    pub op: Op,
    /// What it compares with.
    pub expected: Value,
    /// The first values the path yields; long ones are cut.
    pub seen: Vec<Value>,
    /// How many values the path yields.
    pub seen_count: usize,
    /// Whether the condition holds.
    pub holds: bool,
}
