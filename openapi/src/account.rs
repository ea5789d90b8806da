//! One's own account: password, sessions, second factor.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::auth::User;

/// One's own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Profile {
    /// The person.
    pub user: User,
    /// When the account was made.
    pub created_at: DateTime,
    /// Whether there is a password.
    pub has_password: bool,
    /// When it was set; none: with the account.
    pub password_changed_at: Option<DateTime>,
    /// Since when codes of an app are asked for; none: they are not.
    pub second_factor_since: Option<DateTime>,
    /// Recovery codes that were not used.
    pub recovery_codes_left: u32,
}

/// A change of one's own account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeProfile {
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Ada"))]
    pub name: String,
}

/// A new address for oneself.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeEmail {
    /// The new address; a link is mailed there.
    #[cfg_attr(feature = "schema", schema(example = "ada.lee@example.com"))]
    pub email: String,
}

/// A new password for oneself.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now; left out only by an account that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub current_password: Option<String>,
    /// The new one.
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub new_password: String,
}

/// A password to be judged.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordToJudge {
    /// The password.
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub password: String,
    /// What should not be in it: the address and the name of the account.
    #[serde(default)]
    pub hints: Vec<String>,
}

/// How strong a password is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PasswordStrength {
    /// 0, guessed at once, to 4.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 4))]
    pub score: u8,
    /// Whether it would be taken.
    pub acceptable: bool,
    /// What is wrong with it, and what would help.
    pub advice: Vec<String>,
}

/// Asks for a link to a new password.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ForgottenPassword {
    /// Address of the account.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub email: String,
}

/// A new password by a link.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// What stands behind `#` in the link.
    pub token: String,
    /// The new password.
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub password: String,
}

/// A browser in which one is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OwnSession {
    /// Id.
    pub id: Uuid,
    /// Whether it is the one that asks.
    pub current: bool,
    /// Address of the sign-in.
    #[cfg_attr(feature = "schema", schema(example = "192.0.2.10"))]
    pub remote_addr: String,
    /// What the browser calls itself.
    pub user_agent: String,
    /// The sign-in.
    pub started_at: DateTime,
    /// Last request, to the minute.
    pub last_seen_at: DateTime,
    /// When it ends in any case.
    pub expires_at: DateTime,
}

/// Who one is, once more: the password or a code.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmIdentity {
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub password: Option<String>,
    /// A code of the app, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "287082"))]
    pub code: Option<String>,
}

/// A code of the second factor.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SecondFactorCode {
    /// Six digits of the app, or a recovery code.
    #[cfg_attr(feature = "schema", schema(example = "287082"))]
    pub code: String,
}

/// The secret of an app that is being set up; it is not shown again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NewSecondFactor {
    /// The secret, for typing in.
    pub secret: String,
    /// The same as apps read it.
    pub uri: String,
    /// The same as a picture for the app's camera.
    pub qr_svg: String,
}

/// Codes that stand in for the app, each once. They are not shown again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RecoveryCodes {
    /// The codes.
    pub codes: Vec<String>,
    /// Send it as `X-CSRF-Token` from now on.
    pub csrf_token: String,
}
