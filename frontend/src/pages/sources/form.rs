//! The form of a source, for a new one and for a change.

use engine::model::{MatchMode, NoMatch};
use engine::signature::{Algorithm, Encoding, HmacScheme, PresetOptions, Scheme, TimestampScheme};
use engine::split::{SplitPreset, SplitSpec};
use leptos::prelude::*;
use openapi::problem::FieldError;
use openapi::sources::{ChangeSource, Heartbeat, NewSource, Source};

use crate::api::{from_person, to_pretty};
use crate::ui::{AreaField, Faults, SelectField, TextField};

const DEFAULT_TOLERANCE: u32 = 300;

/// What stands in the field of the default target at first.
const TARGET: &str = r#"{
  "connection": "",
  "operation": "http.request",
  "map": { "body": { "path": "$" } }
}"#;

/// Every way to authenticate, in the order of the form.
pub const SCHEMES: [(&str, &str); 10] = [
    ("bearer", "Bearer token"),
    ("basic", "User name and password"),
    ("hmac", "HMAC signature"),
    ("github", "GitHub"),
    ("jira", "Jira"),
    ("grafana", "Grafana"),
    ("slack", "Slack"),
    ("stripe", "Stripe"),
    ("standard_webhooks", "Standard Webhooks"),
    ("none", "None: everybody may send"),
];

/// What the form holds.
#[derive(Clone, Copy)]
pub struct SourceForm {
    pub name: RwSignal<String>,
    pub slug: RwSignal<String>,
    pub scheme: RwSignal<String>,
    pub secret: RwSignal<String>,
    username: RwSignal<String>,
    header: RwSignal<String>,
    prefix: RwSignal<String>,
    algorithm: RwSignal<String>,
    encoding: RwSignal<String>,
    timestamp: RwSignal<String>,
    tolerance: RwSignal<String>,
    cidrs: RwSignal<String>,
    rate: RwSignal<String>,
    limit: RwSignal<String>,
    days: RwSignal<String>,
    mode: RwSignal<String>,
    no_match: RwSignal<String>,
    event_id: RwSignal<String>,
    split: RwSignal<String>,
    split_path: RwSignal<String>,
    split_key: RwSignal<String>,
    split_limit: RwSignal<String>,
    heartbeat: RwSignal<String>,
    /// The saved scheme: what the form does not show of it is kept.
    saved: StoredValue<Option<Scheme>>,
    /// The default target as JSON, for events that no rule takes.
    target: RwSignal<String>,
    pub faults: Faults,
}

fn text(value: &str) -> RwSignal<String> {
    RwSignal::new(value.to_owned())
}

impl SourceForm {
    /// An empty one.
    pub fn empty() -> Self {
        Self {
            name: text(""),
            slug: text(""),
            scheme: text("bearer"),
            secret: text(""),
            username: text(""),
            header: text("X-Signature"),
            prefix: text(""),
            algorithm: text("sha256"),
            encoding: text("hex"),
            timestamp: text(""),
            tolerance: text(""),
            cidrs: text(""),
            rate: text(""),
            limit: text(""),
            days: text(""),
            mode: text("first"),
            no_match: text("keep"),
            event_id: text(""),
            split: text(""),
            split_path: text("$.alerts[*]"),
            split_key: text(""),
            split_limit: text(""),
            heartbeat: text(""),
            saved: StoredValue::new(None),
            target: text(TARGET),
            faults: RwSignal::new(Vec::new()),
        }
    }

