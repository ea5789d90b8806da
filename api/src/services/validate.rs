//! One validation for everything that people write: the API, the console and the workspace file.
//!
//! Nothing here reads the database; what must be unique is left to it.

use std::collections::{BTreeMap, BTreeSet};

use engine::Fault;
use engine::model::{NoMatch, OperationSpec, RuleSpec, StepSpec, Then};
use engine::path::JsonPath;
use engine::rules::CompiledNoMatch;
use engine::signature::{Scheme, SecretEncoding, parse_standard_secret};
use engine::split::{Split, SplitSpec};
use engine::status::Statuses;
use engine::window::{Schedule, Window};
use ipnet::IpNet;
use openapi::connections::RetrySettings;
use openapi::maintenance::WindowScope;
use openapi::problem::FieldError;
use openapi::retention::RetentionSpec;
use openapi::sources::Heartbeat;
use serde_json::Value;

use crate::connectors::Registry;

/// Largest number that a column of limits holds.
const MOST: u32 = i32::MAX as u32;
/// Longest secret of a source, in bytes.
const SECRET: usize = 1024;
/// Most days that something can be kept before it is kept for good.
const MOST_DAYS: u32 = 36_500;
/// Networks of one source.
const NETWORKS: usize = 200;
/// Longest wait in seconds.
const YEAR: f64 = 31_536_000.0;
/// Listed waits of one connection.
const WAITS: usize = 100;
/// Longest silence of a heartbeat: 31 days.
const SILENCE: u32 = 31 * 24 * 3600;
/// Sources or connections of one maintenance window.
const MEMBERS: usize = 500;

/// The connector of each connection of a workspace, by the connection's name.
pub type Kinds = BTreeMap<String, String>;

/// A source as somebody wrote it.
#[derive(Clone, Copy, Debug)]
pub struct SourceInput<'a> {
    /// Name for people.
    pub name: &'a str,
    /// Name in the address.
    pub slug: &'a str,
    /// How requests are authenticated.
    pub auth: &'a Scheme,
    /// Networks that may send.
    pub allow_cidrs: &'a [String],
    /// Requests a minute.
    pub rate_per_minute: Option<u32>,
    /// Bytes of a body.
    pub body_limit: Option<u32>,
    /// Days that its events are kept.
    pub retention_days: Option<u32>,
    /// What becomes of an event that no rule takes.
    pub on_no_match: &'a NoMatch,
    /// JSONPath of the sender's delivery id.
    pub event_id_path: Option<&'a str>,
    /// How one request becomes many events.
    pub split: Option<&'a SplitSpec>,
    /// Silence that raises an alert.
    pub heartbeat: Option<Heartbeat>,
}

/// A connection as somebody wrote it.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInput<'a> {
    /// Name that rules use.
    pub name: &'a str,
    /// Kind of upstream.
    pub connector: &'a str,
    /// Settings.
    pub settings: &'a Value,
    /// Names of all secrets that it will have.
    pub secrets: &'a [&'a str],
    /// Calls at once.
    pub concurrency: Option<u32>,
    /// Calls a minute.
    pub rate_per_minute: Option<u32>,
    /// Retry policy.
    pub retry: &'a RetrySettings,
}

/// Checks a source. Fields are named as in the API.
pub fn validate_source(
    registry: &Registry,
    kinds: &Kinds,
    source: SourceInput<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&mut errors, "name", source.name, 100);
    check_slug(&mut errors, "slug", source.slug, 60);
    if let Err(fault) = source.auth.validate() {
        errors.push(field_error("auth", fault));
    }
    check_networks(&mut errors, "allow_cidrs", source.allow_cidrs);
    check_limit(&mut errors, "rate_per_minute", source.rate_per_minute);
    check_limit(&mut errors, "body_limit", source.body_limit);
    check_days(
        &mut errors,
        "retention_days",
        source.retention_days.unwrap_or(0),
    );
    if let Some(path) = source.event_id_path
        && let Err(fault) = JsonPath::parse(path)
    {
        errors.push(field_error("event_id_path", fault));
    }
    if let Some(Err(faults)) = source.split.map(Split::compile) {
        errors.extend(faults.into_iter().map(|fault| field_error("split", fault)));
    }
    if source
        .heartbeat
        .is_some_and(|h| !(1..=SILENCE).contains(&h.after))
    {
        errors.push(error(
            "heartbeat.after",
            "out_of_range",
            format!("1 to {SILENCE} seconds are expected"),
        ));
    }
    if let Err(faults) = CompiledNoMatch::compile(source.on_no_match) {
        errors.extend(
            faults
                .into_iter()
                .map(|fault| field_error("on_no_match", fault)),
        );
    }
    if let NoMatch::Deliver(operation) = source.on_no_match {
        errors.extend(within(
            "on_no_match.deliver",
            check_operation(registry, kinds, operation),
        ));
    }
    errors
}

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

