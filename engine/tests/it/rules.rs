use engine::FaultCode;
use engine::model::{MatchMode, NoMatch};
use engine::rules::{
    Action, CompiledNoMatch, Disposition, RuleInput, RuleSet, StepKind, Verdict, reason,
};
use serde_json::{Value, json};

use crate::support::{Ask, deliver, rule};

fn when(path: &str, value: Value) -> Value {
    json!([{"path": path, "op": "equals", "value": value}])
}

fn set(rules: Vec<RuleInput>) -> RuleSet {
    RuleSet::compile(rules).unwrap()
}

fn winners(verdict: &Verdict) -> Vec<&str> {
    verdict
        .matches
        .iter()
        .filter_map(|m| m.rule_id.as_deref())
        .collect()
}

#[test]
fn priority_then_creation_decides() {
    let any = json!({"then": deliver(json!({}))});
    let rules = vec![
        rule("late", 10, 9, any.clone()),
        rule("last", 20, 1, any.clone()),
        rule("early", 10, 3, any.clone()),
        rule("first", -5, 99, any.clone()),
    ];
    let set = set(rules);
    let ask = Ask::default();
    let verdict = ask.evaluate(&set, &json!({})).unwrap();
    assert_eq!(winners(&verdict), ["first"]);
    assert_eq!(
        (verdict.disposition, verdict.reason.as_str()),
        (Disposition::Routed, reason::MATCHED)
    );
    let all = Ask {
        mode: MatchMode::All,
        ..Ask::default()
    };
    assert_eq!(
        winners(&all.evaluate(&set, &json!({})).unwrap()),
        ["first", "early", "late", "last"]
    );
}

#[test]
fn sources_and_switches() {
    let any = json!({"then": deliver(json!({}))});
    let mut other = rule("other", 1, 1, any.clone());
    other.source = Some("else".into());
    let mut off = rule("off", 2, 2, any.clone());
    off.enabled = false;
    let mut own = rule("own", 3, 3, any.clone());
    own.source = Some("s".into());
    let every = rule("every", 4, 4, any);
    let set = set(vec![other, off, own, every]);
    let all = Ask {
        mode: MatchMode::All,
        ..Ask::default()
    };
    assert_eq!(
        winners(&all.evaluate(&set, &json!({})).unwrap()),
        ["own", "every"]
    );
    let stranger = Ask {
        source: "stranger",
        mode: MatchMode::All,
        ..Ask::default()
    };
    assert_eq!(
        winners(&stranger.evaluate(&set, &json!({})).unwrap()),
        ["every"]
    );
    let explanation = all.explain(&set, &json!({}));
    let flags: Vec<_> = explanation
        .rules
        .iter()
        .map(|r| (r.id.as_str(), r.evaluated, r.matched, r.won))
        .collect();
    assert_eq!(
        flags,
        [
            ("other", false, false, false),
            ("off", false, false, false),
            ("own", true, true, true),
            ("every", true, true, true),
        ]
    );
}

#[test]
fn drop_ends_the_event() {
    let rules = || {
        vec![
            rule("copy", 1, 1, json!({"then": deliver(json!({}))})),
            rule(
                "drop",
                2,
                2,
                json!({"when": when("$.x", json!(1)), "then": "drop"}),
            ),
            rule("after", 3, 3, json!({"then": deliver(json!({}))})),
        ]
    };
    let all = Ask {
        mode: MatchMode::All,
        ..Ask::default()
    };
    let verdict = all.evaluate(&set(rules()), &json!({"x": 1})).unwrap();
    assert_eq!(winners(&verdict), ["copy", "drop"]);
    assert_eq!(verdict.disposition, Disposition::Routed);
    let verdict = all.evaluate(&set(rules()), &json!({"x": 2})).unwrap();
    assert_eq!(winners(&verdict), ["copy", "after"]);
    let verdict = all
        .evaluate(&set(rules().split_off(1)), &json!({"x": 1}))
        .unwrap();
    assert_eq!(
        (verdict.disposition, verdict.reason.as_str()),
        (Disposition::Dropped, reason::RULE_DROP)
    );
    assert_eq!(winners(&verdict), ["drop"]);
}

