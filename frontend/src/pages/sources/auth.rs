//! How a source's requests are authenticated: the part of its form.

use engine::signature::{
    Algorithm, Encoding, HmacScheme, PresetOptions, Scheme, TimestampScheme, TokenHeader,
};
use leptos::prelude::*;
use openapi::problem::FieldError;

use super::form::{pairs, text};
use crate::ui::{Faults, SelectField, TextField};

const DEFAULT_TOLERANCE: u32 = 300;

/// Every way to authenticate, in the order of the form.
pub(super) const SCHEMES: [(&str, &str); 19] = [
    ("bearer", "Bearer token"),
    ("basic", "User name and password"),
    ("header", "Token in a header"),
    ("url", "Token in the address"),
    ("hmac", "HMAC signature"),
    ("asana", "Asana"),
    ("github", "GitHub"),
    ("gitlab", "GitLab"),
    ("grafana", "Grafana"),
    ("jira", "Jira"),
    ("pagerduty", "PagerDuty"),
    ("shopify", "Shopify"),
    ("slack", "Slack"),
    ("standard_webhooks", "Standard Webhooks"),
    ("stripe", "Stripe"),
    ("telegram", "Telegram"),
    ("trello", "Trello"),
    ("whatsapp", "WhatsApp"),
    ("none", "None: everybody may send"),
];

/// What this part of the form holds.
#[derive(Clone, Copy)]
pub struct AuthForm {
    pub scheme: RwSignal<String>,
    pub secret: RwSignal<String>,
    username: RwSignal<String>,
    header: RwSignal<String>,
    token_header: RwSignal<String>,
    prefix: RwSignal<String>,
    algorithm: RwSignal<String>,
    encoding: RwSignal<String>,
    timestamp: RwSignal<String>,
    tolerance: RwSignal<String>,
    callback: RwSignal<String>,
    verify: RwSignal<String>,
    /// The saved scheme: what the form does not show of it is kept.
    saved: StoredValue<Option<Scheme>>,
    faults: Faults,
}

/// Notes that a field is faulty.
pub(super) fn fault(faults: Faults, field: &str, message: &str) {
    faults.update(|list| {
        list.push(FieldError {
            field: field.to_owned(),
            code: "value_kind".to_owned(),
            message: message.to_owned(),
            offset: None,
        });
    });
}

/// A whole number, or nothing.
pub(super) fn number(faults: Faults, field: &str, value: RwSignal<String>) -> Option<u32> {
    let text = value.get_untracked();
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let number = text.parse().ok();
    if number.is_none() {
        fault(faults, field, "This must be a whole number, or empty.");
    }
    number
}

