//! Short ways to describe forms.

use openapi::connections::{Field, Operation};
use serde_json::Value;

/// A field that may be left out.
pub(in crate::connectors) fn field(name: &str, title: &str, kind: &str, help: &str) -> Field {
    Field {
        name: name.to_owned(),
        title: title.to_owned(),
        kind: kind.to_owned(),
        required: false,
        help: help.to_owned(),
        default: None,
        choices: Vec::new(),
        metadata: None,
    }
}

/// What a field can be beyond its plain form.
pub(in crate::connectors) trait Describe {
    fn required(self) -> Self;
    fn default(self, value: impl Into<Value>) -> Self;
    fn choices(self, choices: &[&str]) -> Self;
    fn metadata(self, list: &str) -> Self;
}

impl Describe for Field {
    fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    fn choices(mut self, choices: &[&str]) -> Self {
        self.choices = choices.iter().map(|c| (*c).to_owned()).collect();
        self
    }

    fn metadata(mut self, list: &str) -> Self {
        self.metadata = Some(list.to_owned());
        self
    }
}

/// An operation with these fields and no others.
pub(in crate::connectors) fn operation(name: &str, title: &str, fields: Vec<Field>) -> Operation {
    Operation {
        name: name.to_owned(),
        title: title.to_owned(),
        needs_key: false,
        fields,
        open_fields: false,
    }
}