#[test]
fn nothing_matched() {
    let set = set(vec![rule(
        "r",
        1,
        1,
        json!({"when": when("$.x", json!(1)), "then": "drop"}),
    )]);
    for (policy, disposition, reason) in [
        (json!("keep"), Disposition::Unmatched, reason::NO_MATCH_KEEP),
        (json!("drop"), Disposition::Dropped, reason::NO_MATCH_DROP),
        (
            json!({"deliver": {"connection": "c", "operation": "o", "map": {"x": "{{ x }}{{ @rule }}"}}}),
            Disposition::Routed,
            reason::NO_MATCH_TARGET,
        ),
    ] {
        let policy: NoMatch = serde_json::from_value(policy).unwrap();
        let ask = Ask {
            no_match: CompiledNoMatch::compile(&policy).unwrap(),
            ..Ask::default()
        };
        let verdict = ask.evaluate(&set, &json!({"x": 2})).unwrap();
        assert_eq!(
            (verdict.disposition, verdict.reason.as_str()),
            (disposition, reason)
        );
        if reason == reason::NO_MATCH_TARGET {
            assert_eq!(verdict.matches[0].rule_id, None);
            assert_eq!(json!(verdict.matches[0].steps[0].fields), json!({"x": "2"}));
        }
    }
    let bad: NoMatch = serde_json::from_value(
        json!({"deliver": {"connection": "", "operation": "o", "key": "{{"}}),
    )
    .unwrap();
    let faults = CompiledNoMatch::compile(&bad).unwrap_err();
    assert_eq!(
        faults.iter().map(|f| f.at.as_str()).collect::<Vec<_>>(),
        ["deliver.connection", "deliver.key"]
    );
}

#[test]
fn key_and_lifecycle() {
    let step = json!({
        "connection": "psa", "operation": "ticket.upsert",
        "key": "k:{{ id }}",
        "lifecycle": {"path": "$.items[*].status", "open": [0, "firing", "True"], "close": ["1", "resolved", false]},
    });
    let set = set(vec![rule("r", 1, 1, json!({"then": [{"hold": step}]}))]);
    let action = |status: Value| {
        let verdict = Ask::default()
            .evaluate(&set, &json!({"id": 7, "items": status}))
            .unwrap();
        let step = verdict.matches[0].steps[0].clone();
        assert_eq!(
            (step.kind, step.key.as_deref()),
            (StepKind::Hold, Some("k:7"))
        );
        step.action.unwrap()
    };
    let status = |value: Value| action(json!([{"status": value}]));
    assert_eq!(status(json!("firing")), Action::Open);
    assert_eq!(status(json!(0)), Action::Open);
    assert_eq!(status(json!("0")), Action::Open);
    assert_eq!(status(json!(true)), Action::Open);
    assert_eq!(status(json!("true")), Action::Note);
    assert_eq!(status(json!(1)), Action::Close);
    assert_eq!(status(json!(false)), Action::Close);
    assert_eq!(status(json!("pending")), Action::Note);
    assert_eq!(status(json!(null)), Action::Note);
    assert_eq!(action(json!([])), Action::Note);
    assert_eq!(
        action(json!([{"status": "resolved"}, {"status": "firing"}])),
        Action::Open
    );
}

#[test]
fn an_empty_key_is_a_fault_of_its_step_only() {
    let step = |key: &str| json!({"deliver": {"connection": "c", "operation": "o", "key": key, "map": {"x": "{{ a }}"}}});
    let set = set(vec![rule(
        "r",
        1,
        1,
        json!({"then": [step("{{ missing }}"), step(" {{ a }} ")]}),
    )]);
    let verdict = Ask::default().evaluate(&set, &json!({"a": 1})).unwrap();
    let steps = &verdict.matches[0].steps;
    let fault = steps[0].fault.as_ref().unwrap();
    assert_eq!(
        (fault.code, fault.at.as_str()),
        (FaultCode::KeyEmpty, "then[0].deliver.key")
    );
    assert_eq!(steps[0].key, None);
    assert_eq!(
        (
            steps[1].fault.as_ref(),
            steps[1].key.as_deref(),
            steps[1].step
        ),
        (None, Some(" 1 "), 1)
    );
    let long = json!({"a": "x".repeat(2000)});
    let verdict = Ask::default().evaluate(&set, &long).unwrap();
    assert_eq!(
        verdict.matches[0].steps[1].fault.as_ref().unwrap().code,
        FaultCode::KeyTooLong
    );
}

