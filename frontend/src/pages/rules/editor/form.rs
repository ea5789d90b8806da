//! The whole rule while it is edited.

use engine::model::RuleSpec;
use leptos::prelude::*;
use openapi::rules::{ChangeRule, NewRule, Rule};
use uuid::Uuid;

use super::model::Parts;
use crate::api::{from_person, to_pretty};
use crate::ui::Faults;

/// The whole rule.
#[derive(Clone, Copy)]
pub struct RuleForm {
    /// The saved rule.
    pub id: Option<Uuid>,
    /// What the form was filled from.
    pub revision: RwSignal<Option<i64>>,
    pub name: RwSignal<String>,
    /// Slug; empty: every source.
    pub source: RwSignal<String>,
    pub priority: RwSignal<String>,
    pub enabled: RwSignal<bool>,
    pub parts: Parts,
    pub faults: Faults,
}

impl RuleForm {
    /// A new rule for a source.
    pub fn empty(source: String) -> Self {
        Self {
            id: None,
            revision: RwSignal::new(None),
            name: RwSignal::new(String::new()),
            source: RwSignal::new(source),
            priority: RwSignal::new(String::new()),
            enabled: RwSignal::new(true),
            parts: Parts::empty(),
            faults: RwSignal::new(Vec::new()),
        }
    }

    /// Filled from a saved rule.
    pub fn of(rule: &Rule) -> Self {
        Self {
            id: Some(rule.id),
            revision: RwSignal::new(Some(rule.revision)),
            name: RwSignal::new(rule.name.clone()),
            source: RwSignal::new(rule.source.clone().unwrap_or_default()),
            priority: RwSignal::new(rule.priority.to_string()),
            enabled: RwSignal::new(rule.enabled),
            parts: Parts::of(&rule.spec),
            faults: RwSignal::new(rule.faults.clone()),
        }
    }

    /// The source, if it listens to one only.
    pub fn source_of(self) -> Option<String> {
        self.source
            .with(|source| (!source.is_empty()).then(|| source.clone()))
    }

    /// The rule as a new one.
    pub fn new_rule(self) -> NewRule {
        NewRule {
            name: self.name.get().trim().to_owned(),
            source: self.source_of(),
            priority: self.priority.with(|p| p.trim().parse().ok()),
            enabled: self.enabled.get(),
            spec: self.parts.spec(),
        }
    }

    /// The rule as a change of the saved one.
    pub fn change(self) -> ChangeRule {
        let new = self.new_rule();
        ChangeRule {
            name: Some(new.name),
            source: Some(new.source),
            priority: new.priority,
            enabled: Some(new.enabled),
            spec: Some(new.spec),
        }
    }

    /// Conditions and steps as JSON text.
    pub fn json(self) -> String {
        to_pretty(&self.parts.spec())
    }

    /// Takes conditions and steps from JSON text.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn take_json(self, text: &str) -> Result<(), String> {
        let spec: RuleSpec = from_person(text).map_err(|error| error.to_string())?;
        if spec != untrack(|| self.parts.spec()) {
            self.parts.set(&spec);
        }
        Ok(())
    }
}
