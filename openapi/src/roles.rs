//! Roles: what a member of a workspace may do.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// A role, built in or made by the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Role {
    /// Id; `null`: it is built in, and cannot be changed.
    pub id: Option<Uuid>,
    /// What a membership says: `owner`, `admin`, `operator`, `viewer`, or `custom:` and the id.
    #[cfg_attr(feature = "schema", schema(example = "viewer"))]
    pub word: String,
    /// Name for people.
    #[cfg_attr(feature = "schema", schema(example = "Night shift"))]
    pub name: String,
    /// What it permits.
    pub scopes: Vec<String>,
    /// Members of the workspace that have it.
    pub members: u64,
    /// Grows with every change; the ETag. 0: it is built in.
    pub revision: i64,
    /// When it was made.
    pub created_at: Option<DateTime>,
    /// Last change.
    pub updated_at: Option<DateTime>,
}

/// A role to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// Name for people, 1 to 100 characters; none of the built-in roles has it.
    #[cfg_attr(feature = "schema", schema(example = "Night shift"))]
    pub name: String,
    /// What it permits: nothing that its maker may not.
    pub scopes: Vec<String>,
}

/// A change of a role; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeRole {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}
