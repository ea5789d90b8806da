//! The written form of a source's authentication, without its secrets.

use serde::{Deserialize, Serialize};

use super::preset::{self, Preset};
use crate::fault::{Fault, FaultCode};

/// How requests of a source are authenticated.
///
/// ```yaml
/// auth: { type: hmac, header: X-Signature, prefix: "sha256=", encoding: hex }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scheme {
    /// Everybody may send; must be chosen.
    None,
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// HTTP basic authentication; the secret is the password.
    Basic {
        /// The user name.
        username: String,
    },
    /// A token in a header of its own.
    Header(TokenHeader),
    /// A token at the end of the address: `/hooks/<workspace>/<slug>/<token>`.
    Url,
    /// A signature over the raw body.
    Hmac(HmacScheme),
    /// GitHub's `X-Hub-Signature-256`.
    Github(PresetOptions),
    /// GitLab's `X-Gitlab-Token`.
    Gitlab(PresetOptions),
    /// Jira's `X-Hub-Signature`.
    Jira(PresetOptions),
    /// Grafana's `X-Grafana-Alerting-Signature`; set `timestamp_header` to the one configured in
    /// Grafana, if any.
    Grafana(PresetOptions),
    /// Slack's `X-Slack-Signature`.
    Slack(PresetOptions),
    /// Shopify's `X-Shopify-Hmac-Sha256`.
    Shopify(PresetOptions),
    /// Trello's `X-Trello-Webhook`, over the body and the address; needs `callback_url`.
    Trello(PresetOptions),
    /// Asana's `X-Hook-Signature`. The secret comes from Asana in its handshake, which only the
    /// address with the source's token may make.
    Asana(PresetOptions),
    /// The `X-Hub-Signature-256` of WhatsApp and other products of Meta; `verify_token` answers the
    /// check of the address.
    Whatsapp(PresetOptions),
    /// Telegram's `X-Telegram-Bot-Api-Secret-Token`.
    Telegram(PresetOptions),
    /// PagerDuty's `X-PagerDuty-Signature`.
    Pagerduty(PresetOptions),
    /// Stripe's `Stripe-Signature`.
    Stripe(PresetOptions),
    /// The Standard Webhooks headers.
    StandardWebhooks(PresetOptions),
}

/// What may be changed about a preset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PresetOptions {
    /// Seconds a timestamp may be off, in both directions; the preset's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_seconds: Option<u32>,
    /// Header of the timestamp, for presets where the sender chooses it (Grafana).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// The address as the sender was given it, for presets that sign it (Trello).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// What the sender repeats when it checks the address (WhatsApp). Whoever knows it is told no
    /// more than what they sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_token: Option<String>,
}

/// Where a token stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenHeader {
    /// The header whose whole value is the token.
    #[cfg_attr(feature = "schema", schema(example = "X-Api-Key"))]
    pub header: String,
}

/// A signature over the raw body, with everything about it configurable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HmacScheme {
    /// The hash.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Header that carries the signature.
    #[cfg_attr(feature = "schema", schema(example = "X-Signature"))]
    pub header: String,
    /// What stands before the signature, such as `sha256=`; must be there if set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the secret is written.
    #[serde(default, skip_serializing_if = "SecretEncoding::is_text")]
    pub secret_encoding: SecretEncoding,
    /// Character between several signatures in the header; one of them must be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 1))]
    pub separator: Option<char>,
    /// Header of a message id that is part of the signed text as `{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
    /// A signed timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampScheme>,
    /// The address as the sender was given it; part of the signed text as `{url}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// What is signed: a text with `{body}`, `{timestamp}`, `{id}` and `{url}`. The raw body if
    /// absent, or `{timestamp}.{body}` if there is a timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "{timestamp}.{body}"))]
    pub text: Option<String>,
}

