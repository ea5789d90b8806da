//! The schemes of well-known senders, as data.

use serde::Serialize;

use super::scheme::{
    Algorithm, Encoding, HmacScheme, PresetOptions, SecretEncoding, TimestampScheme,
};

/// Seconds a timestamp may be off unless somebody says otherwise.
pub(super) const TOLERANCE: u32 = 300;

/// Where a sender puts the id that stays the same when it sends an event again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IdempotencyKey {
    /// A header.
    Header(&'static str),
    /// A JSONPath into the body.
    Path(&'static str),
}

/// What is known about one sender.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The word in `type`.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// Where its deliveries carry their id; absent if they carry none.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Header of the kind of event, if it has one.
    pub event_type_header: Option<&'static str>,
    header: &'static str,
    /// The secret itself stands in the header; nothing is signed.
    token: bool,
    algorithm: Algorithm,
    prefix: &'static str,
    encoding: Encoding,
    secret_encoding: SecretEncoding,
    separator: Option<char>,
    id_header: Option<&'static str>,
    timestamp: Stamp,
    /// The signed text when there is a timestamp.
    text: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Stamp {
    None,
    /// Only if the sender is set up to send one; its header is an option.
    Optional,
    Header(&'static str),
    /// An entry of the signature's own header.
    Field(&'static str),
}

const PLAIN: Preset = Preset {
    name: "",
    title: "",
    idempotency_key: None,
    event_type_header: None,
    header: "",
    token: false,
    algorithm: Algorithm::Sha256,
    prefix: "",
    encoding: Encoding::Hex,
    secret_encoding: SecretEncoding::Text,
    separator: None,
    id_header: None,
    timestamp: Stamp::None,
    text: "{body}",
};

/// Every preset.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "github",
        title: "GitHub",
        idempotency_key: Some(IdempotencyKey::Header("X-GitHub-Delivery")),
        event_type_header: Some("X-GitHub-Event"),
        header: "X-Hub-Signature-256",
        prefix: "sha256=",
        ..PLAIN
    },
    Preset {
        name: "gitlab",
        title: "GitLab",
        idempotency_key: Some(IdempotencyKey::Header("Idempotency-Key")),
        event_type_header: Some("X-Gitlab-Event"),
        header: "X-Gitlab-Token",
        token: true,
        ..PLAIN
    },
    Preset {
        name: "jira",
        title: "Jira",
        idempotency_key: Some(IdempotencyKey::Header("X-Atlassian-Webhook-Identifier")),
        header: "X-Hub-Signature",
        prefix: "sha256=",
        ..PLAIN
    },
    Preset {
        name: "grafana",
        title: "Grafana",
        header: "X-Grafana-Alerting-Signature",
        timestamp: Stamp::Optional,
        text: "{timestamp}:{body}",
        ..PLAIN
    },
    Preset {
        name: "slack",
        title: "Slack",
        idempotency_key: Some(IdempotencyKey::Path("$.event_id")),
        header: "X-Slack-Signature",
        prefix: "v0=",
        timestamp: Stamp::Header("X-Slack-Request-Timestamp"),
        text: "v0:{timestamp}:{body}",
        ..PLAIN
    },
    Preset {
        name: "shopify",
        title: "Shopify",
        idempotency_key: Some(IdempotencyKey::Header("X-Shopify-Webhook-Id")),
        event_type_header: Some("X-Shopify-Topic"),
        header: "X-Shopify-Hmac-Sha256",
        encoding: Encoding::Base64,
        ..PLAIN
    },
    Preset {
        name: "trello",
        title: "Trello",
        idempotency_key: Some(IdempotencyKey::Path("$.action.id")),
        header: "X-Trello-Webhook",
        algorithm: Algorithm::Sha1,
        encoding: Encoding::Base64,
        text: "{body}{url}",
        ..PLAIN
    },
    Preset {
        name: "asana",
        title: "Asana",
        header: "X-Hook-Signature",
        ..PLAIN
    },
    Preset {
        name: "whatsapp",
        title: "WhatsApp",
        header: "X-Hub-Signature-256",
        prefix: "sha256=",
        ..PLAIN
    },
    Preset {
        name: "telegram",
        title: "Telegram",
        idempotency_key: Some(IdempotencyKey::Path("$.update_id")),
        header: "X-Telegram-Bot-Api-Secret-Token",
        token: true,
        ..PLAIN
    },
    Preset {
        name: "pagerduty",
        title: "PagerDuty",
        idempotency_key: Some(IdempotencyKey::Path("$.event.id")),
        header: "X-PagerDuty-Signature",
        prefix: "v1=",
        separator: Some(','),
        ..PLAIN
    },
    Preset {
        name: "stripe",
        title: "Stripe",
        idempotency_key: Some(IdempotencyKey::Path("$.id")),
        header: "Stripe-Signature",
        prefix: "v1=",
        separator: Some(','),
        timestamp: Stamp::Field("t"),
        text: "{timestamp}.{body}",
        ..PLAIN
    },
    Preset {
        name: "standard_webhooks",
        title: "Standard Webhooks",
        idempotency_key: Some(IdempotencyKey::Header("webhook-id")),
        header: "webhook-signature",
        prefix: "v1,",
        encoding: Encoding::Base64,
        secret_encoding: SecretEncoding::Base64,
        separator: Some(' '),
        id_header: Some("webhook-id"),
        timestamp: Stamp::Header("webhook-timestamp"),
        text: "{id}.{timestamp}.{body}",
        ..PLAIN
    },
];

pub(super) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The signature it uses, with these options.
    pub fn scheme(&self, options: &PresetOptions) -> HmacScheme {
        let stamp = match (self.timestamp, options.timestamp_header.as_deref()) {
            (Stamp::None, _) | (Stamp::Optional, None) => None,
            (Stamp::Optional, Some(header)) => Some((header, None)),
            (Stamp::Header(own), header) => Some((header.unwrap_or(own), None)),
            (Stamp::Field(name), _) => Some((self.header, Some(name))),
        };
        // Grafana signs the body alone unless it is told to send a timestamp.
        let optional = matches!(self.timestamp, Stamp::Optional);
        let text = if optional && stamp.is_none() {
            "{body}"
        } else {
            self.text
        };
        HmacScheme {
            algorithm: self.algorithm,
            header: self.header.to_owned(),
            prefix: self.prefix.to_owned(),
            encoding: self.encoding,
            secret_encoding: self.secret_encoding,
            separator: self.separator,
            id_header: self.id_header.map(str::to_owned),
            timestamp: stamp.map(|(header, field)| TimestampScheme {
                header: header.to_owned(),
                field: field.map(str::to_owned),
                tolerance_seconds: options.tolerance_seconds.unwrap_or(TOLERANCE),
            }),
            callback_url: options.callback_url.clone(),
            text: Some(text.to_owned()),
        }
    }

    /// The header that the secret itself stands in, for senders that do not sign.
    pub(super) fn token_header(&self) -> Option<&'static str> {
        self.token.then_some(self.header)
    }

    /// Whether the sender signs the address that it was given.
    pub fn signs_address(&self) -> bool {
        self.text.contains("{url}")
    }

    /// Whether a timestamp is part of it, or can be.
    pub(super) fn has_timestamp(&self) -> bool {
        !matches!(self.timestamp, Stamp::None)
    }
}
