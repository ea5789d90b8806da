//! Maintenance windows.

use std::collections::BTreeSet;

use engine::window::{Schedule, Window};
use openapi::maintenance::WindowScope;
use openapi::problem::FieldError;

use super::parts::{Kinds, check_name, error, field_error};

/// Sources or connections of one maintenance window.
const MEMBERS: usize = 500;

/// Checks a maintenance window. `slugs` and `kinds` are the sources and connections there are.
pub fn validate_window(
    name: &str,
    zone: &str,
    schedule: &Schedule,
    scope: &WindowScope,
    slugs: &BTreeSet<String>,
    kinds: &Kinds,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&mut errors, "name", name, 100);
    if let Err(faults) = Window::compile(zone, schedule) {
        errors.extend(faults.into_iter().map(|fault| field_error("", fault)));
    }
    let (field, members, what) = match scope {
        WindowScope::Workspace => return errors,
        WindowScope::Sources { sources } => ("scope.sources", sources, "source of that slug"),
        WindowScope::Connections { connections } => {
            ("scope.connections", connections, "connection of that name")
        }
    };
    let known = |name: &String| match scope {
        WindowScope::Sources { .. } => slugs.contains(name),
        _ => kinds.contains_key(name),
    };
    // None is fine: what it was about may have been deleted.
    if members.len() > MEMBERS {
        errors.push(error(field, "too_many", format!("at most {MEMBERS}")));
    }
    for (n, name) in members.iter().enumerate() {
        if !known(name) {
            let message = format!("the workspace has no {what}");
            errors.push(error(&format!("{field}[{n}]"), "unknown", message));
        }
    }
    errors
}
