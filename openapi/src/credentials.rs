//! What API clients authenticate with.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::sources::double;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// It signs every request; the secret never travels.
    Hmac,
    /// It sends a token with every request, from named networks.
    Bearer,
}

impl CredentialKind {
    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Bearer => "bearer",
        }
    }
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// It may.
    Active,
    /// It is switched off, and can be switched on again.
    Disabled,
    /// Its time is over; another end makes it active again.
    Expired,
    /// It is refused for good, and its secrets are gone.
    Revoked,
}

/// Which of the live secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SecretSlot {
    /// The one that clients are expected to use.
    Primary,
    /// The other one, while clients move.
    #[default]
    Secondary,
}

/// A live secret; never the secret itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CredentialSecret {
    /// Which one.
    pub slot: SecretSlot,
    /// When it was made.
    pub created_at: DateTime,
    /// When it stops being valid by itself.
    pub retires_at: Option<DateTime>,
    /// When a client last used it, as far as it is written: some seconds late.
    pub last_used_at: Option<DateTime>,
    /// From where.
    #[cfg_attr(feature = "schema", schema(example = "192.0.2.10"))]
    pub last_used_addr: Option<String>,
}

/// When secrets are to be replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Days after which the primary secret is due to be replaced, 1 to 3,650.
    #[cfg_attr(feature = "schema", schema(example = 90, minimum = 1, maximum = 3650))]
    pub every_days: u32,
    /// Days for which the old secret stays valid beside a new one, 0 to `every_days`.
    #[serde(default = "week")]
    #[cfg_attr(feature = "schema", schema(example = 7, minimum = 0))]
    pub overlap_days: u32,
}

const fn week() -> u32 {
    7
}

/// Something about a credential that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CredentialWarning {
    /// `any_address`, `legacy_form`, `rotation_due`, `expires_soon` or `old_secret_in_use`.
    #[cfg_attr(feature = "schema", schema(example = "any_address"))]
    pub code: String,
    /// The same for people.
    pub message: String,
}

/// What an API client authenticates with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Credential {
    /// Id.
    pub id: Uuid,
    /// Public name: sent with a signature, part of a token.
    #[cfg_attr(feature = "schema", schema(example = "5f0c1c2e2f0e"))]
    pub client_id: String,
    /// Name for people.
    #[cfg_attr(feature = "schema", schema(example = "Deployment"))]
    pub name: String,
    /// How it proves who it is.
    pub kind: CredentialKind,
    /// Whether it may be used.
    pub status: CredentialStatus,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Networks that it may be used from; empty: any, for HMAC only.
    pub allow_cidrs: Vec<String>,
    /// Whether the plain form of signatures is accepted too.
    pub legacy: bool,
    /// Refused from then on.
    pub expires_at: Option<DateTime>,
    /// When its secrets are to be replaced.
    pub rotation: Option<Rotation>,
    /// When the primary secret is due to be replaced.
    pub rotation_due_at: Option<DateTime>,
    /// The live secrets, the primary one first.
    pub secrets: Vec<CredentialSecret>,
    /// When a client last used it, as far as it is written: some seconds late.
    pub last_used_at: Option<DateTime>,
    /// From where.
    pub last_used_addr: Option<String>,
    /// Requests a minute; `null`: what the settings say.
    pub rate_per_minute: Option<u32>,
    /// Refused for good since then.
    pub revoked_at: Option<DateTime>,
    /// What somebody should know.
    pub warnings: Vec<CredentialWarning>,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime,
    /// Last change.
    pub updated_at: DateTime,
}

/// A credential to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Deployment"))]
    pub name: String,
    /// How it proves who it is.
    pub kind: CredentialKind,
    /// What it may do: nothing that its maker may not.
    pub scopes: Vec<String>,
    /// Networks that it may be used from. A bearer credential needs some; `0.0.0.0/0` and `::/0`
    /// are any.
    #[serde(default)]
    pub allow_cidrs: Vec<String>,
    /// Refused from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime>,
    /// Accept the plain form of signatures too; HMAC only.
    #[serde(default)]
    pub legacy: bool,
    /// Requests a minute, 1 to 1,000,000; absent: what the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1_000_000))]
    pub rate_per_minute: Option<u32>,
    /// When its secrets are to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// A change of a credential; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeCredential {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// False: refused until it is switched on again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Networks that it may be used from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_cidrs: Option<Vec<String>>,
    /// Refused from then on; `null`: never.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<DateTime>))]
    pub expires_at: Option<Option<DateTime>>,
    /// Accept the plain form of signatures too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<bool>,
    /// Requests a minute; `null`: what the settings say.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000))]
    pub rate_per_minute: Option<Option<u32>>,
    /// When its secrets are to be replaced; `null`: nobody is reminded.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Rotation>))]
    pub rotation: Option<Option<Rotation>>,
}

/// A credential with a new secret, which is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CredentialRevealed {
    /// The credential.
    pub credential: Credential,
    /// The secret to sign with, or the whole token. It is not shown again.
    #[cfg_attr(
        feature = "schema",
        schema(example = "sbs_4Vb0mD5m0mZyQm7m0V2n0q3ZtJ9m7w2Qe8xK1sY6uTc")
    )]
    pub secret: String,
}

/// How a second secret is added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewCredentialSecret {
    /// When the old secret stops being valid by itself; `null`: when somebody retires it. Absent:
    /// after the overlap of the rotation, if there is one.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<DateTime>))]
    pub retire_old_at: Option<Option<DateTime>>,
}

/// Which secret stops being valid, and when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetireCredentialSecret {
    /// Which one. When the primary goes, the other takes its place.
    #[serde(default)]
    pub slot: SecretSlot,
    /// When; absent: now. `null`: a time that was set is taken back.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<DateTime>))]
    pub at: Option<Option<DateTime>>,
}
