//! The document in the repository is the one that the server serves.
//!
//! After a change of the API: `SIGNALBOX_TEST_UPDATE=1 cargo test -p api --test openapi`.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use serde_json::Value;

fn written() -> String {
    // The order of keys must not depend on which features other crates switch on.
    let mut document = api::http::document().clone();
    document.sort_all_objects();
    format!("{}\n", serde_json::to_string_pretty(&document).unwrap())
}

#[test]
fn the_document_is_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
    if std::env::var_os("SIGNALBOX_TEST_UPDATE").is_some() {
        fs::write(&path, written()).unwrap();
    }
    let stored = fs::read_to_string(&path).expect("openapi/openapi.json is there");
    assert!(
        stored == written(),
        "openapi/openapi.json is out of step; run this test with SIGNALBOX_TEST_UPDATE=1"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    found.push(reference);
                }
                map.values().for_each(|v| references(v, found));
            }
            Value::Array(all) => all.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let document = api::http::document();
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn operations_are_complete() {
    let document = api::http::document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["tags"][0].is_string(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            let open = operation["security"][0]
                .as_object()
                .is_some_and(serde_json::Map::is_empty);
            assert!(
                open || answers.contains_key("401"),
                "{method} {path} says nothing about 401"
            );
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                let name = name.trim_end_matches('}');
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(
                    parameters
                        .iter()
                        .any(|p| p["name"] == name && p["in"] == "path"),
                    "{method} {path} does not describe {name}"
                );
            }
        }
    }
    for path in [
        "/api/v1/stream",
        "/api/v1/rules/explain",
        "/livez",
        "/metrics",
    ] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}
