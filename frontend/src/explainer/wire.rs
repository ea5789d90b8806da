//! What the console asks the explainer, and the answer. Both sides are built from this file.

use engine::Fault;
use engine::model::RuleSpec;
use engine::rules::Explanation;
use openapi::events::EventDetail;
use openapi::rules::Rule;
use openapi::sources::Source;
use serde::{Deserialize, Serialize};

/// Stands for the id of a rule that is not saved yet.
pub const DRAFT: &str = "draft";
/// Name of the function that the explainer puts on the global object.
pub const FUNCTION: &str = "signalboxExplain";

/// The rule that is edited.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Draft {
    /// Its id, if it is saved.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// The slug of its only source.
    pub source: Option<String>,
    /// Absent: after all others.
    pub priority: Option<i32>,
    /// Conditions and steps.
    pub spec: RuleSpec,
}

/// The question.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// The rule that is edited.
    pub draft: Draft,
    /// The rules as they are saved.
    pub saved: Vec<Rule>,
    /// The source of the event.
    pub source: Option<Source>,
    /// The past event; without one, only faults are looked for.
    pub event: Option<EventDetail>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What is wrong with the draft.
    pub faults: Vec<Fault>,
    /// What would become of the event.
    pub explanation: Option<Explanation>,
}
