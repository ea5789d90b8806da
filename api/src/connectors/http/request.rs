//! From settings and mapped fields to one request.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use engine::fuel::Fuel;
use engine::limits;
use engine::secret::Secret as SigningKey;
use engine::signature::sign_standard_webhook;
use engine::template::{Context, Template};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use super::settings::{Auth, Settings, TEMPLATE, known_method};
use crate::connectors::{Connection, Fault, Job};
use crate::lifecycle::{HOPS, HOPS_FIELD, Hops};

/// Headers that the transport or the message itself decides.
const RESERVED: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-authorization",
    "proxy-connection",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-correlation-id",
    HOPS,
];

const FORM: &str = "application/x-www-form-urlencoded";

const IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A request, complete.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether it goes to the connection's own origin.
    pub(super) own_origin: bool,
}

/// A request that cannot be made: a fault of the rule, or of the connection.
#[derive(Debug)]
pub(super) enum Unprepared {
    Rule(Fault),
    Connection(Fault),
}

/// Builds the request. `now` goes into the signature.
pub(super) fn prepare(
    connection: &Connection,
    settings: &Settings,
    job: &Job,
    now: DateTime<Utc>,
) -> Result<Prepared, Unprepared> {
    let rule = |code: &str, message: &str| Unprepared::Rule(Fault::new(code, message, None));
    let fields = Fields::of(&job.fields);
    let values = Values::of(job, &fields, now);

    let method = fields
        .text("method")
        .unwrap_or_else(|| settings.method.clone());
    let method = method.trim().to_ascii_uppercase();
    if !known_method(&method) {
        return Err(rule(
            "invalid_method",
            "the mapped method is not an HTTP method",
        ));
    }
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| rule("invalid_method", "the mapped method is not an HTTP method"))?;

    let (url, own_origin) = address(settings, &fields, &values)?;
    let (body, content_type) = body(settings, &fields, &values)?;
    let mut headers = HeaderMap::new();
    for (name, text) in &settings.headers {
        insert(&mut headers, name, &values.render(text)?)?;
    }
    for (name, value) in fields.members("headers") {
        if let Some(text) = scalar(value) {
            insert(&mut headers, name, &text)?;
        }
    }
    if let Some(content_type) = content_type {
        let value = HeaderValue::from_str(&content_type)
            .map_err(|_| rule("invalid_header", "the content type is not a valid header"))?;
        headers.entry(CONTENT_TYPE).or_insert(value);
    }
    if own_origin {
        authenticate(&mut headers, connection, settings)?;
    }
    identify(&mut headers, connection, job, &body, now)?;
    Ok(Prepared {
        method,
        url,
        headers,
        body,
        own_origin,
    })
}

/// The name of a header that may be set.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "this is not a header name".to_owned())?;
    if RESERVED.contains(&name.as_str()) {
        return Err("this header is set by the server itself".to_owned());
    }
    Ok(name)
}

fn insert(headers: &mut HeaderMap, name: &str, text: &str) -> Result<(), Unprepared> {
    let fault = |message: String| Unprepared::Rule(Fault::new("invalid_header", message, None));
    let name = header_name(name).map_err(|why| fault(format!("header {name}: {why}")))?;
    let value = HeaderValue::from_str(text.trim()).map_err(|_| {
        fault(format!(
            "the value of header {name} has a character that is not allowed"
        ))
    })?;
    headers.insert(name, value);
    Ok(())
}

fn address(
    settings: &Settings,
    fields: &Fields<'_>,
    values: &Values<'_>,
) -> Result<(Url, bool), Unprepared> {
    let invalid = || {
        Unprepared::Rule(Fault::new(
            "invalid_url",
            "the address cannot be read",
            None,
        ))
    };
    let fixed = settings.fixed();
    let own = match fixed {
        Some(url) => url.clone(),
        None => Url::parse(&values.render_url(&settings.url)?).map_err(|_| invalid())?,
    };
    let mut url = match fields.text("url") {
        Some(text) => own.join(text.trim()).map_err(|_| invalid())?,
        None => own,
    };
    let own_origin = if fields.value("url").is_none() && fixed.is_some() {
        true
    } else {
        // Compared with the settings before any template was filled in.
        let base = settings.base().map_err(|_| invalid())?;
        url.origin() == base.origin()
    };
    if !own_origin && !settings.any_origin {
        return Err(Unprepared::Rule(Fault::new(
            "foreign_origin",
            "the rule's address leaves the origin of the connection, which does not allow others",
            None,
        )));
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, text) in &settings.query {
        pairs.push((name.clone(), values.render(text)?));
    }
    for (name, value) in fields.members("query") {
        let texts = match value {
            Value::Array(items) => items.iter().filter_map(scalar).collect(),
            other => scalar(other).into_iter().collect::<Vec<_>>(),
        };
        pairs.retain(|(known, _)| known != name);
        pairs.extend(texts.into_iter().map(|text| (name.to_owned(), text)));
    }
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.set_fragment(None);
    Ok((url, own_origin))
}

