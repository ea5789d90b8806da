//! Credentials and settings for upstreams, and the connectors that speak to them.

use std::collections::BTreeMap;

use engine::lane::OnFailure;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// A connection. Its secrets are never part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Connection {
    /// Id.
    pub id: Uuid,
    /// Name that rules use; unique in the workspace.
    pub name: String,
    /// Kind of upstream.
    #[cfg_attr(feature = "schema", schema(example = "connectwise"))]
    pub connector: String,
    /// Settings; their shape is the connector's.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub settings: serde_json::Value,
    /// Names of the secrets that are stored.
    pub secrets: Vec<String>,
    /// True: private and loopback addresses may be called.
    pub allow_private: bool,
    /// False: its deliveries wait.
    pub enabled: bool,
    /// Calls at once; absent: the server's default.
    pub concurrency: Option<u32>,
    /// Calls a minute; absent: unlimited.
    pub rate_per_minute: Option<u32>,
    /// Retry policy; what is absent is the server's default.
    pub retry: RetrySettings,
    /// What becomes of a lane whose head fails for good.
    pub on_failure: OnFailure,
    /// True: repeats that wait in a lane become one.
    pub coalesce: bool,
    /// `ok` or `attention`.
    pub state: String,
    /// Why it needs attention: `credentials_refused`, which a passed test ends, or `mass_gone`,
    /// which only a person ends. Or why the server switched it off: `subscriber_failing` or
    /// `subscriber_gone`.
    pub state_code: Option<String>,
    /// The same for people.
    pub state_reason: Option<String>,
    /// When the state began.
    pub state_at: DateTime,
    /// Since when every delivery to a subscriber failed; absent: the last one did not, or the
    /// connector is none for subscribers.
    #[serde(default)]
    pub failing_since: Option<DateTime>,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime,
    /// Last change.
    pub updated_at: DateTime,
    /// Whether calls get through.
    pub breaker: Breaker,
}

impl Connection {
    /// Whether the server switched it off, and no person: only then is there a reason for it.
    pub fn is_off_by_server(&self) -> bool {
        !self.enabled && self.state == "ok" && self.state_reason.is_some()
    }
}

/// What stops calls to an upstream that keeps failing. Shared over all nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Breaker {
    /// `closed`: calls go through; `open`: one call a second looks whether the upstream is back.
    #[cfg_attr(feature = "schema", schema(example = "closed"))]
    pub state: String,
    /// Calls in a row that had failed when this was last noted.
    pub failures: i64,
    /// When it opened, while it is open.
    pub opened_at: Option<DateTime>,
    /// When the next call looks, while it is open and there is anything to look with.
    pub next_probe_at: Option<DateTime>,
    /// The upstream asked for no calls before then (`Retry-After`), on any node.
    pub asked_until: Option<DateTime>,
    /// How it is called while it has too much to do (429, 503); null at full width.
    pub pace: Option<Pace>,
}

/// Fewer calls than a connection allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Pace {
    /// So many at once, when this was last noted.
    pub at_once: i64,
    /// Milliseconds from the start of one to that of the next.
    pub apart_ms: i64,
}

/// What waits for a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// Deliveries that are due or being sent.
    pub ready: i64,
    /// Deliveries behind an earlier one of their lane.
    pub behind: i64,
    /// Deliveries that wait for their next attempt.
    pub retrying: i64,
    /// Deliveries that wait until the connection works again, or is switched on.
    pub paused: i64,
    /// Deliveries whose lane waits for a person.
    pub parked: i64,
    /// Why they wait: the causes of failed heads, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked_causes: Vec<ParkedCause>,
    /// When the oldest of them was written.
    pub oldest_at: Option<DateTime>,
    /// The next attempts, soonest first.
    pub next: Vec<NextAttempt>,
}

/// Lanes that wait for a person, by the cause of the failure of their heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ParkedCause {
    /// Stable code.
    #[cfg_attr(feature = "schema", schema(example = "http_400"))]
    pub error_code: String,
    /// How many lanes.
    pub count: i64,
}

/// Which lanes that wait for a person are tried again; nothing given: all of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryParked {
    /// Those whose head failed for this cause.
    #[cfg_attr(feature = "schema", schema(example = "http_400"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// An attempt to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NextAttempt {
    /// The delivery.
    pub delivery_id: Uuid,
    /// Record key.
    pub key: Option<String>,
    /// Attempts so far.
    pub attempts: i32,
    /// When.
    pub at: DateTime,
    /// Stable code of the last fault.
    pub error_code: Option<String>,
}

/// How often and how long a delivery is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetrySettings {
    /// Seconds before the second attempt; grows from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seconds: Option<f64>,
    /// Factor from one wait to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Longest wait in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<f64>,
    /// Seconds after the first attempt at which it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_seconds: Option<f64>,
    /// Waits in seconds, one after the other, instead of growing ones; after the last one it is
    /// given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_seconds: Vec<f64>,
    /// Part of a wait that is left to chance, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// Longest wait in seconds that an upstream may ask for by `Retry-After`; 0: it is not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_max_seconds: Option<f64>,
    /// HTTP statuses after which there is no other attempt: numbers, classes as `4xx`, ranges as
    /// `500-504`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "words"
    )]
    pub permanent: Vec<String>,
    /// HTTP statuses after which there is another attempt; they win over `permanent`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "words"
    )]
    pub retried: Vec<String>,
}

