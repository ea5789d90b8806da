//! What people and keys changed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Id.
    pub id: Uuid,
    /// When.
    pub at: DateTime,
    /// `user`, `credential` or `system`.
    pub actor_kind: String,
    /// E-mail, client id or name of the part.
    pub actor: String,
    /// Address of the request; empty: none.
    pub remote_addr: String,
    /// Id of the request, by which the server's log knows it; empty: there was none.
    #[serde(default)]
    pub request_id: String,
    /// Its number in the chain of the workspace; absent: it has not joined yet.
    #[serde(default)]
    pub seq: Option<i64>,
    /// Its link of the chain: a hash over the line and the hash before; absent as long as `seq` is.
    #[serde(default)]
    pub hash: Option<String>,
    /// Stable word: `rule.change`, `dead_letters.replay` …
    pub action: String,
    /// Kind of what was changed.
    pub subject_kind: String,
    /// Its id.
    pub subject_id: Option<Uuid>,
    /// Its name then.
    pub subject: String,
    /// What changed, as it was; secrets masked. `null`: there was nothing.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub before: serde_json::Value,
    /// What changed, as it became; secrets masked. `null`: there is nothing.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub after: serde_json::Value,
}

/// Whether the audit log is as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditVerification {
    /// Every line is there and as it was written.
    pub intact: bool,
    /// Lines that were looked at.
    pub checked: u64,
    /// Lines that have not joined the chain yet; they do within seconds.
    pub waiting: u64,
    /// Number of the first line; those before were deleted by age.
    pub first_seq: i64,
    /// Number of the last line; 0: there is none.
    pub seq: i64,
    /// Its hash. Kept elsewhere, it shows later that the log was not written anew as a whole.
    pub hash: String,
    /// The first place that does not hold.
    pub broken: Option<AuditBreak>,
}

/// A place at which the audit log is not as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditBreak {
    /// Number of the line.
    pub seq: i64,
    /// The line; absent: it is missing.
    pub id: Option<Uuid>,
    /// `missing`, `changed`, or `end`: the end that is noted is another one.
    pub what: String,
}
