//! A workspace as a file.

use openapi::config::{File, SourceEntry};
use openapi::people::MemberPolicy;
use serde_json::Value;

use super::FileError;
use super::current::{Current, CurrentSource};
use super::diff::json;
use super::secret::placeholder;
use super::wanted::at;
use super::work::Store;
use crate::scope::Scope;
use crate::services::sealed::SOURCE_SECRET;
use crate::services::validate::error;

/// The workspace as YAML. Applied to the same workspace it changes nothing; secrets are
/// placeholders, named after their owner.
///
/// # Errors
/// Something stored is not understood by this version, or a query failed.
pub async fn export(store: &Store, scope: Scope) -> Result<String, FileError> {
    let current = Current::load(store.db.read(), scope, &store.keyring).await?;
    let mut unknown = Vec::new();
    let mut known = |list: &str, name: &str| {
        unknown.push(error(
            &at(list, name),
            "not_understood",
            "its stored form is not understood",
        ));
    };
    let mut file = File {
        version: 1,
        connections: Vec::new(),
        sources: Vec::new(),
        rules: Vec::new(),
        retention: current.retention.clone(),
        maintenance: Vec::new(),
        roles: Vec::new(),
        quotas: (current.quotas.1 > 0).then(|| current.quotas.0.clone()),
        members: (current.members != MemberPolicy::default()).then(|| current.members.clone()),
    };
    for stored in &current.connections {
        match stored.entry.clone() {
            None => known("connections", &stored.row.name),
            Some(mut entry) => {
                entry.secrets = stored
                    .secrets
                    .keys()
                    .map(|name| (name.clone(), placeholder(&entry.name, name)))
                    .collect();
                file.connections.push(entry);
            }
        }
    }
    for stored in &current.sources {
        match source(stored) {
            None => known("sources", &stored.row.slug),
            Some(entry) => file.sources.push(entry),
        }
    }
    for stored in &current.rules {
        match stored.entry.clone() {
            None => known("rules", &stored.row.name),
            Some(entry) => file.rules.push(entry),
        }
    }
    for stored in &current.windows {
        match stored.entry.clone() {
            None => known("maintenance", &stored.row.name),
            Some(entry) => file.maintenance.push(entry),
        }
    }
    for stored in &current.roles {
        match stored.entry.clone() {
            None => known("roles", &stored.row.name),
            Some(entry) => file.roles.push(entry),
        }
    }
    if !unknown.is_empty() {
        return Err(FileError::Invalid(unknown));
    }
    serde_saphyr::to_string(&file).map_err(|e| FileError::Form(e.to_string()))
}

fn source(stored: &CurrentSource) -> Option<SourceEntry> {
    let mut entry = stored.entry.clone()?;
    let key = stored.scheme.as_ref()?.secret_key();
    if let (Some(key), Value::Object(auth)) = (key, &mut entry.auth)
        && stored.secrets.contains_key(SOURCE_SECRET)
    {
        auth.insert(key.to_owned(), json(&placeholder(&entry.slug, key)));
    }
    Some(entry)
}
