//! Form fields from a connector's catalogue: each field of it becomes a control of its kind.

use leptos::prelude::*;
use openapi::connections::Field;
use openapi::problem::FieldError;
use serde_json::{Map, Value};

use crate::api::{from_person, to_pretty, to_text};
use crate::ui::{AreaField, CheckField, Faults, SelectField, TextField, TickField};

/// One field and what a person put in.
#[derive(Clone)]
pub struct Entry {
    /// The field.
    pub field: Field,
    text: RwSignal<String>,
    on: RwSignal<bool>,
    /// Of a list with choices: those that are ticked, and others that were written elsewhere.
    ticked: RwSignal<Vec<String>>,
}

/// A value as a person would write it.
fn written(field: &Field, value: Option<&Value>) -> String {
    match (field.kind.as_str(), value) {
        (_, None | Some(Value::Null)) => String::new(),
        (_, Some(Value::String(text))) => text.clone(),
        ("list", Some(Value::Array(items))) if items.iter().all(is_plain) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| to_text(item).unwrap_or_default(), str::to_owned)
            })
            .collect::<Vec<_>>()
            .join("\n"),
        (_, Some(other)) => to_pretty(other),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn is_plain(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.contains('\n')) || value.is_number()
}

impl Entry {
    /// A field with the saved value, or its default.
    pub fn new(field: Field, saved: Option<&Value>) -> Self {
        let value = saved.or(field.default.as_ref());
        Self {
            text: RwSignal::new(written(&field, value)),
            on: RwSignal::new(value.and_then(Value::as_bool).unwrap_or(false)),
            ticked: RwSignal::new(texts(value)),
            field,
        }
    }

    /// A secret: never filled.
    pub fn secret(field: Field) -> Self {
        Self {
            text: RwSignal::new(String::new()),
            on: RwSignal::new(false),
            ticked: RwSignal::new(Vec::new()),
            field,
        }
    }

    /// The text of its control.
    pub const fn signal(&self) -> RwSignal<String> {
        self.text
    }

    /// What was typed, if anything.
    pub fn typed(&self) -> Option<String> {
        let text = self.text.get_untracked();
        (!text.is_empty()).then_some(text)
    }

    /// The value, or what is wrong with it; nothing when it is left empty.
    fn value(&self) -> Result<Option<Value>, String> {
        let text = self.text.get_untracked();
        let trimmed = text.trim();
        let kind = self.field.kind.as_str();
        if kind == "boolean" {
            return Ok(Some(Value::Bool(self.on.get_untracked())));
        }
        if kind == "list" && !self.field.choices.is_empty() {
            let ticked = self.ticked.get_untracked();
            return Ok((!ticked.is_empty()).then(|| ticked.into_iter().map(Value::from).collect()));
        }
        if trimmed.is_empty() {
            return Ok(None);
        }
        let json = |what: &str| {
            from_person::<Value>(trimmed)
                .map(Some)
                .map_err(|error| format!("This is not {what}: {error}"))
        };
        match kind {
            "number" => json("a number"),
            "map" => json("a JSON object"),
            "any" => Ok(Some(
                from_person(trimmed).unwrap_or_else(|_| Value::String(text.clone())),
            )),
            "list" if trimmed.starts_with('[') => json("a JSON list"),
            "list" => Ok(Some(
                trimmed
                    .split(['\n', ','])
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| match item.parse::<i64>() {
                        Ok(number) => Value::from(number),
                        Err(_) => Value::from(item),
                    })
                    .collect(),
            )),
            "text" => Ok(Some(Value::String(text))),
            _ => Ok(Some(Value::from(trimmed))),
        }
    }

    /// The control.
    pub fn view(&self, group: &str, faults: Faults) -> AnyView {
        let field = self.field.clone();
        let at = format!("{group}.{}", field.name);
        let testid = format!("{group}-{}", field.name);
        let text = self.text;
        if field.kind == "list" && !field.choices.is_empty() {
            let mut choices = field.choices.clone();
            // What was written in a file, as `delivery.*`, can be kept or taken away.
            let others = self.ticked.get_untracked();
            choices.extend(others.into_iter().filter(|o| !field.choices.contains(o)));
            return view! {
                <TickField
                    label=field.title
                    value=self.ticked
                    choices=choices
                    help=field.help
                    required=field.required
                    faults=faults
                    at=at
                    testid=testid
                />
            }
            .into_any();
        }
        if !field.choices.is_empty() {
            let mut options: Vec<(String, String)> = field
                .choices
                .iter()
                .map(|c| (c.clone(), c.clone()))
                .collect();
            if !field.required && field.default.is_none() {
                options.insert(0, (String::new(), "Not set".to_owned()));
            }
            return view! {
                <SelectField
                    label=field.title
                    value=text
                    options=Signal::stored(options)
                    help=field.help
                    required=field.required
                    faults=faults
                    at=at
                    testid=testid
                />
            }
            .into_any();
        }
        match field.kind.as_str() {
            "boolean" => view! {
                <CheckField label=field.title value=self.on help=field.help testid=testid />
            }
            .into_any(),
            "text" | "map" | "any" | "list" => {
                let code = field.kind != "text";
                view! {
                    <AreaField
                        label=field.title
                        value=text
                        help=field.help
                        required=field.required
                        rows=3
                        code=code
                        faults=faults
                        at=at
                        testid=testid
                    />
                }
                .into_any()
            }
            kind => {
                let kind = if kind == "url" { "url" } else { "text" };
                view! {
                    <TextField
                        label=field.title
                        value=text
                        kind=kind
                        help=field.help
                        required=field.required
                        faults=faults
                        at=at
                        testid=testid
                    />
                }
                .into_any()
            }
        }
    }
}

/// All values; what is wrong goes to the faults. Settings that the catalogue does not know stay.
pub fn values(entries: &[Entry], saved: Option<&Value>, faults: Faults) -> Value {
    let mut out = match saved {
        Some(Value::Object(saved)) => saved.clone(),
        _ => Map::new(),
    };
    for entry in entries {
        let name = entry.field.name.clone();
        match entry.value() {
            Ok(Some(value)) => {
                out.insert(name, value);
            }
            Ok(None) => {
                out.remove(&name);
            }
            Err(message) => faults.update(|list| {
                list.push(FieldError {
                    field: format!("settings.{name}"),
                    code: "value_kind".to_owned(),
                    message,
                    offset: None,
                });
            }),
        }
    }
    Value::Object(out)
}
