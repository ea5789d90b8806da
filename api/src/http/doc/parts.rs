//! The schemas in a form that generators of clients understand.
//!
//! A choice between objects that stand in it unnamed, perhaps with the choice itself among their
//! fields, is legal and yet beyond most generators: each of these objects gets a name. An object that
//! may hold anything says so, and a pair is a list of two.

use serde_json::{Map, Value, json};

/// Names the parts of choices, and says what is open.
pub fn name(document: &mut Value) {
    open(document);
    let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in names {
        if let Some(mut schema) = schemas.get_mut(&name).map(Value::take) {
            lift(&name, &mut schema, schemas);
            schemas.insert(name, schema);
        }
    }
}

fn lift(name: &str, schema: &mut Value, schemas: &mut Map<String, Value>) {
    for key in ["oneOf", "anyOf"] {
        let Some(Value::Array(parts)) = schema.get_mut(key) else {
            continue;
        };
        for part in parts {
            if !is_object(part) {
                continue;
            }
            let Some(word) = word(part) else { continue };
            let own = free(&format!("{name}{}", pascal(word)), schemas);
            // Taken first: its own parts may have the same words.
            schemas.insert(own.clone(), Value::Null);
            let mut part = std::mem::replace(
                part,
                json!({ "$ref": format!("#/components/schemas/{own}") }),
            );
            lift(&own, &mut part, schemas);
            schemas.insert(own, part);
        }
    }
}

/// An object with fields, or one made of several.
fn is_object(part: &Value) -> bool {
    part.get("allOf").is_some() || part.get("properties").is_some()
}

/// What tells a part from the others: the one value of its tag, or the last field that it needs.
fn word(part: &Value) -> Option<&str> {
    let pieces: Vec<&Value> = match part.get("allOf").and_then(Value::as_array) {
        Some(pieces) => pieces.iter().collect(),
        None => vec![part],
    };
    let tag = pieces.iter().find_map(|piece| {
        let fields = piece.get("properties")?.as_object()?;
        fields
            .values()
            .find_map(|field| match field.get("enum")?.as_array()?.as_slice() {
                [only] => only.as_str(),
                _ => None,
            })
    });
    tag.or_else(|| {
        let mut needed = pieces
            .iter()
            .filter_map(|piece| piece.get("required")?.as_array());
        needed.find_map(|fields| fields.last()?.as_str())
    })
}

fn free(wanted: &str, schemas: &Map<String, Value>) -> String {
    let numbered = (2_u32..).map(|n| format!("{wanted}{n}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|name| !schemas.contains_key(name))
        .unwrap_or_default()
}

/// `standard_webhooks` becomes `StandardWebhooks`.
fn pascal(word: &str) -> String {
    word.split(|c: char| !c.is_ascii_alphanumeric())
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        })
        .collect()
}

fn open(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(is_open_type)
                && ![
                    "properties",
                    "additionalProperties",
                    "allOf",
                    "oneOf",
                    "anyOf",
                ]
                .iter()
                .any(|key| fields.contains_key(*key))
            {
                fields.insert("additionalProperties".to_owned(), Value::Bool(true));
            }
            pair(fields);
            fields.values_mut().for_each(open);
        }
        Value::Array(items) => items.iter_mut().for_each(open),
        _ => {}
    }
}

fn is_open_type(kind: &Value) -> bool {
    kind == "object"
        || kind
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "object"))
}

/// A tuple of equal parts: so many of them.
fn pair(fields: &mut Map<String, Value>) {
    let parts = match fields.get("prefixItems").and_then(Value::as_array) {
        Some(parts) if parts.windows(2).all(|two| matches!(two, [a, b] if a == b)) => parts.clone(),
        _ => return,
    };
    let Some(part) = parts.first() else { return };
    fields.insert("items".to_owned(), part.clone());
    fields.insert("minItems".to_owned(), parts.len().into());
    fields.insert("maxItems".to_owned(), parts.len().into());
    fields.remove("prefixItems");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_choices_get_names() {
        let object = |field: &str| json!({ "type": "object", "properties": { field: {} }, "required": [field] });
        let mut document = json!({ "components": { "schemas": {
            "Field": { "anyOf": [
                { "type": "string" },
                object("path"),
                { "type": "object", "properties": { "type": { "enum": ["a_b"] }, "else": { "$ref": "#/components/schemas/Field" } } },
            ] },
            "FieldPath": { "type": "object" },
            "Pair": { "type": "array", "prefixItems": [{ "type": "string" }, { "type": "string" }], "items": false },
        } } });
        name(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas["Field"]["anyOf"],
            json!([
                { "type": "string" },
                { "$ref": "#/components/schemas/FieldPath2" },
                { "$ref": "#/components/schemas/FieldAB" },
            ])
        );
        assert_eq!(schemas["FieldPath2"], object("path"));
        assert_eq!(
            schemas["FieldPath"],
            json!({ "type": "object", "additionalProperties": true })
        );
        assert_eq!(
            schemas["Pair"],
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 })
        );
    }
}