#[test]
fn faults_of_a_rule_are_all_reported_with_their_place() {
    let bad = rule(
        "bad",
        1,
        1,
        json!({
            "when": [{"path": "$[", "op": "gt", "value": "x"}],
            "then": [
                "drop",
                {"deliver": {
                    "connection": "", "operation": " ", "key": " ",
                    "lifecycle": {"path": "$[", "open": ["1"], "close": ["2", "1"]},
                    "map": {"": 1, "x": "{{"},
                }},
            ],
        }),
    );
    let faulty = RuleSet::compile(vec![bad, rule("empty", 2, 2, json!({"then": []}))]).unwrap_err();
    let found: Vec<_> = faulty
        .iter()
        .flat_map(|(id, faults)| {
            faults
                .iter()
                .map(move |f| (id.as_str(), f.at.as_str(), f.code))
        })
        .collect();
    assert_eq!(
        found,
        [
            ("bad", "when[0].path", FaultCode::PathSyntax),
            ("bad", "when[0].value", FaultCode::ValueKind),
            ("bad", "then[0]", FaultCode::Unreachable),
            ("bad", "then[1].deliver.connection", FaultCode::Empty),
            ("bad", "then[1].deliver.operation", FaultCode::Empty),
            ("bad", "then[1].deliver.key", FaultCode::Empty),
            (
                "bad",
                "then[1].deliver.lifecycle.path",
                FaultCode::PathSyntax
            ),
            (
                "bad",
                "then[1].deliver.lifecycle.close[1]",
                FaultCode::Conflict
            ),
            ("bad", "then[1].deliver.map", FaultCode::Empty),
            ("bad", "then[1].deliver.map.x", FaultCode::TemplateSyntax),
            ("empty", "then", FaultCode::Empty),
        ]
    );
    let twice = rule("a", 1, 1, json!({"then": "drop"}));
    let faulty = RuleSet::compile(vec![twice.clone(), twice]).unwrap_err();
    assert_eq!(faulty[0].1[0].code, FaultCode::DuplicateRule);
}

#[test]
fn a_quarantined_rule_takes_what_it_matches() {
    let bad_map = rule(
        "bad map",
        1,
        1,
        json!({"when": when("$.x", json!(1)), "then": deliver(json!({"f": "{{"}))}),
    );
    let bad_condition = rule(
        "bad condition",
        2,
        2,
        json!({
            "when": [{"path": "$.x", "op": "equals", "value": 2}, {"path": "$[", "op": "exists"}],
            "then": [{"hold": {"connection": "c", "operation": "o"}}],
        }),
    );
    let bad_drop = rule(
        "bad drop",
        3,
        3,
        json!({"when": [{"path": "$.x", "op": "gt", "value": "?"}], "then": "drop"}),
    );
    let good = rule("good", 9, 9, json!({"then": deliver(json!({}))}));
    let (set, faulty) = RuleSet::compile_lenient(vec![bad_map, bad_condition, good.clone()]);
    assert_eq!(faulty.len(), 2);
    let ask = Ask::default();
    for (x, id, kind) in [
        (1, "bad map", StepKind::Deliver),
        (2, "bad condition", StepKind::Hold),
    ] {
        let verdict = ask.evaluate(&set, &json!({"x": x})).unwrap();
        assert_eq!(winners(&verdict), [id]);
        assert_eq!(
            (verdict.disposition, verdict.reason.as_str()),
            (Disposition::Routed, reason::RULE_QUARANTINED)
        );
        assert!(verdict.matches[0].quarantined);
        let step = &verdict.matches[0].steps[0];
        assert_eq!((step.connection.as_str(), step.kind), ("c", kind));
        assert!(step.fault.is_some());
    }
    let verdict = ask.evaluate(&set, &json!({"x": 3})).unwrap();
    assert_eq!(
        (winners(&verdict), verdict.reason.as_str()),
        (vec!["good"], reason::MATCHED)
    );
    let (set, _) = RuleSet::compile_lenient(vec![bad_drop, good]);
    let verdict = ask.evaluate(&set, &json!({"x": 3})).unwrap();
    assert_eq!(
        (verdict.disposition, verdict.reason.as_str()),
        (Disposition::Unrouted, reason::RULE_QUARANTINED)
    );
    assert_eq!(winners(&verdict), ["bad drop"]);
}

#[test]
fn fuel_and_matches_are_bounded() {
    let rules: Vec<_> = (0..1500)
        .map(|n| {
            rule(
                &n.to_string(),
                1,
                n,
                json!({"then": deliver(json!({"x": "{{ a }}"}))}),
            )
        })
        .collect();
    let set = set(rules);
    let payload = json!({"a": "x"});
    let fault = Ask {
        mode: MatchMode::All,
        ..Ask::default()
    }
    .evaluate(&set, &payload)
    .unwrap_err();
    assert_eq!(fault.code, FaultCode::TooManyMatches);
    let poor = Ask {
        mode: MatchMode::All,
        fuel: 500,
        ..Ask::default()
    };
    assert_eq!(
        poor.evaluate(&set, &payload).unwrap_err().code,
        FaultCode::FuelExhausted
    );
    let explanation = poor.explain(&set, &payload);
    assert_eq!(
        (explanation.disposition, explanation.reason.as_str()),
        (Disposition::Unrouted, reason::FAULT)
    );
    assert_eq!(explanation.fault.unwrap().code, FaultCode::FuelExhausted);
    assert_eq!(explanation.rules.len(), 1500);
}

