use engine::FaultCode;
use engine::rules::validate;
use serde_json::{Value, json};

use crate::support::{deliver, fields, spec};

fn payload() -> Value {
    json!({
        "level": "high", "code": 2, "up": true, "weight": 150, "nested": {"a": [1, null]},
        "items": [{"s": "x"}, {"s": "low"}], "null": null,
    })
}

#[test]
fn every_form_of_a_field() {
    for (field, expected) in [
        (json!("{{ level }}!"), json!("high!")),
        (json!("{{ missing }}"), json!("")),
        (json!({"template": "{{ code }}"}), json!("2")),
        (json!(5), json!(5)),
        (json!(true), json!(true)),
        (json!(null), json!(null)),
        (json!({"value": "{{ level }}"}), json!("{{ level }}")),
        (json!({"value": {"a": [1]}}), json!({"a": [1]})),
        (json!({"value": null}), json!(null)),
        (json!({"path": "$.code"}), json!(2)),
        (json!({"path": "nested"}), json!({"a": [1, null]})),
        (json!({"path": "$.null"}), json!(null)),
        (json!({"path": "$.items[*].s"}), json!("x")),
        (json!({"path": "$"}), payload()),
        // value maps
        (
            json!({"path": "$.level", "values": {"high": "P1"}}),
            json!("P1"),
        ),
        (json!({"path": "$.code", "values": {"2": 20}}), json!(20)),
        (
            json!({"path": "$.up", "values": {"true": "yes"}}),
            json!("yes"),
        ),
        (
            json!({"path": "$.up", "values": {"True": "yes"}}),
            json!("yes"),
        ),
        (
            json!({"path": "$.level", "values": {"HIGH": 1}, "default": "P3 {{ code }}"}),
            json!("P3 2"),
        ),
        (
            json!({"path": "$.items[*].s", "values": {"low": "L"}}),
            json!("L"),
        ),
        (
            json!({"path": "$.missing", "values": {"x": 1}, "default": {"path": "$.code"}}),
            json!(2),
        ),
        // cases
        (
            json!({"cases": [{"when": {"path": "$.weight", "op": "gte", "value": 100}, "value": "P1"}], "else": "P3"}),
            json!("P1"),
        ),
        (
            json!({"cases": [{"when": {"path": "$.weight", "op": "gte", "value": 200}, "value": "P1"}], "else": "P3"}),
            json!("P3"),
        ),
        (
            json!({"cases": [
                {"when": [{"path": "$.weight", "op": "gt", "value": 100}, {"path": "$.up", "op": "equals", "value": false}], "value": 1},
                {"when": {"path": "$.up", "op": "equals", "value": true}, "template": "up {{ code }}"},
            ]}),
            json!("up 2"),
        ),
        (
            json!({"cases": [{"when": {"path": "$.level", "op": "exists"}, "path": "$.level", "values": {"high": 9}}]}),
            json!(9),
        ),
    ] {
        let rendered = fields(json!({"x": field}), &payload());
        assert_eq!(rendered, json!({"x": expected}), "{field}");
    }
}

#[test]
fn fields_without_a_value_are_left_out() {
    for field in [
        json!({"path": "$.missing"}),
        json!({"path": "$.level", "values": {"x": 1}}),
        json!({"path": "$.nested", "values": {"x": 1}}),
        json!({"cases": [{"when": {"path": "$.x", "op": "exists"}, "value": 1}]}),
    ] {
        assert_eq!(
            fields(json!({"x": field}), &payload()),
            json!({}),
            "{field}"
        );
    }
}

#[test]
fn faults_of_fields_are_located() {
    let bad = json!({"path": "$.a", "op": "gt", "value": "x"});
    let good = json!({"path": "$.a", "op": "exists"});
    let mut nested = json!(1);
    for _ in 0..10 {
        nested = json!({"path": "$.a", "values": {"a": 1}, "default": nested});
    }
    for (field, at, code) in [
        (json!("{{ x"), "x", FaultCode::TemplateSyntax),
        (json!({"path": "$["}), "x.path", FaultCode::PathSyntax),
        (
            json!({"path": "$", "values": {}}),
            "x.values",
            FaultCode::Empty,
        ),
        (json!({"cases": []}), "x.cases", FaultCode::Empty),
        (
            json!({"cases": [{"when": [], "value": 1}]}),
            "x.cases[0].when",
            FaultCode::Empty,
        ),
        (
            json!({"cases": [{"when": bad, "value": 1}]}),
            "x.cases[0].when[0].value",
            FaultCode::ValueKind,
        ),
        (
            json!({"cases": [{"when": good, "template": "{{"}]}),
            "x.cases[0]",
            FaultCode::TemplateSyntax,
        ),
        (
            json!({"cases": [{"when": good, "value": 1}], "else": "{{ }}"}),
            "x.else",
            FaultCode::TemplateSyntax,
        ),
        (
            nested,
            "x.default.default.default.default.default.default.default.default",
            FaultCode::TooDeep,
        ),
    ] {
        let faults = validate(&spec(json!({"then": deliver(json!({"x": field}))}))).unwrap_err();
        let at = format!("then[0].deliver.map.{at}");
        assert_eq!(faults.len(), 1, "{field}");
        assert_eq!(
            (faults[0].at.as_str(), faults[0].code),
            (at.as_str(), code),
            "{field}"
        );
    }
    let many: serde_json::Map<_, _> = (0..300).map(|n| (n.to_string(), json!(1))).collect();
    let faults = validate(&spec(json!({"then": deliver(json!(many))}))).unwrap_err();
    assert_eq!(faults[0].at, "then[0].deliver.map");
}
