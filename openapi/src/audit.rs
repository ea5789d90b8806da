//! What people and keys changed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::credentials::Credential;
use crate::people::Member;
use crate::retention::{RetentionCounts, RetentionSpec};

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
    /// How the line that was asked about stands to the log: `holds`, `rewritten` (then the log is not
    /// intact), or `deleted` by age. Absent: none was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}

/// A place at which the audit log is not as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditBreak {
    /// Number of the line.
    pub seq: i64,
    /// The line; absent: it is missing.
    pub id: Option<Uuid>,
    /// `missing`, `changed`, `end`: the end that is noted is another one, or `rewritten`: it is not the
    /// line whose hash was given.
    pub what: String,
}

/// What an auditor asks for about a period: who got in, what was changed, which secrets were shown,
/// what was taken out and what was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ComplianceReport {
    /// The workspace.
    #[cfg_attr(feature = "schema", schema(example = "main"))]
    pub workspace: String,
    /// First moment of the period.
    pub from: DateTime,
    /// The period ends before this moment.
    pub to: DateTime,
    /// When the report was made. People, credentials and limits are as they were then.
    pub made_at: DateTime,
    /// False: older lines were deleted by age, and the period begins before the oldest that is left.
    pub complete: bool,
    /// Whether the log is as it was written.
    pub log: AuditVerification,
    /// Sign-ins and what was refused, sessions, members, invitations, roles, second factors.
    pub access: Vec<AuditCount>,
    /// Secrets that were shown, set, replaced or retired. Nothing shows a secret a second time.
    pub secrets: Vec<AuditCount>,
    /// Changes of the configuration.
    pub changes: Vec<AuditCount>,
    /// What was decided about deliveries, events and jobs by hand: replays, discards …
    pub operations: Vec<AuditCount>,
    /// What was taken out.
    pub exports: Vec<AuditCount>,
    /// Changes of how long things are kept, and clean-ups.
    pub retention: Vec<AuditCount>,
    /// Rows that clean-ups deleted.
    pub deleted: RetentionCounts,
    /// How long things are kept.
    pub limits: RetentionSpec,
    /// True: there are more kinds of lines than a report counts.
    pub more: bool,
    /// Who may get in.
    pub members: Vec<Member>,
    /// What programs may get in with.
    pub credentials: Vec<Credential>,
}

/// How often somebody did something in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditCount {
    /// Stable word.
    #[cfg_attr(feature = "schema", schema(example = "sign_in"))]
    pub action: String,
    /// `user`, `credential` or `system`.
    pub actor_kind: String,
    /// E-mail, client id or name of the part.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub actor: String,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_at: DateTime,
    /// The last time.
    pub last_at: DateTime,
}