fn body(
    settings: &Settings,
    fields: &Fields<'_>,
    values: &Values<'_>,
) -> Result<(Bytes, Option<String>), Unprepared> {
    let content_type = fields
        .text("content_type")
        .or_else(|| settings.content_type.clone());
    let mut value = match (fields.value("body"), &settings.body) {
        (Some(mapped), _) => Some(Cow::Borrowed(mapped)),
        (None, Some(set)) => Some(Cow::Owned(values.render_json(set)?)),
        (None, None) => None,
    };
    let dotted = fields.dotted("body");
    if !dotted.is_empty() {
        let target = value.get_or_insert_with(|| Cow::Owned(json!({}))).to_mut();
        let Some(members) = target.as_object_mut() else {
            return Err(Unprepared::Rule(Fault::new(
                "invalid_body",
                "single members are mapped into a body that is no object",
                None,
            )));
        };
        for (name, member) in dotted {
            members.insert((*name).to_owned(), (*member).clone());
        }
    }
    let Some(value) = value else {
        return Ok((Bytes::new(), content_type));
    };
    if let Value::String(text) = &*value {
        let kind = content_type.unwrap_or_else(|| "text/plain; charset=utf-8".to_owned());
        return Ok((Bytes::from(text.clone()), Some(kind)));
    }
    let kind = content_type.unwrap_or_else(|| "application/json".to_owned());
    if kind.starts_with(FORM)
        && let Value::Object(members) = &*value
    {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, member) in members {
            if let Some(text) = scalar(member) {
                form.append_pair(name, &text);
            }
        }
        return Ok((Bytes::from(form.finish()), Some(kind)));
    }
    Ok((Bytes::from(value.to_string()), Some(kind)))
}

fn authenticate(
    headers: &mut HeaderMap,
    connection: &Connection,
    settings: &Settings,
) -> Result<(), Unprepared> {
    let Some(needed) = settings.auth.secret() else {
        return Ok(());
    };
    let broken = |message: String| Unprepared::Connection(Fault::new("credentials", message, None));
    let secret = connection
        .secrets
        .get(needed)
        .ok_or_else(|| broken(format!("the secret `{needed}` is not stored")))?
        .reveal();
    let (name, text) = match settings.auth {
        Auth::Header => (
            header_name(&settings.header_name).map_err(broken)?,
            secret.to_owned(),
        ),
        Auth::Basic => (
            AUTHORIZATION,
            format!(
                "Basic {}",
                STANDARD.encode(format!("{}:{secret}", settings.username))
            ),
        ),
        Auth::Bearer | Auth::None => (AUTHORIZATION, format!("Bearer {secret}")),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| broken(format!("the secret `{needed}` does not fit into a header")))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// Who sends and which message it is: the same id over all repeats.
fn identify(
    headers: &mut HeaderMap,
    connection: &Connection,
    job: &Job,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), Unprepared> {
    let keys: Vec<SigningKey> = connection
        .secrets
        .get("signing_secret")
        .map(|secret| {
            secret
                .reveal()
                .split_whitespace()
                .map(SigningKey::from)
                .collect()
        })
        .unwrap_or_default();
    let signed = sign_standard_webhook(&keys, &job.message_id, now.timestamp(), body);
    if !keys.is_empty() && signed.signature.is_empty() {
        return Err(Unprepared::Connection(Fault::new(
            "signing_secret",
            "the signing secret is not base64, with or without `whsec_`",
            None,
        )));
    }
    let mut set = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-correlation-id", &job.correlation_id);
    set("webhook-id", &signed.id);
    set("webhook-timestamp", &signed.timestamp);
    if !keys.is_empty() {
        set("webhook-signature", &signed.signature);
    }
    headers.insert(HeaderName::from_static(HOPS), hops(&job.fields));
    Ok(())
}

/// How far the event has come, this request included: that of most events is the first.
fn hops(fields: &Map<String, Value>) -> HeaderValue {
    let first = HeaderValue::from_static("1");
    if !fields.contains_key(HOPS_FIELD) {
        return first;
    }
    HeaderValue::from_str(&Hops::of_fields(fields).and_on().to_string()).unwrap_or(first)
}

/// Scalars as text, the rest as JSON; nothing for null.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The mapped fields, dotted names sorted to their heads.
struct Fields<'a> {
    plain: &'a Map<String, Value>,
    dotted: BTreeMap<&'a str, Vec<(&'a str, &'a Value)>>,
}

