//! JSON Schema of the file, for editors and for checking without a server.

use std::collections::BTreeMap;

use engine::signature::Scheme;
use openapi::config::{File, SecretRef};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema};

use super::diff;

/// The schema of the file, draft 2020-12.
pub fn schema() -> Value {
    let mut listed = Vec::new();
    File::schemas(&mut listed);
    SecretRef::schemas(&mut listed);
    Scheme::schemas(&mut listed);
    let mut defs: BTreeMap<String, Value> = listed
        .into_iter()
        .map(|(name, schema)| (name, diff::json(&schema)))
        .collect();
    defs.insert(SecretRef::name().into_owned(), secret_ref());
    let auth = auth(&defs);
    // `Scheme` is the API's form, without secrets; the file has its own.
    if let Some(Value::Object(source)) = defs.get_mut("SourceEntry")
        && let Some(Value::Object(properties)) = source.get_mut("properties")
    {
        properties.insert("auth".to_owned(), json!({ "$ref": "#/$defs/SourceAuth" }));
    }
    defs.insert("SourceAuth".to_owned(), auth);
    let mut root = match diff::json(&File::schema()) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    root.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    root.insert("title".to_owned(), json!("Signalbox workspace file"));
    reach(&mut root, defs);
    let mut schema = Value::Object(root);
    rewrite(&mut schema);
    schema
}

fn secret_ref() -> Value {
    let one = |key: &str, text: &str| {
        json!({
            "type": "object",
            "properties": { key: { "type": "string", "description": text, "minLength": 1 } },
            "required": [key],
            "additionalProperties": false,
        })
    };
    json!({
        "description": "Where a secret is read from when the file is applied.",
        "oneOf": [
            one("env", "Name of an environment variable."),
            one("file", "Path of a file, relative to the folder of this one; a line end at its end is not part of the secret."),
            one("command", "What this prints, run by the shell in the folder of this file; a line end at its end is not part of the secret."),
            one("vault", "Path in HashiCorp Vault and, after `#`, the key."),
        ],
    })
}

/// The authentication of a source with its secret: one flat object for each type.
fn auth(defs: &BTreeMap<String, Value>) -> Value {
    let scheme = diff::json(&Scheme::schema());
    let variants = scheme
        .get("oneOf")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let forms: Vec<Value> = variants
        .iter()
        .map(|variant| {
            let mut flat = Flat::default();
            flat.take(variant, defs);
            let kind = flat
                .properties
                .get("type")
                .and_then(|t| t.pointer("/enum/0").or_else(|| t.get("const")))
                .and_then(Value::as_str)
                .unwrap_or_default();
            let key = match kind {
                "none" => None,
                "bearer" => Some("token"),
                "basic" => Some("password"),
                _ => Some("secret"),
            };
            if let Some(key) = key {
                let reference = json!({ "$ref": "#/$defs/SecretRef" });
                flat.properties.insert(key.to_owned(), reference);
            }
            json!({
                "type": "object",
                "description": flat.description,
                "properties": flat.properties,
                "required": flat.required,
                "additionalProperties": false,
            })
        })
        .collect();
    json!({
        "description": "How requests are authenticated, with the secret: `token`, `password` or `secret`, as the type needs. An open source is chosen with `type: none`.",
        "oneOf": forms,
    })
}

/// The properties of an object that is written as several parts.
#[derive(Default)]
struct Flat {
    description: String,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Flat {
    fn take(&mut self, part: &Value, defs: &BTreeMap<String, Value>) {
        let name = part.get("$ref").and_then(Value::as_str).and_then(local);
        if let Some(inner) = name.and_then(|name| defs.get(name)) {
            self.take(inner, defs);
        }
        for inner in part
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.take(inner, defs);
        }
        if let Some(Value::Object(properties)) = part.get("properties") {
            self.properties.extend(properties.clone());
        }
        if let Some(Value::Array(required)) = part.get("required") {
            self.required.extend(required.clone());
        }
        if let Some(text) = part.get("description").and_then(Value::as_str) {
            text.clone_into(&mut self.description);
        }
    }
}

/// Name of the schema that a reference of the API points to.
fn local(reference: &str) -> Option<&str> {
    reference
        .strip_prefix("#/components/schemas/")
        .or_else(|| reference.strip_prefix("#/$defs/"))
}

/// Adds the definitions that `root` needs, directly or not, and no others.
fn reach(root: &mut Map<String, Value>, defs: BTreeMap<String, Value>) {
    let mut needed = BTreeMap::new();
    let mut open = Vec::new();
    references(&Value::Object(root.clone()), &mut open);
    while let Some(name) = open.pop() {
        if needed.contains_key(&name) {
            continue;
        }
        if let Some(schema) = defs.get(&name) {
            references(schema, &mut open);
            needed.insert(name, schema.clone());
        }
    }
    root.insert("$defs".to_owned(), diff::json(&needed));
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(local) {
                found.push(name.to_owned());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

/// Points references at `$defs`.
fn rewrite(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some(name) = local(reference)
            {
                *reference = format!("#/$defs/{name}");
            }
            map.values_mut().for_each(rewrite);
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        _ => {}
    }
}
