//! A rule in a sentence.

use engine::model::{ConditionSpec, Op, RuleSpec, StepSpec, Then};
use serde_json::Value;

use crate::api::to_text;

/// An operator in words.
pub const fn op_words(op: Op) -> &'static str {
    match op {
        Op::Equals => "equals",
        Op::NotEquals => "does not equal",
        Op::In => "is one of",
        Op::NotIn => "is none of",
        Op::Contains => "contains",
        Op::NotContains => "does not contain",
        Op::StartsWith => "starts with",
        Op::EndsWith => "ends with",
        Op::Regex => "matches the pattern",
        Op::Exists => "exists",
        Op::IsEmpty => "is empty",
        Op::Gt => "is more than",
        Op::Gte => "is at least",
        Op::Lt => "is less than",
        Op::Lte => "is at most",
        Op::Cidr => "is in the network",
    }
}

/// A value in words.
pub fn value_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(value_words).collect::<Vec<_>>().join(", "),
        other => to_text(other).unwrap_or_default(),
    }
}

fn condition_words(condition: &ConditionSpec) -> String {
    let value = condition
        .value
        .as_ref()
        .map(value_words)
        .unwrap_or_default();
    format!("{} {} {value}", condition.path, op_words(condition.op))
        .trim_end()
        .to_owned()
}

/// What a rule looks for.
pub fn when_words(spec: &RuleSpec) -> String {
    if spec.when.is_empty() {
        return "Every event".to_owned();
    }
    let parts: Vec<String> = spec.when.iter().map(condition_words).collect();
    parts.join(" and ")
}

/// What a rule does.
pub fn then_words(spec: &RuleSpec) -> Vec<String> {
    match &spec.then {
        Then::Drop => vec!["drop".to_owned()],
        Then::Steps(steps) => steps
            .iter()
            .map(|step| match step {
                StepSpec::Drop => "drop".to_owned(),
                StepSpec::Deliver(op) => format!("{} on {}", op.operation, op.connection),
                StepSpec::Hold(op) => format!("hold {} on {}", op.operation, op.connection),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> RuleSpec {
        serde_json::from_str(json).unwrap_or(RuleSpec {
            when: Vec::new(),
            then: Then::Drop,
        })
    }

    #[test]
    fn conditions_read_as_a_sentence() {
        let rule = spec(
            r#"{"when": [{"path": "$.a", "op": "in", "value": ["x", 1]}, {"path": "$.b", "op": "exists"}], "then": "drop"}"#,
        );
        assert_eq!(when_words(&rule), "$.a is one of x, 1 and $.b exists");
        assert_eq!(then_words(&rule), ["drop"]);
    }

    #[test]
    fn steps_name_operation_and_connection() {
        let rule =
            spec(r#"{"then": [{"hold": {"connection": "psa", "operation": "ticket.upsert"}}]}"#);
        assert_eq!(when_words(&rule), "Every event");
        assert_eq!(then_words(&rule), ["hold ticket.upsert on psa"]);
    }
}
