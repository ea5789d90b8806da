//! The schemas of the written forms: complete, and of the form serde reads.
#![cfg(feature = "schema")]

use engine::model::{FieldSpec, MatchMode, NoMatch, RuleSpec};
use engine::rules::{Explanation, Verdict};
use engine::signature::Scheme;
use serde_json::Value;
use utoipa::openapi::ComponentsBuilder;

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.push(reference.clone());
            }
            members.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let components = ComponentsBuilder::new()
        .schema_from::<RuleSpec>()
        .schema_from::<NoMatch>()
        .schema_from::<MatchMode>()
        .schema_from::<FieldSpec>()
        .schema_from::<Verdict>()
        .schema_from::<Explanation>()
        .schema_from::<Scheme>()
        .build();
    let document = serde_json::json!({"components": components});
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let schemas = &document["components"]["schemas"];
    for name in [
        "FieldSpec",
        "CaseSpec",
        "Then",
        "StepSpec",
        "OperationSpec",
        "ConditionSpec",
        "Fault",
    ] {
        assert!(schemas.get(name).is_some(), "{name}");
    }
    assert_eq!(schemas["RuleSpec"]["additionalProperties"], false);
    assert_eq!(schemas["RuleSpec"]["required"], serde_json::json!(["then"]));
    assert_eq!(
        schemas["RuleSpec"]["properties"]["when"]["oneOf"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for example in schemas["FieldSpec"]["examples"].as_array().unwrap() {
        serde_json::from_value::<FieldSpec>(example.clone()).unwrap();
    }
}
