//! The schemas of the written forms: complete, and of the form serde reads.
#![cfg(feature = "schema")]

use engine::model::{FieldSpec, MatchMode, NoMatch, RuleSpec};
use engine::rules::{Explanation, Verdict};
use engine::signature::Scheme;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::{ComponentsBuilder, RefOr, Schema};

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

fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

#[test]
fn every_reference_leads_somewhere() {
    let mut schemas = Vec::new();
    add::<RuleSpec>(&mut schemas);
    add::<NoMatch>(&mut schemas);
    add::<MatchMode>(&mut schemas);
    add::<FieldSpec>(&mut schemas);
    add::<Verdict>(&mut schemas);
    add::<Explanation>(&mut schemas);
    add::<Scheme>(&mut schemas);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
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
    // Every scheme is one closed object with its own tag.
    let schemes = schemas["Scheme"]["oneOf"].as_array().unwrap();
    assert_eq!(schemes.len(), 6 + engine::signature::PRESETS.len());
    for scheme in schemes {
        assert_eq!(scheme["additionalProperties"], false, "{scheme}");
        assert!(
            scheme["properties"]["type"]["enum"][0].is_string(),
            "{scheme}"
        );
    }
    let header = schemes
        .iter()
        .find(|s| s["properties"]["type"]["enum"][0] == "hmac")
        .unwrap();
    assert!(
        header["required"]
            .as_array()
            .unwrap()
            .contains(&"header".into())
    );
}
