//! Signing in.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::workspaces::Workspace;

/// Sign in with e-mail and password.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The address of the account.
    #[cfg_attr(feature = "schema", schema(example = "admin@localhost"))]
    pub email: String,
    /// The password.
    #[cfg_attr(
        feature = "schema",
        schema(format = "password", example = "correct horse battery staple")
    )]
    pub password: String,
}

/// Somebody that people sign in with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignInProvider {
    /// Its name in addresses: `/api/v1/auth/providers/{name}/start`.
    #[cfg_attr(feature = "schema", schema(example = "corp"))]
    pub name: String,
    /// What the button says.
    #[cfg_attr(feature = "schema", schema(example = "Example Corp"))]
    pub title: String,
    /// Whether it can be made to ask a person anew (`start?confirm=true`).
    pub confirms: bool,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Session {
    /// The person.
    pub user: User,
    /// Workspaces that the person may enter; the first is where requests without `X-Workspace` go.
    pub workspaces: Vec<Membership>,
    /// Send it as `X-CSRF-Token` with every write.
    pub csrf_token: String,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct User {
    /// Id.
    pub id: Uuid,
    /// Address.
    pub email: String,
    /// Name for people.
    pub name: String,
}

/// A workspace and the role in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Membership {
    /// The workspace.
    pub workspace: Workspace,
    /// `owner`, `admin`, `operator`, `viewer`, or `custom:` and the id of a role.
    pub role: String,
}

/// Who a request came from, as the server sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    /// `session`, `bearer` or `hmac`.
    #[cfg_attr(feature = "schema", schema(example = "hmac"))]
    pub kind: String,
    /// E-mail of the person, or name of the credential.
    pub name: String,
    /// Client id of the credential.
    pub client_id: Option<String>,
    /// Which of the credential's secrets was used.
    pub slot: Option<crate::credentials::SecretSlot>,
    /// The workspace that requests act in.
    pub workspace: Workspace,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The address that the server sees.
    pub remote_addr: String,
    /// The network of the credential's list that this address lies in.
    #[cfg_attr(feature = "schema", schema(example = "192.0.2.0/24"))]
    pub matched_cidr: Option<String>,
    /// The server's time.
    pub server_time: crate::DateTime,
    /// Seconds that the server's clock is ahead of the timestamp of a signed request.
    pub skew_seconds: Option<i64>,
    /// The id of this request, as it stands in the server's log.
    pub request_id: String,
}
