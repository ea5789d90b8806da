//! The settings of an HTTP connection.

use std::sync::OnceLock;
use std::time::Duration;

use engine::status::Statuses;
use engine::template::Template;
use indexmap::IndexMap;
use openapi::connections::Field;
use openapi::problem::FieldError;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::connectors::common::{Describe as _, field, wrong};

/// How a template begins.
pub(super) const TEMPLATE: &str = "{{";
/// Longest call that may be set.
const LONGEST: f64 = 300.0;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) url: String,
    #[serde(default = "post")]
    pub(super) method: String,
    #[serde(default)]
    pub(super) headers: IndexMap<String, String>,
    #[serde(default)]
    pub(super) query: IndexMap<String, String>,
    #[serde(default)]
    pub(super) body: Option<Value>,
    #[serde(default)]
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) auth: Auth,
    #[serde(default)]
    pub(super) username: String,
    #[serde(default = "api_key_header")]
    pub(super) header_name: String,
    #[serde(default)]
    pub(super) any_origin: bool,
    #[serde(default = "success")]
    pub(super) success: Statuses,
    #[serde(default = "retry")]
    pub(super) retry: Statuses,
    #[serde(default = "thirty")]
    timeout_seconds: f64,
    #[serde(default = "head")]
    pub(super) test_method: String,
    /// The address where it is the same for all requests, read once; none: it cannot be read.
    #[serde(skip)]
    fixed: OnceLock<Option<Url>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Auth {
    #[default]
    None,
    Bearer,
    Basic,
    Header,
}

impl Auth {
    /// The secret that it needs.
    pub(super) const fn secret(self) -> Option<&'static str> {
        match self {
            Auth::None => None,
            Auth::Bearer => Some("token"),
            Auth::Basic => Some("password"),
            Auth::Header => Some("header_value"),
        }
    }
}

impl Settings {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds.clamp(0.1, LONGEST))
    }

    /// The address, if it has no template and can be read.
    pub(super) fn fixed(&self) -> Option<&Url> {
        let read = || {
            let fixed = !self.url.contains(TEMPLATE);
            fixed.then(|| Url::parse(&self.url).ok()).flatten()
        };
        self.fixed.get_or_init(read).as_ref()
    }

    /// The address up to its first template part: what the connection's origin is read from.
    pub(super) fn base(&self) -> Result<Url, url::ParseError> {
        let fixed = self.url.split(TEMPLATE).next().unwrap_or_default();
        Url::parse(fixed)
    }

    /// What the types cannot say.
    pub(super) fn faults(&self, secrets: &[&str]) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut add = |at: &str, code: &str, message: &str| {
            faults.push(wrong(format!("settings.{at}"), code, message));
        };
        match self.base() {
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                add(
                    "url",
                    "invalid_url",
                    "only http and https addresses are called",
                );
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                add(
                    "url",
                    "invalid_url",
                    "a user name belongs in `auth`, not in the address",
                );
            }
            Ok(_) if self.templated_host() => {
                add("url", "invalid_url", "host and port must not be templated");
            }
            Ok(_) => {}
            Err(_) => add("url", "invalid_url", "this is not a complete address"),
        }
        for (at, method) in [("method", &self.method), ("test_method", &self.test_method)] {
            if !known_method(method) {
                add(at, "invalid_value", "this is not an HTTP method");
            }
        }
        if !(0.1..=LONGEST).contains(&self.timeout_seconds) {
            add(
                "timeout_seconds",
                "invalid_value",
                "from 0.1 to 300 seconds",
            );
        }
        for (name, _) in &self.headers {
            let at = format!("headers.{name}");
            if name.eq_ignore_ascii_case("authorization") {
                add(
                    &at,
                    "invalid_value",
                    "credentials belong in `auth` and its secret",
                );
            } else if let Err(message) = super::request::header_name(name) {
                add(&at, "invalid_value", &message);
            }
        }
        if self.auth == Auth::Header
            && let Err(message) = super::request::header_name(&self.header_name)
        {
            add("header_name", "invalid_value", &message);
        }
        if self.auth == Auth::Basic && self.username.is_empty() {
            add(
                "username",
                "missing_field",
                "basic authentication needs a user name",
            );
        }
        if let Some(needed) = self.auth.secret()
            && !secrets.contains(&needed)
        {
            faults.push(wrong(
                format!("secrets.{needed}"),
                "missing_field",
                "this kind of authentication needs the secret",
            ));
        }
        faults.extend(self.template_faults());
        faults
    }

    fn templated_host(&self) -> bool {
        let Some((fixed, _)) = self.url.split_once("{{") else {
            return false;
        };
        fixed
            .split_once("://")
            .is_none_or(|(_, rest)| !rest.contains('/'))
    }

    fn template_faults(&self) -> Vec<FieldError> {
        let mut texts = vec![("url".to_owned(), self.url.as_str())];
        for (at, map) in [("headers", &self.headers), ("query", &self.query)] {
            texts.extend(
                map.iter()
                    .map(|(name, text)| (format!("{at}.{name}"), text.as_str())),
            );
        }
        if let Some(body) = &self.body {
            collect_texts("body", body, &mut texts);
        }
        texts
            .into_iter()
            .filter_map(|(at, text)| {
                let fault = Template::parse(text).err()?;
                Some(FieldError {
                    field: format!("settings.{at}"),
                    code: fault.code.as_str().to_owned(),
                    message: fault.message,
                    offset: fault.offset,
                })
            })
            .collect()
    }
}