    /// One filled from a saved source.
    pub fn of(source: &Source) -> Self {
        let form = Self::empty();
        let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
        form.name.set(source.name.clone());
        form.slug.set(source.slug.clone());
        form.scheme.set(source.auth.name().to_owned());
        form.cidrs.set(source.allow_cidrs.join("\n"));
        form.rate.set(number(source.rate_per_minute));
        form.limit.set(number(source.body_limit));
        form.days.set(number(source.retention_days));
        form.event_id
            .set(source.event_id_path.clone().unwrap_or_default());
        form.heartbeat
            .set(number(source.heartbeat.map(|h| h.after)));
        if let Some(split) = &source.split {
            form.split.set(
                match split.preset {
                    Some(SplitPreset::Alertmanager) => "alertmanager",
                    Some(SplitPreset::Grafana) => "grafana",
                    None => "path",
                }
                .to_owned(),
            );
            if let Some(path) = &split.path {
                form.split_path.set(path.clone());
            }
            form.split_key.set(split.key.join("\n"));
            form.split_limit.set(number(split.limit));
        }
        form.mode.set(match source.match_mode {
            MatchMode::First => "first".to_owned(),
            MatchMode::All => "all".to_owned(),
        });
        form.no_match.set(match &source.on_no_match {
            NoMatch::Keep => "keep".to_owned(),
            NoMatch::Drop => "drop".to_owned(),
            NoMatch::Deliver(_) => "deliver".to_owned(),
        });
        if let NoMatch::Deliver(target) = &source.on_no_match {
            form.target.set(to_pretty(target));
        }
        form.saved.set_value(Some(source.auth.clone()));
        match &source.auth {
            Scheme::None | Scheme::Bearer => {}
            Scheme::Basic { username } => form.username.set(username.clone()),
            Scheme::Hmac(hmac) => {
                form.header.set(hmac.header.clone());
                form.prefix.set(hmac.prefix.clone());
                form.algorithm.set(match hmac.algorithm {
                    Algorithm::Sha256 => "sha256".to_owned(),
                    Algorithm::Sha1 => "sha1".to_owned(),
                });
                form.encoding.set(match hmac.encoding {
                    Encoding::Hex => "hex".to_owned(),
                    Encoding::Base64 => "base64".to_owned(),
                });
                if let Some(timestamp) = &hmac.timestamp {
                    form.timestamp.set(timestamp.header.clone());
                    form.tolerance.set(timestamp.tolerance_seconds.to_string());
                }
            }
            Scheme::Github(options)
            | Scheme::Jira(options)
            | Scheme::Grafana(options)
            | Scheme::Slack(options)
            | Scheme::Stripe(options)
            | Scheme::StandardWebhooks(options) => {
                form.tolerance.set(number(options.tolerance_seconds));
                form.timestamp
                    .set(options.timestamp_header.clone().unwrap_or_default());
            }
        }
        form
    }

    fn fault(self, field: &str, message: &str) {
        self.faults.update(|list| {
            list.push(FieldError {
                field: field.to_owned(),
                code: "value_kind".to_owned(),
                message: message.to_owned(),
                offset: None,
            });
        });
    }

