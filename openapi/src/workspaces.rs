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