/// The answer to a new connection: the only time that a generated secret is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConnectionCreated {
    /// The connection.
    #[serde(flatten)]
    pub connection: Connection,
    /// Secrets that were generated, by name; absent: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generated: BTreeMap<String, String>,
}

/// A connection to be made.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    /// Name that rules use, 1 to 60 characters.
    #[cfg_attr(feature = "schema", schema(example = "psa"))]
    pub name: String,
    /// Kind of upstream.
    #[cfg_attr(feature = "schema", schema(example = "sandbox"))]
    pub connector: String,
    /// Settings; their shape is the connector's.
    #[serde(default = "empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub settings: serde_json::Value,
    /// Secrets by name; stored sealed, never returned.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// True: private and loopback addresses may be called.
    #[serde(default)]
    pub allow_private: bool,
    /// False: its deliveries wait.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Calls at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Calls a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Retry policy.
    #[serde(default)]
    pub retry: RetrySettings,
    /// What becomes of a lane whose head fails for good.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// True: repeats that wait in a lane become one.
    #[serde(default = "yes")]
    pub coalesce: bool,
}

/// A change of a connection; what is absent stays. The connector cannot be changed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeConnection {
    /// Name that rules use; rules follow a new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All settings anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub settings: Option<serde_json::Value>,
    /// New values of secrets; `null` removes one, those not named stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, Option<String>>>,
    /// Whether private addresses may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_private: Option<bool>,
    /// Switched on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Calls at once.
    #[serde(
        default,
        with = "crate::sources::double",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>))]
    pub concurrency: Option<Option<u32>>,
    /// Calls a minute.
    #[serde(
        default,
        with = "crate::sources::double",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>))]
    pub rate_per_minute: Option<Option<u32>>,
    /// Retry policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetrySettings>,
    /// What becomes of a lane whose head fails for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Whether repeats that wait in a lane become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<bool>,
}

/// What a connection test found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestResult {
    /// True: the upstream answered and accepted the credentials.
    pub ok: bool,
    /// Stable code of what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What was found, for people.
    pub message: String,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// A kind of upstream that this server can speak to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Connector {
    /// Its name in configuration.
    pub kind: String,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub summary: String,
    /// Its settings.
    pub settings: Vec<Field>,
    /// Its secrets.
    pub secrets: Vec<Field>,
    /// What it can do.
    pub operations: Vec<Operation>,
    /// Lists that can be read from the upstream for choosing values.
    pub metadata: Vec<String>,
}

/// Something a connector can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Operation {
    /// Its name in rules.
    #[cfg_attr(feature = "schema", schema(example = "ticket.upsert"))]
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Whether a record key is needed.
    pub needs_key: bool,
    /// Fields that a rule may map.
    pub fields: Vec<Field>,
    /// True: fields that are not listed are passed on as they are.
    pub open_fields: bool,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Field {
    /// Its name in configuration.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// `string`, `text`, `number`, `boolean`, `url`, `list`, `map` or `any`.
    pub kind: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is for.
    pub help: String,
    /// Value taken when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// The only values allowed; of a list, those that are offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// List of the upstream to choose from, one of the connector's `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

/// One row of a list read from the upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MetadataItem {
    /// The value to use in a rule.
    pub value: String,
    /// Its name for people.
    pub label: String,
}

/// A list read from the upstream, through the cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Metadata {
    /// The rows, all pages.
    pub items: Vec<MetadataItem>,
    /// When they were read.
    pub fetched_at: DateTime,
}

/// What the sandbox would have sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SandboxRecord {
    /// Id.
    pub id: Uuid,
    /// The connection.
    pub connection_id: Uuid,
    /// Number for people, from 1.
    pub number: i64,
    /// Record key.
    pub key: Option<String>,
    /// What was asked.
    pub operation: String,
    /// `open` or `closed`.
    pub state: String,
    /// A line for people.
    pub title: String,
    /// The fields as sent.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub fields: serde_json::Value,
    /// Notes, oldest first.
    pub notes: Vec<SandboxNote>,
    /// When it was made.
    pub created_at: DateTime,
    /// Last change.
    pub updated_at: DateTime,
}

/// A note on a sandbox record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SandboxNote {
    /// The delivery that wrote it.
    pub message_id: String,
    /// The text.
    pub text: String,
    /// When.
    pub at: DateTime,
}

/// Words; numbers are taken for them.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Word {
        Number(u16),
        Text(String),
    }
    Ok(Vec::<Word>::deserialize(deserializer)?
        .into_iter()
        .map(|word| match word {
            Word::Number(number) => number.to_string(),
            Word::Text(text) => text,
        })
        .collect())
}

fn yes() -> bool {
    true
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}
