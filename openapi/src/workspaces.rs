//! Tenants.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// A tenant: everything else belongs to exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Workspace {
    /// Id.
    pub id: Uuid,
    /// Name in addresses.
    #[cfg_attr(feature = "schema", schema(example = "main"))]
    pub slug: String,
    /// Name for people.
    #[cfg_attr(feature = "schema", schema(example = "Main"))]
    pub name: String,
    /// When it was made.
    pub created_at: DateTime,
}

/// A workspace to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// Lower-case letters, digits and hyphens, 1 to 40.
    #[cfg_attr(feature = "schema", schema(example = "acme"))]
    pub slug: String,
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Acme"))]
    pub name: String,
}

/// A new name for a workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RenameWorkspace {
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Acme Ltd"))]
    pub name: String,
}

/// What goes with a workspace when it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WorkspaceRemoval {
    /// Events, up to 100,000.
    pub events: u64,
    /// Deliveries, up to 100,000.
    pub deliveries: u64,
    /// Those of them that have not ended, up to 100,000: they will never be made.
    pub open_deliveries: u64,
    /// Sources, whose addresses stop at once.
    pub sources: u64,
    /// Rules.
    pub rules: u64,
    /// Connections, with their secrets.
    pub connections: u64,
    /// Credentials that still work.
    pub credentials: u64,
    /// Members.
    pub members: u64,
    /// Those of them who are in no other workspace. Their accounts stay.
    pub members_only_here: u64,
}

/// The word that confirms a deletion.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoveWorkspace {
    /// Slug of the workspace that is to be deleted.
    #[cfg_attr(feature = "schema", schema(example = "acme"))]
    pub slug: String,
}
