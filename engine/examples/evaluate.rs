//! Prints what one evaluation costs for 10, 1,000 and 10,000 rules:
//! `cargo run --release -p engine --example evaluate`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that measures and prints"
)]

use engine::limits;
use engine::model::MatchMode;
use engine::rules::{CompiledNoMatch, Input, Meta, RuleInput, RuleSet};
use serde_json::json;
use std::time::Instant;

const ROUNDS: u32 = 20_000;

fn main() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let meta = Meta {
        event_id: "event".into(),
        correlation_id: "correlation".into(),
        received_at: now,
        source: "kuma".into(),
    };
    let no_match = CompiledNoMatch::keep();
    for count in [10_usize, 1_000, 10_000] {
        let rules = (0..count).map(rule).collect();
        let start = Instant::now();
        let set = RuleSet::compile(rules).unwrap();
        let compiled = start.elapsed();
        let payload = json!({
            "monitor": {"id": 7, "name": format!("host-{}", count - 1), "weight": 150},
            "heartbeat": {"status": 0},
            "msg": "Connection refused",
        });
        let input = Input {
            source: "kuma",
            mode: MatchMode::First,
            no_match: &no_match,
            payload: &payload,
            meta: &meta,
            now,
            fuel: limits::FUEL,
        };
        let start = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(set.evaluate(&input)).unwrap();
        }
        println!(
            "{count:>6} rules: compiled in {compiled:?}, one evaluation {:?}",
            start.elapsed() / ROUNDS
        );
    }
}

fn rule(number: usize) -> RuleInput {
    let spec = json!({
        "when": [{"path": "$.monitor.name", "op": "equals", "value": format!("host-{number}")}],
        "then": [{"deliver": {
            "connection": "psa",
            "operation": "ticket.upsert",
            "key": "kuma:{{ monitor.id }}",
            "lifecycle": {"path": "$.heartbeat.status", "open": ["0"], "close": ["1"]},
            "map": {"summary": "Alert: {{ monitor.name }}", "text": "{{ msg | truncate: 100 }}"},
        }}],
    });
    RuleInput {
        id: number.to_string(),
        name: format!("rule {number}"),
        source: None,
        priority: 10,
        order: number as u64,
        enabled: true,
        spec: serde_json::from_value(spec).unwrap(),
    }
}