    fn number(self, field: &str, value: RwSignal<String>) -> Option<u32> {
        let text = value.get_untracked();
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            self.fault(field, "This must be a whole number, or empty.");
        }
        number
    }

    /// The chosen scheme.
    fn auth(self) -> Scheme {
        let header = self.timestamp.get_untracked().trim().to_owned();
        let tolerance = self.number("auth.tolerance_seconds", self.tolerance);
        let options = || PresetOptions {
            tolerance_seconds: tolerance,
            timestamp_header: (!header.is_empty()).then(|| header.clone()),
        };
        match self.scheme.get_untracked().as_str() {
            "bearer" => Scheme::Bearer,
            "basic" => Scheme::Basic {
                username: self.username.get_untracked(),
            },
            "github" => Scheme::Github(options()),
            "jira" => Scheme::Jira(options()),
            "grafana" => Scheme::Grafana(options()),
            "slack" => Scheme::Slack(options()),
            "stripe" => Scheme::Stripe(options()),
            "standard_webhooks" => Scheme::StandardWebhooks(options()),
            "hmac" => Scheme::Hmac(self.hmac(header, tolerance)),
            _ => Scheme::None,
        }
    }

    fn hmac(self, timestamp: String, tolerance: Option<u32>) -> HmacScheme {
        let saved = match self.saved.get_value() {
            Some(Scheme::Hmac(saved)) => Some(saved),
            _ => None,
        };
        let field = saved
            .as_ref()
            .and_then(|s| s.timestamp.as_ref())
            .and_then(|t| t.field.clone());
        HmacScheme {
            algorithm: if self.algorithm.get_untracked() == "sha1" {
                Algorithm::Sha1
            } else {
                Algorithm::Sha256
            },
            header: self.header.get_untracked().trim().to_owned(),
            prefix: self.prefix.get_untracked(),
            encoding: if self.encoding.get_untracked() == "base64" {
                Encoding::Base64
            } else {
                Encoding::Hex
            },
            secret_encoding: saved
                .as_ref()
                .map(|s| s.secret_encoding)
                .unwrap_or_default(),
            separator: saved.as_ref().and_then(|s| s.separator),
            id_header: saved.as_ref().and_then(|s| s.id_header.clone()),
            text: saved.and_then(|s| s.text),
            timestamp: (!timestamp.is_empty()).then(|| TimestampScheme {
                header: timestamp,
                field,
                tolerance_seconds: tolerance.unwrap_or(DEFAULT_TOLERANCE),
            }),
        }
    }

    fn policy(self) -> NoMatch {
        match self.no_match.get_untracked().as_str() {
            "drop" => NoMatch::Drop,
            "deliver" => match from_person(&self.target.get_untracked()) {
                Ok(target) => NoMatch::Deliver(target),
                Err(_) => {
                    self.fault(
                        "on_no_match",
                        "This is not the JSON of an operation: connection, operation, map.",
                    );
                    NoMatch::Keep
                }
            },
            _ => NoMatch::Keep,
        }
    }

    fn mode(self) -> MatchMode {
        if self.mode.get_untracked() == "all" {
            MatchMode::All
        } else {
            MatchMode::First
        }
    }

    fn networks(self) -> Vec<String> {
        self.cidrs
            .get_untracked()
            .split([',', '\n'])
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn optional(value: RwSignal<String>) -> Option<String> {
        let text = value.get_untracked();
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    }

    /// The new source, unless a field is faulty.
    pub fn create(self) -> Option<NewSource> {
        self.faults.set(Vec::new());
        let new = NewSource {
            name: self.name.get_untracked().trim().to_owned(),
            slug: self.slug.get_untracked().trim().to_owned(),
            auth: self.auth(),
            secret: Self::optional(self.secret),
            enabled: true,
            allow_cidrs: self.networks(),
            rate_per_minute: self.number("rate_per_minute", self.rate),
            body_limit: self.number("body_limit", self.limit),
            retention_days: self.number("retention_days", self.days),
            match_mode: self.mode(),
            on_no_match: self.policy(),
            event_id_path: Self::optional(self.event_id),
            split: self.split(),
            heartbeat: self
                .number("heartbeat", self.heartbeat)
                .map(|after| Heartbeat { after }),
        };
        self.faults.with_untracked(Vec::is_empty).then_some(new)
    }

    /// The change, unless a field is faulty.
    pub fn change(self) -> Option<ChangeSource> {
        let new = self.create()?;
        Some(ChangeSource {
            name: Some(new.name),
            slug: Some(new.slug),
            auth: Some(new.auth),
            secret: new.secret,
            enabled: None,
            allow_cidrs: Some(new.allow_cidrs),
            rate_per_minute: Some(new.rate_per_minute),
            body_limit: Some(new.body_limit),
            retention_days: Some(new.retention_days),
            match_mode: Some(new.match_mode),
            on_no_match: Some(new.on_no_match),
            event_id_path: Some(new.event_id_path),
            split: Some(new.split),
            heartbeat: Some(new.heartbeat),
        })
    }

    /// How requests are authenticated.
    pub fn auth_fields(self, is_new: bool) -> AnyView {
        let faults = self.faults;
        let options = Signal::stored(pairs(&SCHEMES));
        let detail = move || {
            let scheme = self.scheme.get();
            match scheme.as_str() {
                "basic" => view! {
                    <TextField label="User name" value=self.username required=true faults=faults at="auth.username" testid="source-username" />
                }
                .into_any(),
                "hmac" => self.hmac_fields(),
                "grafana" => view! {
                    <TextField
                        label="Timestamp header"
                        value=self.timestamp
                        help="Only if one is configured in Grafana."
                        faults=faults
                        at="auth.timestamp_header"
                    />
                }
                .into_any(),
                _ => ().into_any(),
            }
        };
        let secret = move || {
            let (label, help) = match (self.scheme.get().as_str(), is_new) {
                ("none", _) => return None,
                ("bearer", true) => ("Token", "Leave it empty to get a strong one, shown once."),
                ("basic", true) => (
                    "Password",
                    "Leave it empty to get a strong one, shown once.",
                ),
                (_, true) => (
                    "Signing secret",
                    "Leave it empty to get a strong one, shown once. Give it if the sender chooses it.",
                ),
                ("bearer", false) => ("New token", "Leave it empty to keep the stored one."),
                ("basic", false) => ("New password", "Leave it empty to keep the stored one."),
                (_, false) => (
                    "New signing secret",
                    "Leave it empty to keep the stored one.",
                ),
            };
            Some(view! {
                <TextField
                    label=label
                    value=self.secret
                    kind="password"
                    autocomplete="new-password"
                    help=help
                    faults=faults
                    at="secret"
                    testid="source-secret"
                />
            })
        };
        view! {
            <div class="stack">
                <SelectField label="Authentication" value=self.scheme options=options faults=faults at="auth.type" testid="source-scheme" />
                {move || {
                    (self.scheme.get() == "none")
                        .then(|| {
                            view! {
                                <p class="notice amber">
                                    "Anybody who knows the address can send events. Choose this only for a closed network."
                                </p>
                            }
                        })
                }}
                {detail}
                {secret}
            </div>
        }
        .into_any()
    }

    fn hmac_fields(self) -> AnyView {
        let faults = self.faults;
        let hashes = [("sha256", "HMAC-SHA256"), ("sha1", "HMAC-SHA1")];
        let writings = [("hex", "Hexadecimal"), ("base64", "Base64")];
        view! {
            <div class="form-grid">
                <TextField label="Signature header" value=self.header required=true faults=faults at="auth.header" testid="source-header" />
                <TextField label="Prefix" value=self.prefix placeholder="sha256=" faults=faults at="auth.prefix" />
                <SelectField label="Hash" value=self.algorithm options=Signal::stored(pairs(&hashes)) />
                <SelectField label="Written as" value=self.encoding options=Signal::stored(pairs(&writings)) />
                <TextField label="Timestamp header" value=self.timestamp help="If the sender signs a timestamp." faults=faults at="auth.timestamp.header" />
                <TextField label="Tolerance in seconds" value=self.tolerance placeholder="300" faults=faults at="auth.tolerance_seconds" />
            </div>
        }
        .into_any()
    }

    fn split_fields(self) -> AnyView {
        let faults = self.faults;
        view! {
            <TextField label="Path of the list" value=self.split_path code=true required=true faults=faults at="split.path" testid="source-split-path" />
            <AreaField
                label="Paths of an item's id"
                value=self.split_key
                code=true
                rows=2
                help="One for each line, such as $.id. Their values together make repeats harmless."
                faults=faults
                at="split.key"
            />
            <TextField label="Most items" value=self.split_limit placeholder="500" faults=faults at="split.limit" />
        }
        .into_any()
    }

    fn split(self) -> Option<SplitSpec> {
        let preset = match self.split.get_untracked().as_str() {
            "alertmanager" => Some(SplitPreset::Alertmanager),
            "grafana" => Some(SplitPreset::Grafana),
            "path" => None,
            _ => return None,
        };
        let limit = self.number("split.limit", self.split_limit);
        if preset.is_some() {
            return Some(SplitSpec {
                preset,
                limit,
                ..SplitSpec::default()
            });
        }
        let lines = self.split_key.get_untracked();
        Some(SplitSpec {
            preset: None,
            path: Some(self.split_path.get_untracked().trim().to_owned()),
            key: lines
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
            limit,
        })
    }

    /// What becomes of events, and limits.
    pub fn more_fields(self) -> AnyView {
        let faults = self.faults;
        let modes = [
            ("first", "The first rule that matches"),
            ("all", "Every rule that matches"),
        ];
        let policies = [
            ("keep", "Keep it as unmatched"),
            ("drop", "Drop it"),
            ("deliver", "Send it to a default target"),
        ];
        let target = move || {
            (self.no_match.get() == "deliver").then(|| {
                view! {
                    <AreaField
                        label="Default target"
                        value=self.target
                        code=true
                        rows=8
                        help="Written like the deliver step of a rule."
                        faults=faults
                        at="on_no_match"
                        testid="source-target"
                    />
                }
            })
        };
        view! {
            <div class="form-grid">
                <SelectField label="Who takes an event" value=self.mode options=Signal::stored(pairs(&modes)) testid="source-mode" />
                <SelectField label="When no rule matches" value=self.no_match options=Signal::stored(pairs(&policies)) testid="source-no-match" />
                <TextField
                    label="Path of the sender's id"
                    value=self.event_id
                    code=true
                    placeholder="$.delivery.id"
                    help="Makes repeats of the sender harmless."
                    faults=faults
                    at="event_id_path"
                />
                <SelectField label="One request carries" value=self.split options=Signal::stored(pairs(&SPLITS)) testid="source-split" />
                {move || (self.split.get() == "path").then(|| self.split_fields())}
                <TextField
                    label="Alert when silent for (seconds)"
                    value=self.heartbeat
                    placeholder="never"
                    help="The source then raises an event of the type source.silent, and source.recovered when it is heard again."
                    faults=faults
                    at="heartbeat"
                    testid="source-heartbeat"
                />
                <TextField label="Requests a minute" value=self.rate placeholder="unlimited" faults=faults at="rate_per_minute" />
                <TextField label="Largest body in bytes" value=self.limit placeholder="the server's limit" faults=faults at="body_limit" />
                <TextField label="Days its events are kept" value=self.days placeholder="as the workspace" help="0: for good." faults=faults at="retention_days" testid="source-days" />
                <AreaField
                    label="Allowed networks"
                    value=self.cidrs
                    code=true
                    rows=2
                    help="One for each line, such as 10.0.0.0/8. Empty: any address."
                    faults=faults
                    at="allow_cidrs"
                />
            </div>
            {target}
        }
        .into_any()
    }
}

/// How many events a request carries.
const SPLITS: [(&str, &str); 4] = [
    ("", "One event"),
    ("alertmanager", "Alerts of Prometheus Alertmanager"),
    ("grafana", "Alerts of Grafana"),
    ("path", "A list at a path"),
];

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
        .collect()
}
