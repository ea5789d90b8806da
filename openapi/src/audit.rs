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
