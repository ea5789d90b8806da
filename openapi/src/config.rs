//! Configuration as code: one YAML file describes a workspace's sources, connections and rules.

use std::collections::BTreeMap;

use engine::lane::OnFailure;
use engine::model::{ConditionSpec, MatchMode, NoMatch, Then};
use engine::split::SplitSpec;
use engine::window::Schedule;
use serde::{Deserialize, Serialize};

use crate::connections::RetrySettings;
use crate::maintenance::{WindowMode, WindowScope};
use crate::people::MemberPolicy;
use crate::quotas::QuotaSpec;
use crate::retention::RetentionSpec;
use crate::sources::Heartbeat;

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Form of the file; always 1.
    #[cfg_attr(feature = "schema", schema(example = 1))]
    pub version: u32,
    /// Upstreams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<ConnectionEntry>,
    /// Where events come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceEntry>,
    /// Firewall lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
    /// How long things are kept; absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionSpec>,
    /// Times in which deliveries wait or are not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<MaintenanceEntry>,
    /// Roles beside the built-in ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleEntry>,
    /// How much the workspace may have; absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<QuotaSpec>,
    /// What is asked of people, and who may ask to join; absent: as it is. The role is a built-in one
    /// or the name of one of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberPolicy>,
}

/// A role, known by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleEntry {
    /// Name for people.
    pub name: String,
    /// What it permits.
    pub scopes: Vec<String>,
}

/// A connection, known by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionEntry {
    /// Name that rules use.
    pub name: String,
    /// Kind of upstream.
    pub connector: String,
    /// Whether private and loopback addresses may be called.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_private: bool,
    /// False: its deliveries wait.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// Calls at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Calls a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Retry policy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: RetrySettings,
    /// What becomes of a lane whose head fails for good.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// Whether repeats that wait in a lane become one.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub coalesce: bool,
    /// Settings; their shape is the connector's.
    #[serde(default = "empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub settings: serde_json::Value,
    /// Secrets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
}

/// Where a secret is read from when the file is applied. Exactly one of these is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Name of an environment variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Path of a file; a line end at its end is not part of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What this command prints, run by the shell; a line end at its end is not part of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Path in HashiCorp Vault and, after `#`, the key: `secret/data/psa#private_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
}

/// A source, known by its slug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Name for people.
    pub name: String,
    /// Name in the address.
    pub slug: String,
    /// The authentication scheme, with its secret as `token`, `password` or `secret`: `{env: NAME}`
    /// or `{file: PATH}`.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub auth: serde_json::Value,
    /// False: requests are refused.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// Networks that may send, as CIDR; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_cidrs: Vec<String>,
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Bytes of a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<u32>,
    /// Days that its events are kept; absent: those of the workspace; 0: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// First match or all matches.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub match_mode: MatchMode,
    /// What becomes of an event that no rule takes.
    #[serde(default, skip_serializing_if = "is_default")]
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
    /// Days after which somebody is reminded to replace its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_days: Option<u32>,
}

/// A rule, known by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    /// Name for people.
    pub name: String,
    /// Slug of the source; absent: every source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Smaller goes first; equal ones keep the order of creation.
    pub priority: i32,
    /// False: passed over.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// Conditions; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<ConditionSpec>,
    /// Steps, or `drop`.
    pub then: Then,
}

/// A maintenance window, known by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintenanceEntry {
    /// Name for people.
    pub name: String,
    /// False: it never opens.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// What becomes of deliveries.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: WindowMode,
    /// Name of the IANA time zone of the schedule.
    pub zone: String,
    /// When it is open.
    pub schedule: Schedule,
    /// What it is about.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: WindowScope,
}

/// One difference between the file and the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Change {
    /// `create`, `update` or `delete`.
    pub action: String,
    /// `connection`, `source`, `rule`, `maintenance`, `role`, `retention`, `quotas` or `members`.
    pub kind: String,
    /// Name or slug.
    pub name: String,
    /// Names of the keys that differ; secrets are named, never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}
