//! Passkeys.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::DateTime;

/// A passkey of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Passkey {
    /// Id.
    pub id: Uuid,
    /// Name for people.
    #[cfg_attr(feature = "schema", schema(example = "Laptop"))]
    pub name: String,
    /// When it was made.
    pub created_at: DateTime,
    /// The newest use.
    pub last_used_at: Option<DateTime>,
}

/// What the browser is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PasskeyBegun {
    /// Goes back with the browser's answer, within five minutes, once.
    pub token: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub options: Value,
}

/// The browser's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasskeyShown {
    /// The token of the beginning.
    pub token: String,
    /// What `toJSON()` of the browser's credential gives.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub credential: Value,
}

/// A new passkey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// The token of the beginning.
    pub token: String,
    /// Name for people, 1 to 60 characters.
    #[cfg_attr(feature = "schema", schema(example = "Laptop"))]
    pub name: String,
    /// What `toJSON()` of the browser's credential gives.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub credential: Value,
}

/// Another name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RenamePasskey {
    /// Name for people, 1 to 60 characters.
    #[cfg_attr(feature = "schema", schema(example = "Laptop"))]
    pub name: String,
}