fn collect_texts<'a>(at: &str, value: &'a Value, texts: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => texts.push((at.to_owned(), text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_texts(&format!("{at}[{index}]"), item, texts);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                collect_texts(&format!("{at}.{name}"), member, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Upper-case letters, and not the two that are no requests of their own.
pub(super) fn known_method(text: &str) -> bool {
    Method::from_bytes(text.as_bytes()).is_ok_and(|method| {
        !matches!(method, Method::CONNECT | Method::TRACE)
            && method.as_str().chars().all(|c| c.is_ascii_uppercase())
    })
}

pub(super) fn fields() -> Vec<Field> {
    let text = |name, title, help| field(name, title, "string", help);
    vec![
        field(
            "url",
            "Address",
            "url",
            "Where requests go. May hold templates over `params.…`, `key`, `action` and `repeats` behind the host, as https://host/items/{{ params.id }}.",
        )
        .required(),
        text("method", "Method", "Used unless the rule maps one.").default("POST"),
        field("headers", "Headers", "map", "Sent with every request; the rule's headers are added. Values may be templates."),
        field("query", "Query", "map", "Added to the address. Values may be templates."),
        field("body", "Body", "any", "Sent unless the rule maps one. Texts in it may be templates."),
        text(
            "content_type",
            "Content type",
            "Absent: application/json, or text/plain for a text. With application/x-www-form-urlencoded an object is sent as a form.",
        ),
        text("auth", "Authentication", "How requests authenticate; credentials only ever go to the origin of the address above.")
            .choices(&["none", "bearer", "basic", "header"])
            .default("none"),
        text("username", "User name", "For basic authentication."),
        text("header_name", "Header", "For authentication by header.").default("X-Api-Key"),
        field("any_origin", "Other origins", "boolean", "Whether a rule may map an address of another host.").default(false),
        field("success", "Success", "list", "Statuses that mean: done. Numbers, classes as 2xx, ranges as 200-204.").default(json!(["2xx"])),
        field("retry", "Retry", "list", "Statuses that mean: later again. All others are final.").default(json!([408, 425, 429, "5xx"])),
        field("timeout_seconds", "Timeout", "number", "Longest call in seconds, 0.1 to 300.").default(30),
        text("test_method", "Method of the test", "Used when the connection is tested.").default("HEAD"),
    ]
}

pub(super) fn secrets() -> Vec<Field> {
    vec![
        field("token", "Token", "string", "For bearer authentication."),
        field(
            "password",
            "Password",
            "string",
            "For basic authentication.",
        ),
        field(
            "header_value",
            "Header value",
            "string",
            "For authentication by header.",
        ),
        field(
            "signing_secret",
            "Signing secret",
            "string",
            "whsec_… of Standard Webhooks; requests are signed with it. Several, newest first, are separated by spaces.",
        ),
    ]
}

fn post() -> String {
    "POST".to_owned()
}

fn head() -> String {
    "HEAD".to_owned()
}

fn api_key_header() -> String {
    "X-Api-Key".to_owned()
}

fn success() -> Statuses {
    Statuses::of(vec![(200, 299)])
}

fn retry() -> Statuses {
    Statuses::of(vec![(408, 408), (425, 425), (429, 429), (500, 599)])
}

const fn thirty() -> f64 {
    30.0
}
