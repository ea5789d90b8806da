//! What a file asks for, checked as far as that goes without the database.

use std::collections::BTreeSet;

use engine::model::RuleSpec;
use engine::signature::Scheme;
use openapi::config::{
    ConnectionEntry, File, MaintenanceEntry, RoleEntry, RuleEntry, SecretRef, SourceEntry,
};
use openapi::maintenance::WindowScope;
use openapi::people::MemberPolicy;
use openapi::problem::FieldError;
use openapi::quotas::QuotaSpec;
use openapi::retention::RetentionSpec;
use serde_json::Value;

use super::secret::{self, is_sound};
use crate::connectors::Registry;
use crate::services::people::policy;
use crate::services::validate::{
    ConnectionInput, Kinds, SourceInput, error, validate_connection, validate_retention,
    validate_rule, validate_rule_name, validate_source, validate_window, within,
};
use crate::services::{quotas, roles};

/// The keys under which a source's secret can stand in its `auth`.
const SECRET_KEYS: [&str; 3] = ["token", "password", "secret"];

/// A source with its authentication taken apart.
#[derive(Clone, Debug)]
pub(super) struct WantedSource {
    /// As written.
    pub entry: SourceEntry,
    /// The scheme, without its secret.
    pub scheme: Scheme,
    /// Where its secret is read from.
    pub secret: Option<SecretRef>,
}

/// What a file asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub connections: Vec<ConnectionEntry>,
    pub sources: Vec<WantedSource>,
    pub rules: Vec<RuleEntry>,
    pub retention: Option<RetentionSpec>,
    pub windows: Vec<MaintenanceEntry>,
    pub roles: Vec<RoleEntry>,
    pub quotas: Option<QuotaSpec>,
    pub members: Option<MemberPolicy>,
}

impl Wanted {
    /// Takes a file apart.
    ///
    /// # Errors
    /// Names that stand twice, authentication and secrets of the wrong form.
    pub fn of(file: File) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        twice(
            &mut errors,
            "connections",
            file.connections.iter().map(|c| &c.name),
        );
        twice(&mut errors, "sources", file.sources.iter().map(|s| &s.slug));
        twice(&mut errors, "rules", file.rules.iter().map(|r| &r.name));
        twice(
            &mut errors,
            "maintenance",
            file.maintenance.iter().map(|w| &w.name),
        );
        twice(&mut errors, "roles", file.roles.iter().map(|r| &r.name));
        for connection in &file.connections {
            for (name, reference) in &connection.secrets {
                if !is_sound(reference) {
                    let field = format!("{}.secrets.{name}", at("connections", &connection.name));
                    errors.push(error(&field, "secret_form", secret::FORM));
                }
            }
        }
        let mut sources = Vec::new();
        for entry in file.sources {
            match split_auth(&entry.auth) {
                Ok((scheme, secret)) => sources.push(WantedSource {
                    entry,
                    scheme,
                    secret,
                }),
                Err(more) => errors.extend(within(&at("sources", &entry.slug), more)),
            }
        }
        if errors.is_empty() {
            Ok(Self {
                connections: file.connections,
                sources,
                rules: file.rules,
                retention: file.retention,
                windows: file.maintenance.into_iter().map(in_order).collect(),
                roles: file.roles.into_iter().map(in_their_order).collect(),
                quotas: file.quotas,
                members: file.members.map(|members| MemberPolicy {
                    self_registration: policy::tidy(members.self_registration),
                    ..members
                }),
            })
        } else {
            Err(errors)
        }
    }

    /// Checks everything as the API does. `kinds` and `slugs` are what the workspace will have,
    /// `stored` tells the secrets of a connection that stay.
    pub fn check<'a>(
        &'a self,
        registry: &Registry,
        kinds: &Kinds,
        slugs: &BTreeSet<String>,
        stored: impl Fn(&str) -> Vec<&'a str>,
    ) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(days) = &self.retention {
            errors.extend(within("retention", validate_retention(days)));
        }
        if let Some(spec) = &self.quotas {
            errors.extend(within("quotas", quotas::validate(spec)));
        }
        if let Some(members) = &self.members {
            errors.extend(policy::faults(&members.self_registration, "members."));
        }
        for entry in &self.roles {
            let found = roles::validate(&entry.name, &entry.scopes);
            errors.extend(within(&at("roles", &entry.name), found));
        }
        for entry in &self.connections {
            let mut secrets: BTreeSet<&str> = entry.secrets.keys().map(String::as_str).collect();
            secrets.extend(stored(&entry.name));
            let found = validate_connection(
                registry,
                ConnectionInput {
                    name: &entry.name,
                    connector: &entry.connector,
                    settings: &entry.settings,
                    secrets: &secrets.into_iter().collect::<Vec<_>>(),
                    concurrency: entry.concurrency,
                    rate_per_minute: entry.rate_per_minute,
                    retry: &entry.retry,
                },
            );
            errors.extend(within(&at("connections", &entry.name), found));
        }
        for WantedSource { entry, scheme, .. } in &self.sources {
            let found = validate_source(
                registry,
                kinds,
                SourceInput {
                    name: &entry.name,
                    slug: &entry.slug,
                    auth: scheme,
                    allow_cidrs: &entry.allow_cidrs,
                    rate_per_minute: entry.rate_per_minute,
                    body_limit: entry.body_limit,
                    retention_days: entry.retention_days,
                    on_no_match: &entry.on_no_match,
                    event_id_path: entry.event_id_path.as_deref(),
                    split: entry.split.as_ref(),
                    heartbeat: entry.heartbeat,
                    rotate_days: entry.rotate_days,
                },
            );
            errors.extend(within(&at("sources", &entry.slug), found));
        }
        for entry in &self.rules {
            let mut found = validate_rule_name(&entry.name);
            found.extend(validate_rule(registry, kinds, &spec(entry)));
            if entry
                .source
                .as_ref()
                .is_some_and(|slug| !slugs.contains(slug))
            {
                found.push(error(
                    "source",
                    "unknown_source",
                    "the workspace has no source of that slug",
                ));
            }
            errors.extend(within(&at("rules", &entry.name), found));
        }
        for entry in &self.windows {
            let found = validate_window(
                &entry.name,
                &entry.zone,
                &entry.schedule,
                &entry.scope,
                slugs,
                kinds,
            );
            errors.extend(within(&at("maintenance", &entry.name), found));
        }
        errors
    }
}

