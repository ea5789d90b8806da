//! The index answers as asking every rule does, and asks few of them.

use engine::model::MatchMode;
use engine::rules::{RuleInput, RuleSet};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Ask, deliver, rule};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            json!(0),
            json!(1),
            json!(1.0),
            json!(-0.0),
            json!("0"),
            json!("1"),
            json!("1.0"),
            json!(true),
            json!("true"),
            json!(null),
            json!("null"),
            json!(""),
            json!("a"),
            json!("A"),
            json!("NULL"),
            json!("True"),
            json!("1E3"),
            json!(1e3),
            json!(1e300),
            json!("1E300"),
            // Texts that change their length with their case.
            json!("\u{130}"),
            json!("i\u{307}"),
            json!("\u{3a3}\u{3a3}"),
            json!("\u{3c3}\u{3c2}"),
            json!("[1]"),
            json!("{}"),
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_992.0),
            json!(u64::MAX),
        ]),
        (0_i64..4).prop_map(Value::from),
    ]
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "$.a",
        "a",
        "$['a']",
        "$.b",
        "$.c[0]",
        "$.c[*]",
        "$..d",
        "$.c[?@ == 1]",
    ])
}

fn condition() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(scalar(), 1..4);
    prop_oneof![
        5 => (path(), scalar(), any::<bool>()).prop_map(|(path, value, case)| {
            json!({"path": path, "op": "equals", "value": value, "ignore_case": case})
        }),
        3 => (path(), list(), any::<bool>()).prop_map(|(path, value, case)| {
            json!({"path": path, "op": "in", "value": value, "ignore_case": case})
        }),
        1 => (path(), list()).prop_map(|(path, value)| json!({"path": path, "op": "not_in", "value": value})),
        1 => (path(), scalar()).prop_map(|(path, value)| json!({"path": path, "op": "not_equals", "value": value})),
        1 => path().prop_map(|path| json!({"path": path, "op": "exists"})),
        1 => path().prop_map(|path| json!({"path": path, "op": "equals", "value": [1]})),
    ]
}

fn a_rule() -> impl Strategy<Value = (i32, Option<bool>, bool, Vec<Value>, Value)> {
    let then = prop_oneof![
        4 => Just(deliver(json!({"x": {"path": "$.a"}}))),
        1 => Just(json!("drop")),
        // Quarantined.
        1 => Just(deliver(json!({"x": "{{"}))),
    ];
    (
        -2_i32..3,
        prop::option::of(any::<bool>()),
        prop::bool::weighted(0.9),
        prop::collection::vec(condition(), 0..3),
        then,
    )
}

fn rules() -> impl Strategy<Value = Vec<RuleInput>> {
    prop::collection::vec(a_rule(), 0..25).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(n, (priority, source, enabled, when, then))| {
                // Orders repeat on purpose: the id decides then.
                let order = n as u64 / 3;
                let mut rule = rule(
                    &n.to_string(),
                    priority,
                    order,
                    json!({"when": when, "then": then}),
                );
                rule.source = source.map(|own| if own { "s" } else { "t" }.to_owned());
                rule.enabled = enabled;
                rule
            })
            .collect()
    })
}

fn payload() -> impl Strategy<Value = Value> {
    let value = || prop_oneof![5 => scalar(), 1 => Just(json!([1])), 1 => Just(json!({}))];
    (
        prop::option::of(value()),
        prop::option::of(value()),
        prop::collection::vec(value(), 0..3),
        value(),
    )
        .prop_map(|(a, b, c, d)| {
            let mut payload = json!({"c": c, "deep": [{"d": d}, {"d": 1}]});
            if let Some(a) = a {
                payload["a"] = a;
            }
            if let Some(b) = b {
                payload["b"] = b;
            }
            payload
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn index_and_scan_agree(
        rules in rules(),
        payloads in prop::collection::vec(payload(), 1..5),
        all in any::<bool>(),
    ) {
        let (set, _) = RuleSet::compile_lenient(rules);
        let mode = if all { MatchMode::All } else { MatchMode::First };
        let ask = Ask { mode, ..Ask::default() };
        for payload in payloads {
            let verdict = ask.evaluate(&set, &payload);
            prop_assert_eq!(&verdict, &ask.scan(&set, &payload));
            let explanation = ask.explain(&set, &payload);
            let verdict = verdict.unwrap();
            prop_assert_eq!(&explanation.matches, &verdict.matches);
            prop_assert!(explanation.rules.iter().all(|rule| rule.matched || !rule.won));
            let won = explanation.rules.iter().filter(|rule| rule.won).count();
            prop_assert_eq!(won, verdict.matches.len());
            if mode == MatchMode::First {
                let first = explanation.rules.iter().find(|rule| rule.matched);
                prop_assert_eq!(
                    first.map(|rule| rule.id.as_str()),
                    verdict.matches.first().and_then(|m| m.rule_id.as_deref())
                );
            }
        }
    }
}

/// Fuel is a measure of work that no busy machine disturbs.
fn least_fuel(set: &RuleSet, payload: &Value) -> u64 {
    let enough = |fuel| {
        Ask {
            fuel,
            ..Ask::default()
        }
        .evaluate(set, payload)
        .is_ok()
    };
    let (mut low, mut high) = (0, 1 << 24);
    assert!(enough(high));
    while low < high {
        let middle = u64::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[test]
fn ten_thousand_rules_cost_what_ten_cost() {
    let set = |count: usize, ignore_case: bool| {
        let rules = (0..count)
            .map(|n| {
                let when = json!([
                    {"path": "$.kind", "op": "equals", "value": "alert"},
                    {"path": "$.host", "op": "in", "value": [format!("host-{n}"), format!("Alias-{n}")], "ignore_case": ignore_case},
                    {"path": "$.weight", "op": "gte", "value": n % 5},
                ]);
                rule(&n.to_string(), 1, n as u64, json!({"when": when, "then": deliver(json!({"h": "{{ host }}"}))}))
            })
            .collect();
        RuleSet::compile(rules).unwrap()
    };
    for ignore_case in [false, true] {
        let (small, large) = (set(10, ignore_case), set(10_000, ignore_case));
        for host in ["host-9", "HOST-9", "nobody"] {
            let payload = json!({"kind": "alert", "host": host, "weight": 9});
            assert_eq!(least_fuel(&small, &payload), least_fuel(&large, &payload));
        }
        let host = if ignore_case {
            "aLIAS-7777"
        } else {
            "Alias-7777"
        };
        let payload = json!({"kind": "alert", "host": host, "weight": 9});
        let verdict = Ask::default().evaluate(&large, &payload).unwrap();
        assert_eq!(verdict.matches[0].rule_id.as_deref(), Some("7777"));
    }
}
