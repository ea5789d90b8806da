//! Settings and mapped fields against their description.

use std::sync::Arc;

use engine::model::OperationSpec;
use openapi::connections::{Field, Operation};
use openapi::problem::FieldError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connectors::{Connection, Fault};

/// A fault of the input.
pub(in crate::connectors) fn wrong(
    at: impl Into<String>,
    code: &str,
    message: impl Into<String>,
) -> FieldError {
    FieldError {
        field: at.into(),
        code: code.to_owned(),
        message: message.into(),
        offset: None,
    }
}

/// Settings in the connector's own form, with every fault that its type and description know.
pub(in crate::connectors) fn check_settings<T: DeserializeOwned>(
    settings: &Value,
    fields: &[Field],
) -> Result<T, Vec<FieldError>> {
    let Some(members) = settings.as_object() else {
        return Err(vec![wrong(
            "settings",
            "invalid_type",
            "settings are an object",
        )]);
    };
    let mut faults = Vec::new();
    for name in members.keys() {
        if !fields.iter().any(|field| field.name == *name) {
            faults.push(wrong(
                format!("settings.{name}"),
                "unknown_field",
                format!("there is no such setting; known are {}", list(fields)),
            ));
        }
    }
    for field in fields.iter().filter(|field| field.required) {
        let empty = match members.get(&field.name) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
        };
        if empty {
            faults.push(wrong(
                format!("settings.{}", field.name),
                "missing_field",
                "this setting is needed",
            ));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." {
            String::new()
        } else {
            format!(".{path}")
        };
        vec![wrong(
            format!("settings{at}"),
            "invalid_value",
            error.inner().to_string(),
        )]
    })
}

/// The names of the secrets: none unknown, none missing.
pub(in crate::connectors) fn check_names(secrets: &[&str], fields: &[Field]) -> Vec<FieldError> {
    let unknown = secrets
        .iter()
        .filter(|name| !fields.iter().any(|field| field.name == **name))
        .map(|name| {
            wrong(
                format!("secrets.{name}"),
                "unknown_field",
                format!("there is no such secret; known are {}", list(fields)),
            )
        });
    let missing = fields
        .iter()
        .filter(|field| field.required && !secrets.contains(&field.name.as_str()))
        .map(|field| {
            wrong(
                format!("secrets.{}", field.name),
                "missing_field",
                "this secret is needed",
            )
        });
    unknown.chain(missing).collect()
}

/// The mapped fields of a rule's operation. A name may be dotted (`headers.X-Team`) where the
/// field is a map or may be anything.
pub(in crate::connectors) fn check_map(
    spec: &OperationSpec,
    operation: &Operation,
) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if operation.needs_key && spec.key.is_none() {
        faults.push(wrong(
            "key",
            "missing_field",
            "this operation needs a key: it says which record an event belongs to",
        ));
    }
    if !operation.open_fields {
        for name in spec.map.keys() {
            let known = operation.fields.iter().any(|field| {
                field.name == *name
                    || name.split_once('.').is_some_and(|(head, tail)| {
                        field.name == head
                            && matches!(field.kind.as_str(), "map" | "any")
                            && !tail.is_empty()
                    })
            });
            if !known {
                faults.push(wrong(
                    format!("map.{name}"),
                    "unknown_field",
                    format!(
                        "there is no such field; known are {}",
                        list(&operation.fields)
                    ),
                ));
            }
        }
    }
    for field in operation.fields.iter().filter(|field| field.required) {
        if !spec.map.contains_key(&field.name) {
            faults.push(wrong(
                format!("map.{}", field.name),
                "missing_field",
                "this field is needed",
            ));
        }
    }
    faults
}

/// The settings of a saved connection. They were checked when they were saved, so a fault here is
/// one of an older server's data.
pub(in crate::connectors) fn read<T: DeserializeOwned + Send + Sync + 'static>(
    connection: &Connection,
) -> Result<Arc<T>, Fault> {
    connection.parsed.get_or_read(|| {
        T::deserialize(&connection.settings).map_err(|error| {
            Fault::new(
                "settings_invalid",
                format!("the settings of the connection are not valid: {error}"),
                None,
            )
        })
    })
}

fn list(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    names.join(", ")
}
