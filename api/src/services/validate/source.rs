//! Sources.

use engine::model::NoMatch;
use engine::path::JsonPath;
use engine::rules::CompiledNoMatch;
use engine::signature::{Scheme, SecretEncoding, parse_standard_secret};
use engine::split::{Split, SplitSpec};
use openapi::problem::FieldError;
use openapi::sources::Heartbeat;

use super::parts::{
    Kinds, check_limit, check_name, check_networks, check_slug, error, field_error, within,
};
use super::retention::check_days;
use super::rule::check_operation;
use crate::connectors::Registry;

/// Longest secret of a source, in bytes.
const SECRET: usize = 1024;
/// Longest silence of a heartbeat: 31 days.
const SILENCE: u32 = 31 * 24 * 3600;

/// Most days between two rotations.
const ROTATION: u32 = 3650;

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
    /// Days until somebody is reminded to replace its secret.
    pub rotate_days: Option<u32>,
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
    if let Some(days) = source.rotate_days {
        if !(1..=ROTATION).contains(&days) {
            errors.push(error(
                "rotate_days",
                "out_of_range",
                format!("1 to {ROTATION} days are expected"),
            ));
        } else if source.auth.secret_key().is_none() {
            let message = "An open source has no secret to replace.";
            errors.push(error("rotate_days", "not_used", message.to_owned()));
        }
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
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    if auth.has_address_token() && (secret.len() < 16 || !secret.bytes().all(plain)) {
        let message = "A token in the address is at least 16 of A-Z a-z 0-9 - _ . ~";
        return fault("not_an_address", message.to_owned());
    }
    Vec::new()
}
