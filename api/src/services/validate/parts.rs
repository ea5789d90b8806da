//! What several of them check, and how a fault is named.

use std::collections::BTreeMap;

use engine::Fault;
use ipnet::IpNet;
use openapi::problem::FieldError;

/// Largest number that a column of limits holds.
const MOST: u32 = i32::MAX as u32;
/// Networks of one source.
const NETWORKS: usize = 200;

/// The connector of each connection of a workspace, by the connection's name.
pub type Kinds = BTreeMap<String, String>;

/// Checks the slug of a workspace or a source.
pub fn check_slug(errors: &mut Vec<FieldError>, field: &str, slug: &str, longest: usize) {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let sound = (1..=longest).contains(&slug.len())
        && slug.bytes().all(allowed)
        && !slug.starts_with('-')
        && !slug.ends_with('-');
    if !sound {
        errors.push(error(
            field,
            "slug_form",
            format!(
                "1 to {longest} lower-case letters, digits and hyphens, none of them at an end"
            ),
        ));
    }
}

/// Checks a list of networks.
pub fn check_networks(errors: &mut Vec<FieldError>, field: &str, networks: &[String]) {
    if networks.len() > NETWORKS {
        errors.push(error(
            field,
            "too_many",
            format!("at most {NETWORKS} networks"),
        ));
    }
    for (i, network) in networks.iter().enumerate() {
        if network.parse::<IpNet>().is_err() {
            errors.push(error(
                &format!("{field}[{i}]"),
                "bad_cidr",
                "expected a network, as in 10.0.0.0/8",
            ));
        }
    }
}

/// Checks a name for people.
pub fn check_name(errors: &mut Vec<FieldError>, field: &str, name: &str, longest: usize) {
    let length = name.chars().count();
    if name.trim() != name || !(1..=longest).contains(&length) || name.chars().any(char::is_control)
    {
        errors.push(error(
            field,
            "name_form",
            format!("1 to {longest} characters on one line, without blanks at the ends"),
        ));
    }
}

/// The same errors below `outer`.
pub fn within(outer: &str, errors: Vec<FieldError>) -> Vec<FieldError> {
    errors
        .into_iter()
        .map(|e| FieldError {
            field: join(outer, &e.field),
            ..e
        })
        .collect()
}

/// A fault of the engine as an error of a field.
pub fn field_error(outer: &str, fault: Fault) -> FieldError {
    FieldError {
        field: join(outer, &fault.at),
        code: fault.code.to_string(),
        message: fault.message,
        offset: fault.offset,
    }
}

/// An error of a field.
pub fn error(field: &str, code: &str, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.to_owned(),
        code: code.to_owned(),
        message: message.into(),
        offset: None,
    }
}

pub(super) fn check_limit(errors: &mut Vec<FieldError>, field: &str, value: Option<u32>) {
    if value.is_some_and(|v| !(1..=MOST).contains(&v)) {
        errors.push(error(
            field,
            "out_of_range",
            format!("must be between 1 and {MOST}"),
        ));
    }
}

fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", _) => inner.to_owned(),
        (_, "") => outer.to_owned(),
        (_, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
        _ => format!("{outer}.{inner}"),
    }
}