/// What was typed, without the spaces around it; none: nothing.
fn typed(value: RwSignal<String>) -> Option<String> {
    let text = value.get_untracked().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

impl AuthForm {
    /// An empty one.
    pub fn empty(faults: Faults) -> Self {
        Self {
            scheme: text("bearer"),
            secret: text(""),
            username: text(""),
            header: text("X-Signature"),
            token_header: text("X-Api-Key"),
            prefix: text(""),
            algorithm: text("sha256"),
            encoding: text("hex"),
            timestamp: text(""),
            tolerance: text(""),
            callback: text(""),
            verify: text(""),
            saved: StoredValue::new(None),
            faults,
        }
    }

    /// Fills it from what is saved.
    pub fn fill(self, auth: &Scheme) {
        self.scheme.set(auth.name().to_owned());
        self.saved.set_value(Some(auth.clone()));
        match auth {
            Scheme::Basic { username } => self.username.set(username.clone()),
            Scheme::Header(place) => self.token_header.set(place.header.clone()),
            Scheme::Hmac(hmac) => {
                self.header.set(hmac.header.clone());
                self.prefix.set(hmac.prefix.clone());
                self.algorithm.set(match hmac.algorithm {
                    Algorithm::Sha256 => "sha256".to_owned(),
                    Algorithm::Sha1 => "sha1".to_owned(),
                });
                self.encoding.set(match hmac.encoding {
                    Encoding::Hex => "hex".to_owned(),
                    Encoding::Base64 => "base64".to_owned(),
                });
                if let Some(timestamp) = &hmac.timestamp {
                    self.timestamp.set(timestamp.header.clone());
                    self.tolerance.set(timestamp.tolerance_seconds.to_string());
                }
            }
            other => {
                if let Some(options) = other.options() {
                    let number = options.tolerance_seconds.map(|n| n.to_string());
                    self.tolerance.set(number.unwrap_or_default());
                    let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
                    self.timestamp.set(or_empty(&options.timestamp_header));
                    self.callback.set(or_empty(&options.callback_url));
                    self.verify.set(or_empty(&options.verify_token));
                }
            }
        }
    }

    /// The chosen scheme.
    pub fn scheme(self) -> Scheme {
        let name = self.scheme.get_untracked();
        let tolerance = || number(self.faults, "auth.tolerance_seconds", self.tolerance);
        // Only what the chosen sender has is sent: something may still stand in the other fields.
        let none = PresetOptions::default;
        let stamped = || PresetOptions {
            tolerance_seconds: tolerance(),
            ..none()
        };
        match name.as_str() {
            "bearer" => Scheme::Bearer,
            "basic" => Scheme::Basic {
                username: self.username.get_untracked(),
            },
            "header" => Scheme::Header(TokenHeader {
                header: typed(self.token_header).unwrap_or_default(),
            }),
            "url" => Scheme::Url,
            "hmac" => {
                let header = typed(self.timestamp).unwrap_or_default();
                Scheme::Hmac(self.hmac(header, tolerance()))
            }
            "asana" => Scheme::Asana(none()),
            "github" => Scheme::Github(none()),
            "gitlab" => Scheme::Gitlab(none()),
            "grafana" => Scheme::Grafana(PresetOptions {
                timestamp_header: typed(self.timestamp),
                ..stamped()
            }),
            "jira" => Scheme::Jira(none()),
            "pagerduty" => Scheme::Pagerduty(none()),
            "shopify" => Scheme::Shopify(none()),
            "slack" => Scheme::Slack(stamped()),
            "standard_webhooks" => Scheme::StandardWebhooks(stamped()),
            "stripe" => Scheme::Stripe(stamped()),
            "telegram" => Scheme::Telegram(none()),
            "trello" => Scheme::Trello(PresetOptions {
                callback_url: typed(self.callback),
                ..none()
            }),
            "whatsapp" => Scheme::Whatsapp(PresetOptions {
                verify_token: typed(self.verify),
                ..none()
            }),
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
            callback_url: saved.as_ref().and_then(|s| s.callback_url.clone()),
            id_header: saved.as_ref().and_then(|s| s.id_header.clone()),
            text: saved.and_then(|s| s.text),
            timestamp: (!timestamp.is_empty()).then(|| TimestampScheme {
                header: timestamp,
                field,
                tolerance_seconds: tolerance.unwrap_or(DEFAULT_TOLERANCE),
            }),
        }
    }

    /// The fields.
    pub fn fields(self, is_new: bool) -> AnyView {
        let faults = self.faults;
        let options = Signal::stored(pairs(&SCHEMES));
        let secret = move || {
            let scheme = self.scheme.get();
            let (label, help) = secret_words(&scheme, is_new)?;
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
        let warning = move || {
            let words = match self.scheme.get().as_str() {
                "none" => {
                    "Anybody who knows the address can send events. Choose this only for a closed network."
                }
                "url" => {
                    "Addresses end up in logs and histories of others. Choose this only for a sender that can do nothing else."
                }
                _ => return None,
            };
            Some(view! { <p class="notice amber">{words}</p> })
        };
        view! {
            <div class="stack">
                <SelectField label="Authentication" value=self.scheme options=options faults=faults at="auth.type" testid="source-scheme" />
                {warning}
                {move || self.detail()}
                {secret}
            </div>
        }
        .into_any()
    }

    fn detail(self) -> AnyView {
        let faults = self.faults;
        match self.scheme.get().as_str() {
            "basic" => view! {
                <TextField label="User name" value=self.username required=true faults=faults at="auth.username" testid="source-username" />
            }
            .into_any(),
            "header" => view! {
                <TextField label="Header" value=self.token_header required=true faults=faults at="auth.header" testid="source-token-header" />
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
            "trello" => view! {
                <TextField
                    label="Callback address"
                    value=self.callback
                    required=true
                    placeholder="https://signalbox.example.com/hooks/main/trello"
                    help="The address of this source exactly as it is given to Trello, which signs it too."
                    faults=faults
                    at="auth.callback_url"
                    testid="source-callback"
                />
            }
            .into_any(),
            "whatsapp" => view! {
                <TextField
                    label="Verify token"
                    value=self.verify
                    help="Any text; give the same to Meta together with the address."
                    faults=faults
                    at="auth.verify_token"
                    testid="source-verify"
                />
            }
            .into_any(),
            "asana" => view! {
                <p class="small muted">
                    "Asana tells its own secret when the webhook is made. The address to give to Asana ends with a token that is shown once."
                </p>
            }
            .into_any(),
            _ => ().into_any(),
        }
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
}

/// Label and help of the field of the secret; none: there is none.
fn secret_words(scheme: &str, is_new: bool) -> Option<(&'static str, &'static str)> {
    const GENERATED: &str = "Leave it empty to get a strong one, shown once.";
    const GIVEN: &str =
        "Leave it empty to get a strong one, shown once. Give it if the sender chooses it.";
    const KEPT: &str = "Leave it empty to keep the stored one.";
    Some(match (scheme, is_new) {
        ("none", _) => return None,
        ("bearer" | "header" | "gitlab" | "telegram", true) => ("Token", GENERATED),
        ("url" | "asana", true) => ("Token of the address", GENERATED),
        ("basic", true) => ("Password", GENERATED),
        (_, true) => ("Signing secret", GIVEN),
        ("bearer" | "header" | "gitlab" | "telegram", false) => ("New token", KEPT),
        ("url" | "asana", false) => ("New token of the address", KEPT),
        ("basic", false) => ("New password", KEPT),
        (_, false) => ("New signing secret", KEPT),
    })
}
