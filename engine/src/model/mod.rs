//! What a person writes: rules as they stand in the API, the console and the workspace file.
//!
//! These types hold the written form only; [`crate::rules`] checks and compiles it. Forms with
//! several spellings are read by hand, so that an error names the field and what was expected.

mod condition;
mod field;
mod helpers;
#[cfg(feature = "schema")]
mod schema;
mod step;

use serde::{Deserialize, Serialize};

pub use condition::{ConditionSpec, Op};
pub use field::{CaseSpec, FieldSpec};
pub use step::{LifecycleSpec, NoMatch, OperationSpec, Otherwise, StepSpec, Then};

/// A rule: all conditions must hold, then the steps run.
///
/// ```yaml
/// when:
///   - { path: "$.monitor.tags[*].name", op: in, value: [prod, core] }
/// then:
///   - deliver: { connection: psa, operation: ticket.upsert, map: { summary: "{{ msg }}" } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Conditions that must all hold; none means always. One condition may stand without a list.
    #[serde(
        default,
        deserialize_with = "helpers::one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[cfg_attr(feature = "schema", schema(schema_with = schema::conditions))]
    pub when: Vec<ConditionSpec>,
    /// What a match does.
    pub then: Then,
}

/// Whether the first matching rule takes an event, or every matching one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MatchMode {
    /// The first matching rule takes the event.
    #[default]
    First,
    /// Every matching rule runs, in order, until one drops the event.
    All,
}