/// Checks the secret of a source. The field is `secret`.
pub fn validate_source_secret(auth: &Scheme, secret: &str) -> Vec<FieldError> {
    let fault = |code, message: String| vec![error("secret", code, message)];
    if auth.secret_key().is_none() {
        return fault("not_used", "An open source takes no secret.".to_owned());
    }
    if !(1..=SECRET).contains(&secret.len()) {
        return fault("length", format!("1 to {SECRET} bytes are expected."));
    }
    let coded = auth
        .hmac()
        .is_some_and(|scheme| scheme.secret_encoding == SecretEncoding::Base64);
    if coded && parse_standard_secret(secret.as_bytes()).is_none() {
        let message = "The secret of this scheme is Base64, perhaps after whsec_.";
        return fault("base64", message.to_owned());
    }
    Vec::new()
}

/// Checks a connection. Fields are named as in the API.
pub fn validate_connection(
    registry: &Registry,
    connection: ConnectionInput<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&mut errors, "name", connection.name, 60);
    match registry.get(connection.connector) {
        Some(connector) => {
            errors.extend(connector.validate(connection.settings, connection.secrets));
        }
        None => errors.push(error(
            "connector",
            "unknown_connector",
            "this server has no connector of that name",
        )),
    }
    check_limit(&mut errors, "concurrency", connection.concurrency);
    check_limit(&mut errors, "rate_per_minute", connection.rate_per_minute);
    let retry = connection.retry;
    for (field, value, least) in [
        ("retry.first_seconds", retry.first_seconds, 0.01),
        ("retry.factor", retry.factor, 1.0),
        ("retry.max_seconds", retry.max_seconds, 0.01),
        ("retry.horizon_seconds", retry.horizon_seconds, 0.0),
        (
            "retry.retry_after_max_seconds",
            retry.retry_after_max_seconds,
            0.0,
        ),
    ] {
        check_range(&mut errors, field, value, least, YEAR);
    }
    check_range(&mut errors, "retry.jitter", retry.jitter, 0.0, 1.0);
    check_retries(&mut errors, retry);
    errors
}

/// Checks the lists of a retry policy.
fn check_retries(errors: &mut Vec<FieldError>, retry: &RetrySettings) {
    if retry.waits_seconds.len() > WAITS {
        errors.push(error(
            "retry.waits_seconds",
            "too_many",
            format!("at most {WAITS} waits"),
        ));
    }
    for (at, wait) in retry.waits_seconds.iter().enumerate() {
        let field = format!("retry.waits_seconds[{at}]");
        check_range(errors, &field, Some(*wait), 0.01, YEAR);
    }
    let grows = [retry.first_seconds, retry.factor, retry.max_seconds];
    if !retry.waits_seconds.is_empty() && grows.iter().any(Option::is_some) {
        errors.push(error(
            "retry.waits_seconds",
            "contradiction",
            "listed waits take the place of first_seconds, factor and max_seconds",
        ));
    }
    for (name, words) in [("permanent", &retry.permanent), ("retried", &retry.retried)] {
        if let Err(at) = Statuses::parse(words) {
            errors.push(error(
                &format!("retry.{name}[{at}]"),
                "bad_status",
                "a status is a number from 100 to 599, a class as 4xx, or a range as 500-504",
            ));
        }
    }
}

fn check_range(
    errors: &mut Vec<FieldError>,
    field: &str,
    value: Option<f64>,
    least: f64,
    most: f64,
) {
    if value.is_some_and(|v| !(v.is_finite() && v >= least && v <= most)) {
        errors.push(error(
            field,
            "out_of_range",
            format!("must be between {least} and {most}"),
        ));
    }
}

/// Checks the name of a rule.
pub fn validate_rule_name(name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&mut errors, "name", name, 200);
    errors
}

/// Checks conditions and steps. Fields are named relative to the spec: `then[0].deliver.key`.
pub fn validate_rule(registry: &Registry, kinds: &Kinds, spec: &RuleSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Err(faults) = engine::rules::validate(spec) {
        errors.extend(faults.into_iter().map(|fault| field_error("", fault)));
    }
    if let Then::Steps(steps) = &spec.then {
        for (i, step) in steps.iter().enumerate() {
            let (word, operation) = match step {
                StepSpec::Drop => continue,
                StepSpec::Deliver(operation) => ("deliver", operation),
                StepSpec::Hold(operation) => ("hold", operation),
            };
            errors.extend(within(
                &format!("then[{i}].{word}"),
                check_operation(registry, kinds, operation),
            ));
        }
    }
    errors
}

