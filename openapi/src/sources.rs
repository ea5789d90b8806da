//! Where events come from.

use engine::model::{MatchMode, NoMatch};
use engine::signature::Scheme;
use engine::split::SplitSpec;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// A source. Its secret is never part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Source {
    /// Id.
    pub id: Uuid,
    /// Name for people; unique in the workspace.
    pub name: String,
    /// Name in the address; unique in the workspace.
    pub slug: String,
    /// `webhook`.
    pub kind: String,
    /// False: requests are refused with 403.
    pub enabled: bool,
    /// How requests are authenticated.
    pub auth: Scheme,
    /// True: a secret is stored.
    pub has_secret: bool,
    /// Networks that may send, as CIDR; empty: any.
    pub allow_cidrs: Vec<String>,
    /// Requests a minute; absent: unlimited.
    pub rate_per_minute: Option<u32>,
    /// Bytes of a body; absent: the server's limit.
    pub body_limit: Option<u32>,
    /// Days that its events are kept; absent: those of the workspace; 0: for good.
    #[serde(default)]
    pub retention_days: Option<u32>,
    /// Whether the first matching rule ends the search, or all matching rules act.
    #[serde(rename = "match")]
    pub match_mode: MatchMode,
    /// What becomes of an event that no rule takes.
    pub on_no_match: NoMatch,
    /// JSONPath of the sender's delivery id, for idempotent ingest.
    pub event_id_path: Option<String>,
    /// How one request becomes many events; absent: it is one.
    pub split: Option<SplitSpec>,
    /// Silence that raises an alert; absent: it may be silent.
    pub heartbeat: Option<Heartbeat>,
    /// Since when it is silent, once the alert was raised.
    pub silent_since: Option<DateTime>,
    /// Days after which somebody is reminded to replace its secret; absent: never.
    #[serde(default)]
    pub rotate_days: Option<u32>,
    /// When the secret is due to be replaced.
    #[serde(default)]
    pub rotation_due_at: Option<DateTime>,
    /// Until when the secret before is valid as well; absent: it is not.
    #[serde(default)]
    pub old_secret_until: Option<DateTime>,
    /// True: the sender has still to tell its secret, in the handshake of its webhook (Asana).
    #[serde(default)]
    pub awaits_handshake: bool,
    /// Address to send to. Where the token stands in the address, `/` and the token follow.
    pub url: String,
    /// Last accepted event.
    pub last_event_at: Option<DateTime>,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime,
    /// Last change.
    pub updated_at: DateTime,
}

/// How long a source may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Seconds of silence that raise an alert, 1 to 2,678,400 (31 days).
    #[cfg_attr(feature = "schema", schema(example = 900))]
    pub after: u32,
}

/// A source to be made. Without `secret`, one is generated and shown once in the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSource {
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Uptime Kuma"))]
    pub name: String,
    /// Lower-case letters, digits and hyphens, 1 to 60.
    #[cfg_attr(feature = "schema", schema(example = "kuma"))]
    pub slug: String,
    /// How requests are authenticated. There is no default: an open source is chosen with `none`.
    pub auth: Scheme,
    /// Bearer token, password or signing secret, as the scheme needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// False: requests are refused.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Networks that may send, as CIDR; empty: any.
    #[serde(default)]
    pub allow_cidrs: Vec<String>,
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Bytes of a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<u32>,
    /// Days that its events are kept; 0: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// First match or all matches.
    #[serde(default, rename = "match")]
    pub match_mode: MatchMode,
    /// What becomes of an event that no rule takes.
    #[serde(default)]
    pub on_no_match: NoMatch,
    /// JSONPath of the sender's delivery id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id_path: Option<String>,
    /// How one request becomes many events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSpec>,
    /// Silence that raises an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// Days, 1 to 3650, after which somebody is reminded to replace its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_days: Option<u32>,
}

/// A change of a source; what is absent stays. `null` clears an optional value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeSource {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name in the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// How requests are authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Scheme>,
    /// A new secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Switched on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Networks that may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_cidrs: Option<Vec<String>>,
    /// Requests a minute.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>))]
    pub rate_per_minute: Option<Option<u32>>,
    /// Bytes of a body.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>))]
    pub body_limit: Option<Option<u32>>,
    /// Days that its events are kept.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>))]
    pub retention_days: Option<Option<u32>>,
    /// First match or all matches.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_mode: Option<MatchMode>,
    /// What becomes of an event that no rule takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_no_match: Option<NoMatch>,
    /// JSONPath of the sender's delivery id.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub event_id_path: Option<Option<String>>,
    /// How one request becomes many events.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<SplitSpec>))]
    pub split: Option<Option<SplitSpec>>,
    /// Silence that raises an alert.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Heartbeat>))]
    pub heartbeat: Option<Option<Heartbeat>>,
    /// Days after which somebody is reminded to replace its secret.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>))]
    pub rotate_days: Option<Option<u32>>,
}

/// How the secret of a source is replaced.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateSourceSecret {
    /// Seconds that the old secret stays valid beside the new one, at most 2,678,400 (31 days);
    /// 0: not at all. A day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = 86400))]
    pub overlap_seconds: Option<u32>,
}

/// The answer to a new source or a new secret: the only time the secret is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SourceCreated {
    /// The source.
    pub source: Source,
    /// The generated secret; absent when the caller brought one, or the source is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A test event. Without `payload`, a sample is sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TestEvent {
    /// Any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Name of a sample: `uptime-kuma-down`, `uptime-kuma-up`, `alertmanager`, `grafana`, `github`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
}

/// A request of a source that was not accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// Id.
    pub id: Uuid,
    /// The source.
    pub source_id: Uuid,
    /// When.
    pub at: DateTime,
    /// HTTP status of the answer.
    pub status: u16,
    /// Stable code.
    #[cfg_attr(feature = "schema", schema(example = "signature_invalid"))]
    pub reason: String,
    /// Address of the sender.
    pub remote_addr: String,
    /// Content type as received.
    pub content_type: String,
    /// Bytes of the body that were read.
    pub size: i64,
}

/// What a hook request is answered with once its events are on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// Ids of the events; for a repeat, those of the first time.
    pub event_ids: Vec<Uuid>,
    /// Follows the event through logs, attempts and upstream calls.
    pub correlation_id: String,
    /// True: this delivery id was accepted before; of many events, every one of them.
    pub duplicate: bool,
}

fn yes() -> bool {
    true
}

/// Tells an absent field from `null`.
pub mod double {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the inner value; an absent field is skipped before this is called.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, T: Serialize>(
        value: &Option<Option<T>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(s)
    }

    /// A present field, `null` included.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        d: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(d).map(Some)
    }
}