#[test]
fn an_explanation_shows_every_condition_of_every_rule() {
    let long = "x".repeat(1000);
    let set = set(vec![
        rule(
            "a",
            1,
            1,
            json!({"when": when("$.x", json!(1)), "then": deliver(json!({"f": 1}))}),
        ),
        rule(
            "b",
            2,
            2,
            json!({"when": [
            {"path": "$.list[*]", "op": "in", "value": [50]},
            {"path": "$.missing", "op": "exists"},
            {"path": "$.long", "op": "starts_with", "value": "x"},
            {"path": "$.lists", "op": "is_empty", "value": false},
        ], "then": "drop"}),
        ),
    ]);
    let payload = json!({
        "x": 1, "list": (0..60).collect::<Vec<_>>(), "long": long, "lists": [long, long, long],
    });
    let ask = Ask::default();
    let explanation = ask.explain(&set, &payload);
    let verdict = ask.evaluate(&set, &payload).unwrap();
    assert_eq!(explanation.matches, verdict.matches);
    assert_eq!(
        (explanation.disposition, &explanation.reason),
        (verdict.disposition, &verdict.reason)
    );
    let [a, b] = explanation.rules.as_slice() else {
        panic!("two rules")
    };
    assert!(a.won && a.matched && !b.won && !b.matched && b.evaluated);
    assert_eq!(a.conditions[0].seen, [json!(1)]);
    let shown: Vec<_> = b
        .conditions
        .iter()
        .map(|c| (c.seen.len(), c.seen_count, c.holds))
        .collect();
    assert_eq!(
        shown,
        [(10, 60, true), (0, 0, false), (1, 1, true), (1, 1, true)]
    );
    assert_eq!(b.conditions[1].expected, json!(true));
    let cut = b.conditions[2].seen[0].as_str().unwrap();
    assert_eq!((cut.chars().count(), cut.ends_with('…')), (501, true));
    assert_eq!(b.conditions[3].seen, [json!("[…]")]);
    let written = serde_json::to_value(&explanation).unwrap();
    assert_eq!(written["rules"][0]["conditions"][0]["op"], "equals");
    assert_eq!(
        serde_json::from_value::<engine::rules::Explanation>(written).unwrap(),
        explanation
    );
}

#[test]
fn everything_has_a_limit() {
    let many = |count: usize, entry: Value| vec![entry; count];
    let exists = json!({"path": "$.a", "op": "exists"});
    let operation = json!({"connection": "c", "operation": "o"});
    let field = |field: Value| json!({"then": deliver(json!({"x": field}))});
    let lifecycle = |open: Vec<String>| {
        json!({"then": [{"deliver": {
            "connection": "c", "operation": "o", "lifecycle": {"path": "$.s", "open": open},
        }}]})
    };
    let entries: serde_json::Map<_, _> = (0..1001).map(|n| (n.to_string(), json!(1))).collect();
    let texts: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    for (value, at, code) in [
        (
            json!({"when": many(101, exists.clone()), "then": "drop"}),
            "when",
            FaultCode::TooMany,
        ),
        (
            json!({"then": many(21, json!({"hold": operation}))}),
            "then",
            FaultCode::TooMany,
        ),
        (
            field(json!({"cases": many(101, json!({"when": exists, "value": 1}))})),
            "then[0].deliver.map.x.cases",
            FaultCode::TooMany,
        ),
        (
            field(json!({"path": "$", "values": entries})),
            "then[0].deliver.map.x.values",
            FaultCode::TooMany,
        ),
        (
            field(json!({"value": "x".repeat(70_000)})),
            "then[0].deliver.map.x",
            FaultCode::TooLong,
        ),
        (
            field(json!({"value": deep})),
            "then[0].deliver.map.x",
            FaultCode::TooDeep,
        ),
        (
            field(json!("x".repeat(20_000))),
            "then[0].deliver.map.x",
            FaultCode::TemplateTooLong,
        ),
        (
            lifecycle(texts),
            "then[0].deliver.lifecycle.open",
            FaultCode::TooMany,
        ),
        (
            lifecycle(Vec::new()),
            "then[0].deliver.lifecycle",
            FaultCode::Empty,
        ),
        (
            json!({"then": [{"hold": {"connection": "c".repeat(300), "operation": "o"}}]}),
            "then[0].hold.connection",
            FaultCode::TooLong,
        ),
    ] {
        let faults = engine::rules::validate(&crate::support::spec(value)).unwrap_err();
        assert_eq!(faults.len(), 1, "{at}");
        assert_eq!((faults[0].at.as_str(), faults[0].code), (at, code));
    }
}