/// Checks how long a workspace keeps what it has. Fields are named below `days`.
pub fn validate_retention(days: &RetentionSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (field, value) in [
        ("events", days.events),
        ("deliveries", days.deliveries),
        ("attempts", days.attempts),
        ("dead_letters", days.dead_letters),
        ("refusals", days.refusals),
        ("audit", days.audit),
        ("jobs", days.jobs),
        ("stats", days.stats),
    ] {
        check_days(&mut errors, field, value);
    }
    let outlives = |one: u32, other: u32| other != 0 && (one == 0 || one > other);
    if outlives(days.deliveries, days.events) {
        errors.push(error(
            "deliveries",
            "outlives",
            "a delivery goes with its event: no more days than `events`",
        ));
    }
    if outlives(days.attempts, days.deliveries) {
        errors.push(error(
            "attempts",
            "outlives",
            "an attempt goes with its delivery: no more days than `deliveries`",
        ));
    }
    errors
}

/// Checks a number of days; 0 is for good.
fn check_days(errors: &mut Vec<FieldError>, field: &str, days: u32) {
    if days > MOST_DAYS {
        errors.push(error(
            field,
            "out_of_range",
            format!("0 to {MOST_DAYS} days; 0 is for good"),
        ));
    }
}

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

fn check_operation(
    registry: &Registry,
    kinds: &Kinds,
    operation: &OperationSpec,
) -> Vec<FieldError> {
    let Some(kind) = kinds.get(&operation.connection) else {
        return vec![error(
            "connection",
            "unknown_connection",
            "the workspace has no connection of that name",
        )];
    };
    match registry.get(kind) {
        Some(connector) => connector.validate_operation(operation),
        None => vec![error(
            "connection",
            "unknown_connector",
            "this server has no connector for that connection",
        )],
    }
}

fn check_limit(errors: &mut Vec<FieldError>, field: &str, value: Option<u32>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source<'a>(
        slug: &'a str,
        auth: &'a Scheme,
        cidrs: &'a [String],
        no_match: &'a NoMatch,
    ) -> SourceInput<'a> {
        SourceInput {
            name: "Kuma",
            slug,
            auth,
            allow_cidrs: cidrs,
            rate_per_minute: None,
            body_limit: Some(0),
            retention_days: Some(90),
            on_no_match: no_match,
            event_id_path: Some("$..["),
            split: None,
            heartbeat: None,
        }
    }

    fn fields(errors: &[FieldError]) -> Vec<&str> {
        errors.iter().map(|e| e.field.as_str()).collect()
    }

    #[test]
    fn every_fault_of_a_source_is_named() {
        let registry = Registry::new(Vec::new());
        let cidrs = ["10.0.0.0/8".to_owned(), "ten".to_owned()];
        let auth = Scheme::Basic {
            username: "a:b".to_owned(),
        };
        let errors = validate_source(
            &registry,
            &Kinds::new(),
            source("-Kuma", &auth, &cidrs, &NoMatch::Keep),
        );
        assert_eq!(
            fields(&errors),
            [
                "slug",
                "auth.username",
                "allow_cidrs[1]",
                "body_limit",
                "event_id_path"
            ]
        );
    }

    #[test]
    fn a_rule_must_name_a_connection_that_is_there() {
        let registry = Registry::new(Vec::new());
        let spec: RuleSpec = serde_json::from_value(serde_json::json!({
            "when": {"path": "$.a", "op": "regex", "value": "("},
            "then": ["drop", {"hold": {"connection": "psa", "operation": "x"}}],
        }))
        .unwrap();
        let errors = validate_rule(&registry, &Kinds::new(), &spec);
        assert!(fields(&errors).contains(&"when[0].value"), "{errors:?}");
        assert!(
            fields(&errors).contains(&"then[1].hold.connection"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_connection_needs_a_connector_and_sane_numbers() {
        let retry = RetrySettings {
            factor: Some(0.5),
            horizon_seconds: Some(f64::NAN),
            waits_seconds: vec![5.0, -1.0],
            jitter: Some(2.0),
            permanent: vec!["404".to_owned(), "many".to_owned()],
            ..RetrySettings::default()
        };
        let errors = validate_connection(
            &Registry::new(Vec::new()),
            ConnectionInput {
                name: " psa",
                connector: "telex",
                settings: &Value::Null,
                secrets: &[],
                concurrency: Some(0),
                rate_per_minute: Some(u32::MAX),
                retry: &retry,
            },
        );
        assert_eq!(
            fields(&errors),
            [
                "name",
                "connector",
                "concurrency",
                "rate_per_minute",
                "retry.factor",
                "retry.horizon_seconds",
                "retry.jitter",
                "retry.waits_seconds[1]",
                "retry.waits_seconds",
                "retry.permanent[1]"
            ]
        );
    }
}
