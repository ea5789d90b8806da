//! Builders the tests share.

use chrono::{DateTime, Utc};
use engine::Fault;
use engine::model::{MatchMode, RuleSpec};
use engine::rules::{CompiledNoMatch, Explanation, Input, Meta, RuleInput, RuleSet, Verdict};
use serde_json::{Value, json};

pub fn spec(value: Value) -> RuleSpec {
    serde_json::from_value(value).unwrap()
}

pub fn rule(id: &str, priority: i32, order: u64, value: Value) -> RuleInput {
    RuleInput {
        id: id.to_owned(),
        name: format!("rule {id}"),
        source: None,
        priority,
        order,
        enabled: true,
        spec: spec(value),
    }
}

pub fn deliver(map: Value) -> Value {
    json!([{"deliver": {"connection": "c", "operation": "o", "map": map}}])
}

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn meta() -> Meta {
    Meta {
        event_id: "evt-1".into(),
        correlation_id: "cor-1".into(),
        received_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        source: "kuma".into(),
    }
}

pub struct Ask {
    pub source: &'static str,
    pub mode: MatchMode,
    pub no_match: CompiledNoMatch,
    pub fuel: u64,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            source: "s",
            mode: MatchMode::First,
            no_match: CompiledNoMatch::keep(),
            fuel: engine::limits::FUEL,
        }
    }
}

impl Ask {
    fn with<T>(&self, payload: &Value, run: impl FnOnce(&Input<'_>) -> T) -> T {
        run(&Input {
            source: self.source,
            mode: self.mode,
            no_match: &self.no_match,
            payload,
            meta: &meta(),
            now: now(),
            fuel: self.fuel,
        })
    }

    pub fn evaluate(&self, set: &RuleSet, payload: &Value) -> Result<Verdict, Fault> {
        self.with(payload, |input| set.evaluate(input))
    }

    pub fn scan(&self, set: &RuleSet, payload: &Value) -> Result<Verdict, Fault> {
        self.with(payload, |input| set.evaluate_by_scan(input))
    }

    pub fn explain(&self, set: &RuleSet, payload: &Value) -> Explanation {
        self.with(payload, |input| set.explain(input))
    }
}

/// The rendered fields of the first step, for a single rule without conditions.
pub fn fields(map: Value, payload: &Value) -> Value {
    let set = RuleSet::compile(vec![rule("r", 1, 1, json!({"then": deliver(map)}))]).unwrap();
    let verdict = Ask::default().evaluate(&set, payload).unwrap();
    let step = &verdict.matches[0].steps[0];
    assert_eq!(step.fault, None);
    Value::Object(step.fields.clone())
}

/// Whether one condition holds.
pub fn holds(condition: Value, payload: &Value) -> bool {
    let set = RuleSet::compile(vec![rule(
        "r",
        1,
        1,
        json!({"when": [condition], "then": "drop"}),
    )])
    .unwrap();
    let ask = Ask::default();
    let explanation = ask.explain(&set, payload);
    let verdict = ask.evaluate(&set, payload).unwrap();
    assert_eq!(
        verdict.matches.len(),
        usize::from(explanation.rules[0].matched)
    );
    explanation.rules[0].matched
}