impl<'a> Fields<'a> {
    fn of(plain: &'a Map<String, Value>) -> Self {
        let mut dotted: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (name, value) in plain {
            if let Some((head, tail)) = name.split_once('.') {
                dotted.entry(head).or_default().push((tail, value));
            }
        }
        Self { plain, dotted }
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.plain.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name)
            .and_then(scalar)
            .filter(|text| !text.trim().is_empty())
    }

    fn dotted(&self, head: &str) -> &[(&'a str, &'a Value)] {
        self.dotted.get(head).map(Vec::as_slice).unwrap_or_default()
    }

    /// The members of a mapped object, then the dotted ones.
    fn members(&self, head: &str) -> Vec<(&'a str, &'a Value)> {
        let object = self.value(head).and_then(Value::as_object);
        object
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .chain(self.dotted(head).iter().copied())
            .collect()
    }
}

/// What templates of the settings see.
struct Values<'a> {
    job: &'a Job,
    fields: &'a Fields<'a>,
    now: DateTime<Utc>,
    /// Made for the first template: most settings have none.
    plain: OnceCell<Value>,
}

impl<'a> Values<'a> {
    const fn of(job: &'a Job, fields: &'a Fields<'a>, now: DateTime<Utc>) -> Self {
        Self {
            job,
            fields,
            now,
            plain: OnceCell::new(),
        }
    }

    fn plain(&self) -> &Value {
        self.plain.get_or_init(|| {
            let params: Map<String, Value> = self
                .fields
                .members("params")
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .collect();
            json!({
                "params": params,
                "key": self.job.key,
                "action": self.job.action,
                "repeats": self.job.repeats,
                "message_id": self.job.message_id,
            })
        })
    }

    fn render(&self, text: &str) -> Result<String, Unprepared> {
        if !text.contains(TEMPLATE) {
            return Ok(text.to_owned());
        }
        self.fill(text, self.plain())
    }

    /// Every value is one piece of the address: it can neither end a segment nor begin a query.
    fn render_url(&self, text: &str) -> Result<String, Unprepared> {
        if !text.contains(TEMPLATE) {
            return Ok(text.to_owned());
        }
        self.fill(text, &encoded(self.plain()))
    }

    fn render_json(&self, value: &Value) -> Result<Value, Unprepared> {
        Ok(match value {
            Value::String(text) => Value::String(self.render(text)?),
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.render_json(item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), self.render_json(member)?)))
                    .collect::<Result<_, Unprepared>>()?,
            ),
            plain => plain.clone(),
        })
    }

    fn fill(&self, text: &str, payload: &Value) -> Result<String, Unprepared> {
        let context = Context {
            payload,
            event_id: "",
            correlation_id: &self.job.correlation_id,
            received_at: self.job.received_at,
            source: "",
            rule: "",
            now: self.now,
        };
        Template::parse(text)
            .and_then(|template| template.render(&context, &mut Fuel::new(limits::FUEL)))
            .map_err(|fault| Unprepared::Rule(Fault::new("template", fault.message, None)))
    }
}

fn encoded(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let safe = utf8_percent_encode(text, IN_URL).to_string();
            // A segment of dots would climb, also in its encoded form; encoded twice it cannot.
            if matches!(text.as_str(), "." | "..") {
                return Value::String(safe.replace('.', "%252E"));
            }
            Value::String(safe)
        }
        Value::Array(items) => Value::Array(items.iter().map(encoded).collect()),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), encoded(member)))
            .collect(),
        plain => plain.clone(),
    }
}
