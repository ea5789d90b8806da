//! Mail to people.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How mail stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailState {
    /// Whether a mail server is set.
    pub configured: bool,
    /// Who mails are from.
    #[cfg_attr(
        feature = "schema",
        schema(example = "Signalbox <signalbox@example.com>")
    )]
    pub from: Option<String>,
    /// Mails that wait to be sent.
    pub waiting: i64,
    /// Mails of the last seven days that were given up.
    pub failed: i64,
    /// Why a mail was not taken the last time, while one waits or was given up.
    #[cfg_attr(
        feature = "schema",
        schema(example = "the mail server could not be reached")
    )]
    pub last_error: Option<String>,
    /// When the mail server last took one.
    pub last_sent_at: Option<crate::DateTime>,
}

/// Send a mail that tries the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TestMail {
    /// To whom.
    #[cfg_attr(feature = "schema", schema(example = "ann@example.com"))]
    pub to: String,
}

/// The mail server took it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestMailSent {
    /// Its message id begins with this.
    pub id: Uuid,
}
