//! The difference between what a file asks for and what a workspace has.

use openapi::config::{Change, ConnectionEntry, MaintenanceEntry, RoleEntry, RuleEntry, SecretRef};
use openapi::people::MemberPolicy;
use openapi::problem::FieldError;
use openapi::quotas::QuotaSpec;
use openapi::retention::RetentionSpec;
use serde::Serialize;
use serde_json::{Map, Value};

use super::current::{
    Current, CurrentConnection, CurrentRole, CurrentRule, CurrentSource, CurrentWindow,
};
use super::secret::Surroundings;
use super::wanted::{Wanted, WantedSource, at};
use crate::secrets::Secret;
use crate::services::sealed::SOURCE_SECRET;
use crate::services::validate::{error, validate_source_secret};

/// What has to be done to one thing.
#[derive(Debug)]
pub(super) enum Target<'a> {
    /// Make or change a connection, and store these secrets.
    Connection(
        Option<&'a CurrentConnection>,
        &'a ConnectionEntry,
        Vec<(&'a str, Secret)>,
        Vec<&'a str>,
    ),
    /// Make or change a source; its secret is stored anew, removed or left.
    Source(Option<&'a CurrentSource>, &'a WantedSource, SecretChange),
    /// Make or change a rule.
    Rule(Option<&'a CurrentRule>, &'a RuleEntry),
    /// Keep things as long as this says.
    Retention(&'a RetentionSpec),
    /// Make or change a maintenance window.
    Window(Option<&'a CurrentWindow>, &'a MaintenanceEntry),
    /// Make or change a role.
    Role(Option<&'a CurrentRole>, &'a RoleEntry),
    /// Limit the workspace to this.
    Quotas(&'a QuotaSpec, i64),
    /// Ask this of people.
    Members(&'a MemberPolicy),
    /// Remove a role.
    DropRole(&'a CurrentRole),
    /// Remove a maintenance window.
    DropWindow(&'a CurrentWindow),
    /// Remove a rule.
    DropRule(&'a CurrentRule),
    /// Remove a source.
    DropSource(&'a CurrentSource),
    /// Remove a connection.
    DropConnection(&'a CurrentConnection),
}

/// What happens to the secret of a source.
#[derive(Debug)]
pub(super) enum SecretChange {
    Keep,
    Store(Secret),
    Remove,
}

/// One difference, and what has to be done about it.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub change: Change,
    pub target: Target<'a>,
}

/// All differences.
#[derive(Debug, Default)]
pub(super) struct Difference<'a> {
    /// In the order in which they can be carried out.
    pub steps: Vec<Step<'a>>,
    /// Secrets that cannot be read and are not stored either: nothing can be applied.
    pub errors: Vec<FieldError>,
    /// Secrets that cannot be read; what is stored stays.
    pub warnings: Vec<String>,
}

/// Compares.
pub(super) fn compare<'a>(
    wanted: &'a Wanted,
    current: &'a Current,
    around: &Surroundings,
    prune: bool,
) -> Difference<'a> {
    let mut d = Difference::default();
    if prune {
        d.prune(wanted, current);
    }
    for entry in &wanted.connections {
        d.connection(entry, current.connection(&entry.name), around, prune);
    }
    for source in &wanted.sources {
        d.source(source, current.source(&source.entry.slug), around);
    }
    for entry in &wanted.rules {
        d.rule(entry, current.rule(&entry.name));
    }
    if let Some(days) = &wanted.retention {
        let fields = differing(Some(&current.retention.clone().unwrap_or_default()), days);
        let target = Target::Retention(days);
        d.create_or_update("retention", "days", true, fields, target);
    }
    for entry in &wanted.windows {
        d.window(entry, current.window(&entry.name));
    }
    for entry in &wanted.roles {
        let stored = current.role(&entry.name);
        let fields = stored.map_or_else(Vec::new, |r| differing(r.entry.as_ref(), entry));
        let target = Target::Role(stored, entry);
        d.create_or_update("role", &entry.name, stored.is_some(), fields, target);
    }
    if let Some(spec) = &wanted.quotas {
        let (stored, revision) = &current.quotas;
        let target = Target::Quotas(spec, *revision);
        let fields = differing(Some(stored), spec);
        d.create_or_update("quotas", "limits", true, fields, target);
    }
    if let Some(policy) = &wanted.members {
        let fields = differing(Some(&current.members), policy);
        let target = Target::Members(policy);
        d.create_or_update("members", "policy", true, fields, target);
    }
    d
}

impl<'a> Difference<'a> {
    /// Rules first, then what they speak of.
    fn prune(&mut self, wanted: &Wanted, current: &'a Current) {
        for role in &current.roles {
            if !wanted.roles.iter().any(|r| r.name == role.row.name) {
                let target = Target::DropRole(role);
                self.push("delete", "role", &role.row.name, Vec::new(), target);
            }
        }
        for window in &current.windows {
            if !wanted.windows.iter().any(|w| w.name == window.row.name) {
                let target = Target::DropWindow(window);
                self.push(
                    "delete",
                    "maintenance",
                    &window.row.name,
                    Vec::new(),
                    target,
                );
            }
        }
        for rule in &current.rules {
            if !wanted.rules.iter().any(|r| r.name == rule.row.name) {
                self.push(
                    "delete",
                    "rule",
                    &rule.row.name,
                    Vec::new(),
                    Target::DropRule(rule),
                );
            }
        }
        for source in &current.sources {
            if !wanted
                .sources
                .iter()
                .any(|s| s.entry.slug == source.row.slug)
            {
                self.push(
                    "delete",
                    "source",
                    &source.row.slug,
                    Vec::new(),
                    Target::DropSource(source),
                );
            }
        }
        for connection in &current.connections {
            if !wanted
                .connections
                .iter()
                .any(|c| c.name == connection.row.name)
            {
                let target = Target::DropConnection(connection);
                self.push(
                    "delete",
                    "connection",
                    &connection.row.name,
                    Vec::new(),
                    target,
                );
            }
        }
    }

    fn connection(
        &mut self,
        entry: &'a ConnectionEntry,
        stored: Option<&'a CurrentConnection>,
        around: &Surroundings,
        prune: bool,
    ) {
        let kept = |name: &str| stored.and_then(|c| c.secrets.get(name));
        let mut secrets = Vec::new();
        for (name, reference) in &entry.secrets {
            let place = format!("{}.secrets.{name}", at("connections", &entry.name));
            if let Some(secret) = self.secret(&place, reference, kept(name), around) {
                secrets.push((name.as_str(), secret));
            }
        }
        let gone: Vec<&str> = stored
            .into_iter()
            .flat_map(|c| c.secrets.keys())
            .filter(|name| prune && !entry.secrets.contains_key(*name))
            .map(String::as_str)
            .collect();
        let mut plain = entry.clone();
        plain.secrets.clear();
        let mut fields = stored.map_or_else(Vec::new, |c| differing(c.entry.as_ref(), &plain));
        fields.extend(secrets.iter().map(|(name, _)| format!("secrets.{name}")));
        fields.extend(gone.iter().map(|name| format!("secrets.{name}")));
        let target = Target::Connection(stored, entry, secrets, gone);
        self.create_or_update("connection", &entry.name, stored.is_some(), fields, target);
    }

    fn source(
        &mut self,
        wanted: &'a WantedSource,
        stored: Option<&'a CurrentSource>,
        around: &Surroundings,
    ) {
        let slug = &wanted.entry.slug;
        // A secret belongs to its scheme: a bearer token is no signing key.
        let same_type = stored
            .and_then(|s| s.scheme.as_ref())
            .is_some_and(|scheme| scheme.name() == wanted.scheme.name());
        let kept = stored
            .filter(|_| same_type)
            .and_then(|s| s.secrets.get(SOURCE_SECRET));
        let key = wanted.scheme.secret_key();
        let place = format!("{}.auth.{}", at("sources", slug), key.unwrap_or_default());
        let change = match (key, &wanted.secret) {
            (None, _) if stored.is_some_and(|s| !s.secrets.is_empty()) => SecretChange::Remove,
            (None, _) => SecretChange::Keep,
            (Some(_), Some(reference)) => match self.secret(&place, reference, kept, around) {
                None => SecretChange::Keep,
                Some(secret) => {
                    let found = validate_source_secret(&wanted.scheme, secret.reveal());
                    self.errors.extend(found.into_iter().map(|e| FieldError {
                        field: place.clone(),
                        ..e
                    }));
                    SecretChange::Store(secret)
                }
            },
            (Some(_), None) if kept.is_some() => SecretChange::Keep,
            (Some(key), None) => {
                let message = format!("`{key}` is missing: {{ env: NAME }} or {{ file: PATH }}");
                self.errors.push(error(&place, "secret_missing", message));
                SecretChange::Keep
            }
        };
        let mut plain = wanted.entry.clone();
        plain.auth = json(&wanted.scheme);
        let mut fields = stored.map_or_else(Vec::new, |s| differing(s.entry.as_ref(), &plain));
        match (&change, key) {
            (SecretChange::Store(_), Some(key)) => fields.push(format!("auth.{key}")),
            (SecretChange::Remove, _) if !fields.iter().any(|f| f == "auth") => {
                fields.push("auth".to_owned());
            }
            _ => {}
        }
        let target = Target::Source(stored, wanted, change);
        self.create_or_update("source", slug, stored.is_some(), fields, target);
    }

    fn rule(&mut self, entry: &'a RuleEntry, stored: Option<&'a CurrentRule>) {
        let fields = stored.map_or_else(Vec::new, |r| differing(r.entry.as_ref(), entry));
        self.create_or_update(
            "rule",
            &entry.name,
            stored.is_some(),
            fields,
            Target::Rule(stored, entry),
        );
    }

    fn window(&mut self, entry: &'a MaintenanceEntry, stored: Option<&'a CurrentWindow>) {
        let fields = stored.map_or_else(Vec::new, |w| differing(w.entry.as_ref(), entry));
        let target = Target::Window(stored, entry);
        self.create_or_update("maintenance", &entry.name, stored.is_some(), fields, target);
    }

    /// The secret to be stored; none: what is stored is right, or cannot be read here.
    fn secret(
        &mut self,
        place: &str,
        reference: &SecretRef,
        stored: Option<&Option<Secret>>,
        around: &Surroundings,
    ) -> Option<Secret> {
        match (around.read(reference), stored) {
            (Ok(secret), Some(Some(kept))) if *kept == secret => None,
            (Ok(secret), _) => Some(secret),
            (Err(why), Some(Some(_))) => {
                self.warnings
                    .push(format!("{place}: {why}; the stored secret stays"));
                None
            }
            (Err(why), _) => {
                self.errors.push(error(place, "secret_missing", why));
                None
            }
        }
    }

    fn create_or_update(
        &mut self,
        kind: &str,
        name: &str,
        stored: bool,
        fields: Vec<String>,
        target: Target<'a>,
    ) {
        if !stored {
            self.push("create", kind, name, Vec::new(), target);
        } else if !fields.is_empty() {
            self.push("update", kind, name, fields, target);
        }
    }

    fn push(
        &mut self,
        action: &str,
        kind: &str,
        name: &str,
        fields: Vec<String>,
        target: Target<'a>,
    ) {
        self.steps.push(Step {
            change: Change {
                action: action.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                fields,
            },
            target,
        });
    }
}

/// Value as JSON; the types of the file have no form that JSON lacks.
pub(super) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The form of a column: as JSON, in the order in which it was written.
pub(super) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Names of the keys in which two entries differ.
fn differing<T: Serialize>(stored: Option<&T>, wanted: &T) -> Vec<String> {
    let object = |value: Value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let (stored, wanted) = (
        stored.map_or_else(Map::new, |s| object(json(s))),
        object(json(wanted)),
    );
    let mut names: Vec<String> = wanted
        .iter()
        .filter(|(key, value)| stored.get(*key) != Some(value))
        .map(|(key, _)| key.clone())
        .collect();
    names.extend(
        stored
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .cloned(),
    );
    names.sort();
    names
}
