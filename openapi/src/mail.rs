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

/// A mail, without what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailEntry {
    /// Id; its message id begins with it.
    pub id: Uuid,
    /// What it is: `invitation`, `password_reset`, `registration`, `registration_approved`,
    /// `new_email`, `email_changed`, `account_exists`; empty: not known.
    #[cfg_attr(feature = "schema", schema(example = "invitation"))]
    pub kind: String,
    /// To whom: the first letter and the domain.
    #[cfg_attr(feature = "schema", schema(example = "a…@example.com"))]
    pub to: String,
    /// `waiting`, `sent` or `failed`.
    pub state: MailProgress,
    /// How often it was handed to the mail server.
    pub attempts: i32,
    /// When it was written.
    pub created_at: crate::DateTime,
    /// When it is tried next, while it waits.
    pub next_try_at: Option<crate::DateTime>,
    /// When it was taken or given up.
    pub ended_at: Option<crate::DateTime>,
    /// Why it was not taken the last time.
    #[cfg_attr(
        feature = "schema",
        schema(example = "the mail server could not be reached")
    )]
    pub error: Option<String>,
    /// Whether it can be sent once more: it waits, or was given up less than a day ago.
    pub can_retry: bool,
}

/// How far a mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MailProgress {
    /// To be sent.
    Waiting,
    /// The mail server took it.
    Sent,
    /// Given up.
    Failed,
}
