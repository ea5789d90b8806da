//! The schema says what the parser does. The checker below knows the words that the schema uses.

use serde_json::{Value, json};

use super::schema;
use super::tests::documented_example;

fn check(value: &Value, part: &Value, root: &Value) -> bool {
    let Value::Object(part) = part else {
        return part.as_bool().unwrap();
    };
    part.iter().all(|(word, rule)| match word.as_str() {
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            check(value, root.pointer(pointer).unwrap(), root)
        }
        "type" => match rule {
            Value::Array(types) => types.iter().any(|t| is(value, t.as_str().unwrap())),
            one => is(value, one.as_str().unwrap()),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "oneOf" => {
            rule.as_array()
                .unwrap()
                .iter()
                .filter(|r| check(value, r, root))
                .count()
                == 1
        }
        "anyOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .any(|r| check(value, r, root)),
        "required" => {
            let names = rule.as_array().unwrap();
            value
                .as_object()
                .is_none_or(|v| names.iter().all(|n| v.contains_key(n.as_str().unwrap())))
        }
        "properties" => value.as_object().is_none_or(|v| {
            let known = rule.as_object().unwrap();
            v.iter()
                .all(|(key, inner)| known.get(key).is_none_or(|r| check(inner, r, root)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|v| {
            let known = part.get("properties").and_then(Value::as_object);
            v.iter()
                .filter(|(key, _)| !known.is_some_and(|k| k.contains_key(*key)))
                .all(|(_, inner)| check(inner, rule, root))
        }),
        "items" => value
            .as_array()
            .is_none_or(|v| v.iter().all(|inner| check(inner, rule, root))),
        "minItems" => value
            .as_array()
            .is_none_or(|v| v.len() as u64 >= rule.as_u64().unwrap()),
        "minLength" => value
            .as_str()
            .is_none_or(|v| v.len() as u64 >= rule.as_u64().unwrap()),
        "maxLength" => value
            .as_str()
            .is_none_or(|v| v.len() as u64 <= rule.as_u64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|v| v <= rule.as_f64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|v| v >= rule.as_f64().unwrap()),
        "$schema" | "$defs" | "title" | "description" | "example" | "examples" | "format"
        | "default" | "propertyNames" => true,
        other => panic!("the checker does not know {other}"),
    })
}

fn is(value: &Value, word: &str) -> bool {
    match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the checker does not know the type {other}"),
    }
}

fn fits(value: &Value) -> bool {
    let schema = schema();
    check(value, &schema, &schema)
}

fn example() -> Value {
    serde_saphyr::from_str(&documented_example()).unwrap()
}

#[test]
fn the_documented_example_fits() {
    let schema = schema();
    let example = example();
    for (list, entry) in [
        ("connections", "ConnectionEntry"),
        ("sources", "SourceEntry"),
        ("rules", "RuleEntry"),
    ] {
        for value in example[list].as_array().unwrap() {
            assert!(check(value, &schema["$defs"][entry], &schema), "{value}");
        }
    }
    assert!(fits(&example));
}

#[test]
fn the_documented_example_names_every_key() {
    let schema = schema();
    let text = documented_example();
    for entry in [
        "ConnectionEntry",
        "SourceEntry",
        "RuleEntry",
        "RetrySettings",
        "OperationSpec",
        "LifecycleSpec",
        "ConditionSpec",
        "TimestampScheme",
    ] {
        for key in schema["$defs"][entry]["properties"]
            .as_object()
            .unwrap()
            .keys()
        {
            // The field of a timestamp exists for one preset only.
            assert!(
                key == "field" || text.contains(&format!("{key}:")),
                "{entry}.{key}"
            );
        }
    }
}

#[test]
fn what_the_parser_refuses_does_not_fit() {
    for (pointer, value) in [
        ("/rules/0/prioritty", json!(1)),
        (
            "/sources/0/auth",
            json!({"type": "bearer", "password": {"env": "A"}}),
        ),
        (
            "/sources/0/auth",
            json!({"type": "bearer", "token": "plain"}),
        ),
        (
            "/sources/0/auth",
            json!({"type": "bearer", "token": {"env": "A", "file": "b"}}),
        ),
        ("/sources/0/auth", json!({"type": "telepathy"})),
        ("/connections/0/secrets/public_key", json!("plain")),
        ("/rules/0/then", json!("keep")),
        (
            "/rules/0/then/0/deliver/map/board",
            json!({"value": 1, "path": "$"}),
        ),
        ("/version", json!("1")),
    ] {
        let mut changed = example();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = changed.pointer_mut(parent).unwrap();
        parent
            .as_object_mut()
            .unwrap()
            .insert(key.to_owned(), value.clone());
        assert!(!fits(&changed), "{pointer}: {value}");
    }
}
