//! Firewall lines.

use engine::model::RuleSpec;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::problem::FieldError;

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rule {
    /// Id.
    pub id: Uuid,
    /// Name for people; unique in the workspace.
    pub name: String,
    /// Slug of the source it listens to; absent: every source.
    pub source: Option<String>,
    /// Smaller goes first; equal ones keep their order of creation.
    pub priority: i32,
    /// False: passed over.
    pub enabled: bool,
    /// Conditions and steps.
    pub spec: RuleSpec,
    /// `valid` or `quarantined`.
    pub validity: String,
    /// Why it is quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FieldError>,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime,
    /// Last change.
    pub updated_at: DateTime,
}

/// A rule to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// Name for people, 1 to 200 characters.
    #[cfg_attr(
        feature = "schema",
        schema(example = "down and up to the service desk")
    )]
    pub name: String,
    /// Slug of the source; absent: every source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "kuma"))]
    pub source: Option<String>,
    /// Smaller goes first; absent: after all others, in steps of ten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// False: passed over.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Conditions and steps.
    pub spec: RuleSpec,
}

/// A change of a rule; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeRule {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Slug of the source; `null`: every source.
    #[serde(
        default,
        with = "crate::sources::double",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub source: Option<Option<String>>,
    /// Place among the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Switched on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Conditions and steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<RuleSpec>,
}

/// A new order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// Ids in the wanted order; priorities become 10, 20, 30 … among them. Every rule of the
    /// workspace must be named.
    pub ids: Vec<Uuid>,
}

/// A version of a rule, as it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleRevision {
    /// The rule.
    pub rule_id: Uuid,
    /// Its number.
    pub revision: i64,
    /// Name then.
    pub name: String,
    /// Slug of the source then; absent: every source.
    pub source: Option<String>,
    /// Place then.
    pub priority: i32,
    /// Whether it was switched on.
    pub enabled: bool,
    /// Conditions and steps.
    pub spec: RuleSpec,
    /// Who saved it; empty: not known.
    pub actor: String,
    /// In force from then.
    pub saved_at: DateTime,
    /// In force until then; absent: still.
    pub ended_at: Option<DateTime>,
}

/// What differs between two versions of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleDiff {
    /// The version that is compared.
    pub from: i64,
    /// The version it is compared with.
    pub to: i64,
    /// Each place that differs, in the order of the rule.
    pub changes: Vec<RuleChange>,
}

/// A place where two versions differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleChange {
    /// Where, dotted: `spec.then[0].deliver.map.summary`.
    pub path: String,
    /// As it is in the one; absent: it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// As it is in the other; absent: it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}

/// The version that a rule shall have again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestoreRule {
    /// Its number.
    pub revision: i64,
}

/// What to explain: a payload or a past event, against the saved rules or a draft.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// Slug of the source; may be left out with `event_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "kuma"))]
    pub source: Option<String>,
    /// A past event; its bytes are taken as they were received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// A payload. Where the source makes several events of it, one of them is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Which of the events of the payload, from 0; absent: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// A draft that stands in for the saved rule of the same `id`, or joins them without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<DraftRule>,
}

/// A rule that is not saved yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DraftRule {
    /// The saved rule it stands in for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// The rule.
    pub rule: NewRule,
}

/// What the rules would do, and exactly what would be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExplainResponse {
    /// The verdict of every condition of every rule, the winner and the rendered operations.
    pub explanation: engine::rules::Explanation,
    /// The requests that the connectors would send, in the order of the rendered steps.
    pub requests: Vec<PlannedRequest>,
    /// Which of the events of the payload this is about; absent: the source makes one of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// One of the events that a source makes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Part {
    /// Its place, from 0.
    pub item: u32,
    /// How many there are.
    pub items: u32,
}

/// A request that a connector would send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlannedRequest {
    /// Name of the connection.
    pub connection: String,
    /// What is asked of the connector.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Address; secrets in it are masked.
    pub url: String,
    /// Headers; secrets in them are masked.
    pub headers: Vec<(String, String)>,
    /// Body, if it has one.
    pub body: Option<serde_json::Value>,
    /// Under which condition it is sent, when the connector looks first.
    pub note: Option<String>,
    /// Why it cannot be sent.
    pub fault: Option<FieldError>,
}

fn yes() -> bool {
    true
}
