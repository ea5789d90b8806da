//! Rules as they stand in a workspace file.

use engine::model::{FieldSpec, NoMatch, Otherwise, RuleSpec, StepSpec, Then};
use engine::rules::{Action, RuleInput, RuleSet, validate};
use serde_json::json;

use crate::support::Ask;

const DOWN: &str = r#"
when:
  - { path: "$.monitor.tags[*].name", op: in, value: [prod, core] }
then:
  - deliver:
      connection: psa
      operation: ticket.upsert
      key: "kuma:{{ monitor.id }}"
      lifecycle: { path: "$.heartbeat.status", open: ["0"], close: [1], otherwise: note }
      map:
        summary: "Alert: {{ monitor.name }}"
        board: { value: "Service Board" }
        priority: { cases: [ { when: { path: "$.monitor.weight", op: gte, value: 100 }, value: "Priority 1" } ], else: "Priority 3" }
        initialDescription: "{{ msg | default: 'no message' | truncate: 2000 }}"
        count: 3
        ratio: 0.5
        urgent: true
        nothing: null
        quoted: "5"
"#;

#[test]
fn a_rule_in_yaml() {
    let spec: RuleSpec = serde_saphyr::from_str(DOWN).unwrap();
    validate(&spec).unwrap();
    let input = RuleInput {
        id: "1".into(),
        name: "down".into(),
        source: None,
        priority: 10,
        order: 1,
        enabled: true,
        spec,
    };
    let set = RuleSet::compile(vec![input]).unwrap();
    let payload = json!({
        "monitor": {"id": 7, "name": "web", "weight": 100, "tags": [{"name": "x"}, {"name": "core"}]},
        "heartbeat": {"status": 0},
        "msg": null,
    });
    let verdict = Ask::default().evaluate(&set, &payload).unwrap();
    let step = &verdict.matches[0].steps[0];
    assert_eq!(step.key.as_deref(), Some("kuma:7"));
    assert_eq!(step.action, Some(Action::Open));
    assert_eq!(
        json!(step.fields),
        json!({
            "summary": "Alert: web", "board": "Service Board", "priority": "Priority 1",
            "initialDescription": "no message", "count": 3, "ratio": 0.5, "urgent": true,
            "nothing": null, "quoted": "5",
        })
    );
}

#[test]
fn short_forms_in_yaml() {
    let spec: RuleSpec = serde_saphyr::from_str(
        "when: [ { path: \"$.msg\", op: contains, value: maintenance, ignore_case: true } ]\nthen: drop\n",
    )
    .unwrap();
    assert_eq!((spec.when.len(), spec.then), (1, Then::Drop));
    let spec: RuleSpec = serde_saphyr::from_str(
        "then:\n  - deliver: { connection: c, operation: http.request, map: { body: { path: \"$\" } } }\n  - drop\n",
    )
    .unwrap();
    let Then::Steps(steps) = &spec.then else {
        panic!("a list of steps");
    };
    assert_eq!(steps[1], StepSpec::Drop);
    let StepSpec::Deliver(operation) = &steps[0] else {
        panic!("a delivery");
    };
    assert_eq!(operation.map["body"], FieldSpec::Path("$".into()));
    let policy: NoMatch =
        serde_saphyr::from_str("deliver: { connection: c, operation: o }").unwrap();
    assert!(matches!(policy, NoMatch::Deliver(_)));
    let otherwise: Otherwise = serde_saphyr::from_str("ignore").unwrap();
    assert_eq!(otherwise, Otherwise::Ignore);
}

#[test]
fn errors_in_yaml_name_field_and_line() {
    let text = DOWN.replace("connection: psa", "conection: psa");
    let error = serde_saphyr::from_str::<RuleSpec>(&text)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("conection") && error.contains('6'),
        "{error}"
    );
    let text = DOWN.replace("{ value: \"Service Board\" }", "{ valeu: x }");
    let error = serde_saphyr::from_str::<RuleSpec>(&text)
        .unwrap_err()
        .to_string();
    assert!(error.contains("valeu"), "{error}");
}