/// The scopes of a role have no order either.
fn in_their_order(mut role: RoleEntry) -> RoleEntry {
    role.scopes = roles::in_order(&role.scopes);
    role
}

/// The members of a window have no order; they are compared as they are stored.
fn in_order(mut window: MaintenanceEntry) -> MaintenanceEntry {
    match &mut window.scope {
        WindowScope::Workspace => {}
        WindowScope::Sources { sources: names }
        | WindowScope::Connections { connections: names } => {
            names.sort();
            names.dedup();
        }
    }
    window
}

/// Conditions and steps of a rule.
pub(super) fn spec(entry: &RuleEntry) -> RuleSpec {
    RuleSpec {
        when: entry.when.clone(),
        then: entry.then.clone(),
    }
}

/// Where an entry stands, for messages: by its name, which a person finds sooner than a number.
pub(super) fn at(list: &str, name: &str) -> String {
    format!("{list}[{name}]")
}

/// Scheme and secret of an `auth`.
fn split_auth(auth: &Value) -> Result<(Scheme, Option<SecretRef>), Vec<FieldError>> {
    let fault = |message: String| vec![error("auth", "auth_form", message)];
    let Value::Object(mut map) = auth.clone() else {
        return Err(fault("expected an object with `type`".to_owned()));
    };
    let mut given = Vec::new();
    for key in SECRET_KEYS {
        if let Some(value) = map.remove(key) {
            given.push((key, value));
        }
    }
    let scheme: Scheme =
        serde_json::from_value(Value::Object(map)).map_err(|e| fault(e.to_string()))?;
    let mut secret = None;
    for (key, value) in given {
        let field = format!("auth.{key}");
        if scheme.secret_key() != Some(key) {
            let hint = scheme.secret_key().map_or_else(
                || "this type has no secret".to_owned(),
                |right| format!("this type calls its secret `{right}`"),
            );
            return Err(vec![error(&field, "unknown_field", hint)]);
        }
        let reference: Option<SecretRef> = serde_json::from_value(value).ok();
        match reference.filter(is_sound) {
            Some(reference) => secret = Some(reference),
            None => return Err(vec![error(&field, "secret_form", secret::FORM)]),
        }
    }
    Ok((scheme, secret))
}

fn twice<'a>(errors: &mut Vec<FieldError>, list: &str, names: impl Iterator<Item = &'a String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            errors.push(error(
                &at(list, name),
                "duplicate",
                "stands twice in the file",
            ));
        }
    }
}