/// Where a signed timestamp stands and how far it may be off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TimestampScheme {
    /// Its header; the signature's own header if `field` is set.
    pub header: String,
    /// Its name inside a list like `t=…,v1=…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds it may be off, in both directions.
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u32,
}

const fn default_tolerance() -> u32 {
    preset::TOLERANCE
}

/// Where the timestamp of a scheme is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampPlace<'a> {
    /// A header of its own.
    Header(&'a str),
    /// A named entry of a list in a header.
    Field {
        /// The header.
        header: &'a str,
        /// The name before `=`.
        name: &'a str,
    },
}

impl TimestampScheme {
    /// Where to find it.
    pub fn place(&self) -> TimestampPlace<'_> {
        match &self.field {
            None => TimestampPlace::Header(&self.header),
            Some(name) => TimestampPlace::Field {
                header: &self.header,
                name,
            },
        }
    }
}

/// The hash of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// HMAC-SHA256
    #[default]
    Sha256,
    /// HMAC-SHA1, for senders that have nothing better.
    Sha1,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Base64, standard alphabet.
    Base64,
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SecretEncoding {
    /// Its bytes are the key.
    #[default]
    Text,
    /// Base64, perhaps after `whsec_`.
    Base64,
}

impl SecretEncoding {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the shape serde asks for"
    )]
    const fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }
}

