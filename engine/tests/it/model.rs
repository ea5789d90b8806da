use engine::model::{FieldSpec, LifecycleSpec, NoMatch, RuleSpec, Then};
use serde_json::{Value, json};

fn round_trip(value: Value) -> Value {
    let spec: RuleSpec = serde_json::from_value(value).unwrap();
    let written = serde_json::to_value(&spec).unwrap();
    let again: RuleSpec = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(again, spec);
    written
}

#[test]
fn rules_read_back_as_they_were_written() {
    let rule = json!({
        "when": [
            {"path": "$.monitor.tags[*].name", "op": "in", "value": ["prod", "core"]},
            {"path": "$.msg", "op": "contains", "value": "x", "ignore_case": true},
            {"path": "$.a", "op": "equals", "value": null},
            {"path": "$.a", "op": "exists"},
        ],
        "then": [
            {"deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "kuma:{{ monitor.id }}",
                "lifecycle": {"path": "$.heartbeat.status", "open": ["0"], "close": ["1"], "otherwise": "ignore"},
                "map": {
                    "summary": "Alert: {{ monitor.name }}",
                    "board": {"value": "Service Board"},
                    "count": 3,
                    "none": {"value": null},
                    "body": {"path": "$"},
                    "map": {"path": "$.l", "values": {"high": 1}, "default": {"value": null}},
                    "priority": {
                        "cases": [
                            {"when": {"path": "$.w", "op": "gte", "value": 100}, "value": "Priority 1"},
                            {"when": [
                                {"path": "$.w", "op": "gte", "value": 50},
                                {"path": "$.v", "op": "exists"},
                            ], "template": "{{ w }}"},
                        ],
                        "else": "Priority 3",
                    },
                },
            }},
            {"hold": {"connection": "c", "operation": "o"}},
            "drop",
        ],
    });
    assert_eq!(round_trip(rule.clone()), rule);
    assert_eq!(round_trip(json!({"then": "drop"})), json!({"then": "drop"}));
    for policy in [
        json!("keep"),
        json!("drop"),
        json!({"deliver": {"connection": "c", "operation": "o"}}),
    ] {
        let spec: NoMatch = serde_json::from_value(policy.clone()).unwrap();
        assert_eq!(json!(spec), policy);
    }
}

#[test]
fn shorter_spellings_mean_the_same() {
    let one: RuleSpec = serde_json::from_value(json!({
        "when": {"path": "$.a", "op": "exists"}, "then": "drop"
    }))
    .unwrap();
    assert_eq!(one.when.len(), 1);
    assert_eq!(one.then, Then::Drop);
    let bare: FieldSpec = serde_json::from_value(json!({"template": "x"})).unwrap();
    assert_eq!(bare, FieldSpec::Template("x".into()));
    let lifecycle: LifecycleSpec = serde_json::from_value(json!({
        "path": "$.s", "open": [0, true, "x", 1.5], "close": ["True"]
    }))
    .unwrap();
    assert_eq!(lifecycle.open, ["0", "true", "x", "1.5"]);
    assert_eq!(json!(lifecycle.otherwise), json!("note"));
}

#[test]
fn errors_name_the_field() {
    let map = |field: Value| json!({"then": [{"deliver": {"connection": "c", "operation": "o", "map": {"x": field}}}]});
    for (value, part) in [
        (json!({}), "missing field `then`"),
        (json!({"then": "drop", "prio": 1}), "unknown field `prio`"),
        (json!({"then": "dorp"}), "`drop` or a list of steps"),
        (json!({"then": 1}), "`drop` or a list of steps"),
        (json!({"then": [{"send": {}}]}), "unknown field `send`"),
        (
            json!({"then": [{}]}),
            "`drop`, `deliver: {…}` or `hold: {…}`",
        ),
        (
            json!({"then": [{"deliver": {}}]}),
            "missing field `connection`",
        ),
        (
            json!({"then": [{"deliver": {"connection": "c", "operation": "o"}, "hold": {}}]}),
            "one operation only",
        ),
        (
            json!({"when": "x", "then": "drop"}),
            "a condition or a list of conditions",
        ),
        (
            json!({"when": [{"path": "$.a"}], "then": "drop"}),
            "missing field `op`",
        ),
        (
            json!({"when": [{"path": "$.a", "op": "like"}], "then": "drop"}),
            "unknown variant `like`",
        ),
        (
            json!({"when": [{"path": "$.a", "op": "equals", "values": 1}], "then": "drop"}),
            "unknown field `values`",
        ),
        (map(json!({})), "exactly one of"),
        (map(json!({"value": 1, "path": "$"})), "exactly one of"),
        (map(json!({"pth": "$"})), "unknown field `pth`"),
        (map(json!({"values": {}})), "missing field `path`"),
        (
            map(json!({"path": "$", "default": 1})),
            "`default` belongs to `values`",
        ),
        (
            map(json!({"value": 1, "else": 1})),
            "`else` belongs to `cases`",
        ),
        (
            map(json!({"when": [], "value": 1})),
            "`when` belongs to a case",
        ),
        (
            map(json!({"cases": [{"value": 1}]})),
            "missing field `when`",
        ),
        (map(json!([1])), "a template, a literal, or an object"),
    ] {
        let error = serde_json::from_value::<RuleSpec>(value.clone())
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{value}: {error}");
    }
}