impl Scheme {
    /// The word in `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Basic { .. } => "basic",
            Self::Header(_) => "header",
            Self::Url => "url",
            Self::Hmac(_) => "hmac",
            Self::Github(_) => "github",
            Self::Gitlab(_) => "gitlab",
            Self::Jira(_) => "jira",
            Self::Grafana(_) => "grafana",
            Self::Slack(_) => "slack",
            Self::Shopify(_) => "shopify",
            Self::Trello(_) => "trello",
            Self::Asana(_) => "asana",
            Self::Whatsapp(_) => "whatsapp",
            Self::Telegram(_) => "telegram",
            Self::Pagerduty(_) => "pagerduty",
            Self::Stripe(_) => "stripe",
            Self::StandardWebhooks(_) => "standard_webhooks",
        }
    }

    /// The key of its secret in a configuration file: `token`, `password` or `secret`.
    pub const fn secret_key(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Bearer
            | Self::Header(_)
            | Self::Url
            | Self::Gitlab(_)
            | Self::Telegram(_)
            | Self::Asana(_) => Some("token"),
            Self::Basic { .. } => Some("password"),
            _ => Some("secret"),
        }
    }

    /// The preset it uses.
    pub fn preset(&self) -> Option<&'static Preset> {
        preset::find(self.name())
    }

    /// What was set about its preset.
    pub const fn options(&self) -> Option<&PresetOptions> {
        match self {
            Self::None
            | Self::Bearer
            | Self::Basic { .. }
            | Self::Header(_)
            | Self::Url
            | Self::Hmac(_) => None,
            Self::Github(options)
            | Self::Gitlab(options)
            | Self::Jira(options)
            | Self::Grafana(options)
            | Self::Slack(options)
            | Self::Shopify(options)
            | Self::Trello(options)
            | Self::Asana(options)
            | Self::Whatsapp(options)
            | Self::Telegram(options)
            | Self::Pagerduty(options)
            | Self::Stripe(options)
            | Self::StandardWebhooks(options) => Some(options),
        }
    }

    /// The header whose value is the secret itself.
    pub fn token_header(&self) -> Option<&str> {
        match self {
            Self::Header(place) => Some(&place.header),
            other => other.preset()?.token_header(),
        }
    }

    /// Whether the address ends with the source's token.
    pub const fn has_address_token(&self) -> bool {
        matches!(self, Self::Url | Self::Asana(_))
    }

    /// The signature to verify, with the options of a preset filled in.
    pub fn hmac(&self) -> Option<HmacScheme> {
        if let Self::Hmac(scheme) = self {
            return Some(scheme.clone());
        }
        let preset = self.preset()?;
        if preset.token_header().is_some() {
            return None;
        }
        Some(preset.scheme(self.options()?))
    }

    /// Checks what a person wrote.
    ///
    /// # Errors
    /// `empty` or `value_kind`, located at the field.
    pub fn validate(&self) -> Result<(), Fault> {
        let empty = |at: &str| Err(Fault::new(FaultCode::Empty, "a name is missing").within(at));
        match self {
            Self::Basic { username } if username.is_empty() => return empty("username"),
            Self::Basic { username } if username.contains(':') => {
                return Err(
                    Fault::new(FaultCode::ValueKind, "a user name has no colon").within("username")
                );
            }
            Self::Header(place) => {
                return check_header(&place.header).map_err(|f| f.within("header"));
            }
            _ => {}
        }
        self.validate_options()?;
        let Some(scheme) = self.hmac() else {
            return Ok(());
        };
        for (at, name) in [
            ("header", Some(&scheme.header)),
            ("id_header", scheme.id_header.as_ref()),
            (
                "timestamp.header",
                scheme.timestamp.as_ref().map(|t| &t.header),
            ),
        ] {
            if let Some(name) = name {
                check_header(name).map_err(|fault| fault.within(at))?;
            }
        }
        let text = scheme.signed_text();
        let needs = |token: &str, wanted: bool| text.contains(token) == wanted;
        if !needs("{body}", true)
            || !needs("{timestamp}", scheme.timestamp.is_some())
            || !needs("{id}", scheme.id_header.is_some())
            || !needs("{url}", scheme.callback_url.is_some())
        {
            return Err(Fault::new(
                FaultCode::ValueKind,
                "the signed text has `{body}`, and `{timestamp}`, `{id}` and `{url}` exactly if they are configured",
            )
            .within("text"));
        }
        Ok(())
    }

    /// An option that a preset does not read is a mistake, not a matter of taste.
    fn validate_options(&self) -> Result<(), Fault> {
        let (Some(preset), Some(options)) = (self.preset(), self.options()) else {
            return Ok(());
        };
        let checks = matches!(self, Self::Whatsapp(_));
        let unread = [
            (
                "callback_url",
                options.callback_url.is_some() && !preset.signs_address(),
            ),
            ("verify_token", options.verify_token.is_some() && !checks),
            (
                "tolerance_seconds",
                options.tolerance_seconds.is_some() && !preset.has_timestamp(),
            ),
            (
                "timestamp_header",
                options.timestamp_header.is_some() && !preset.has_timestamp(),
            ),
        ];
        if let Some((at, _)) = unread.iter().find(|(_, unread)| *unread) {
            return Err(
                Fault::new(FaultCode::ValueKind, "this sender has no such option").within(at),
            );
        }
        if preset.signs_address() {
            let url = options.callback_url.as_deref().unwrap_or_default();
            check_text(url).map_err(|fault| fault.within("callback_url"))?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(
                    Fault::new(FaultCode::ValueKind, "this is not a web address")
                        .within("callback_url"),
                );
            }
        }
        match &options.verify_token {
            Some(token) => check_text(token).map_err(|fault| fault.within("verify_token")),
            None => Ok(()),
        }
    }
}

/// A short text without spaces or control characters.
fn check_text(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new(FaultCode::Empty, "a value is missing"));
    }
    if text.len() > 500 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Fault::new(
            FaultCode::ValueKind,
            "at most 500 visible characters without spaces",
        ));
    }
    Ok(())
}

impl HmacScheme {
    /// What is signed.
    pub fn signed_text(&self) -> &str {
        match (&self.text, &self.timestamp) {
            (Some(text), _) => text,
            (None, Some(_)) => "{timestamp}.{body}",
            (None, None) => "{body}",
        }
    }
}

fn check_header(name: &str) -> Result<(), Fault> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Err(Fault::new(
            FaultCode::ValueKind,
            "this is not the name of a header",
        ));
    }
    Ok(())
}
