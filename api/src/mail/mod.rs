//! Mail to people: invitations, reset links, tests.
//!
//! Invariant: a mail is a row, written in the transaction of what it tells of, and sent beside the
//! requests; a handler never waits for a mail server. Its text lies sealed in the row, since it may
//! hold a link that signs somebody in, and is wiped as soon as the mail was taken, or a day after it
//! was given up, until when a person may send it once more; neither the text nor an address is ever logged. What comes from outside cannot add a header: an
//! address is parsed, and a subject has no control characters.
//!
//! A mail that is not taken is tried again, later and later, for a day. After a crash between the
//! server's answer and the note of it, a mail goes out a second time under the same message id, by
//! which mailboxes show it once. Without a mail server, [`Mail::send`] says so, and the caller shows
//! a link instead.

mod address;
mod compose;
mod outbox;
pub mod service;
mod smtp;

use std::sync::Arc;

use entity::mail;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _};
use uuid::Uuid;

pub use address::{AddressFault, EmailAddress, is_sender};
pub use outbox::{KIND, Outbox};
pub use smtp::Refusal;

use crate::clock::Clock;
use crate::ids;
use crate::schedule;
use crate::secrets::{Keyring, KeyringError, Secret};
use crate::settings::Settings;
use compose::Composer;
use smtp::{SHORT, Smtp};

/// Longest subject, in characters.
const SUBJECT: usize = 200;
/// Longest text, in bytes.
const TEXT: usize = 64 << 10;

/// A mail to be sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is, as `invitation`.
    pub kind: &'static str,
    /// The workspace that it is about; none: an account.
    pub workspace: Option<Uuid>,
    /// To whom.
    pub to: EmailAddress,
    /// One line.
    pub subject: String,
    /// The text, in English, plain. An address in a line of its own becomes a link.
    pub text: Secret,
}

/// Why a mail cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// No mail server is set; the caller shows what the mail would have said.
    #[error("no mail server is set")]
    NotConfigured,
    /// The subject has control characters or is too long, or the text is too long.
    #[error("the mail has a bad form")]
    Form,
    /// The text cannot be sealed.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// What sends mail. Cheap to clone.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    way: Option<Way>,
    keyring: Keyring,
    clock: Clock,
}

/// Who the mails are from, and which server takes them.
struct Way {
    composer: Composer,
    smtp: Smtp,
}

impl Mail {
    /// By these settings. Connects to nothing.
    ///
    /// # Errors
    /// The certificate of `smtp_ca` cannot be used.
    pub fn new(settings: &Settings, keyring: Keyring, clock: Clock) -> Result<Self, String> {
        let way = match Composer::of(settings) {
            None => None,
            Some(composer) => Some(Way {
                composer,
                smtp: Smtp::of(settings)?,
            }),
        };
        Ok(Self(Arc::new(Inner {
            way,
            keyring,
            clock,
        })))
    }

    /// Whether a mail server is set.
    pub fn is_configured(&self) -> bool {
        self.0.way.is_some()
    }

    /// Puts a mail into the outbox, in the caller's transaction; it leaves after the commit. Returns
    /// its id.
    ///
    /// # Errors
    /// No mail server is set, the form is bad, or the database failed.
    pub async fn send(
        &self,
        txn: &impl ConnectionTrait,
        message: &Message,
    ) -> Result<Uuid, MailError> {
        let inner = &self.0;
        if inner.way.is_none() {
            return Err(MailError::NotConfigured);
        }
        check(message)?;
        let now = inner.clock.now_ms();
        let id = ids::new(&inner.clock);
        let (key_id, sealed) = inner.keyring.seal(&place(id), &message.text)?;
        let row = mail::ActiveModel {
            id: Set(id),
            state: Set(outbox::WAITING.to_owned()),
            recipient: Set(message.to.as_str().to_owned()),
            subject: Set(message.subject.clone()),
            key_id: Set(key_id),
            sealed: Set(sealed),
            attempts: Set(0),
            created_at: Set(now),
            due_at: Set(now),
            claimed_until: Set(None),
            error: Set(None),
            ended_at: Set(None),
            workspace_id: Set(message.workspace),
            kind: Set(message.kind.to_owned()),
        };
        mail::Entity::insert(row)
            .exec_without_returning(txn)
            .await?;
        schedule::set(txn, KIND, outbox::SEND, now).await?;
        Ok(id)
    }

    /// Sends a mail at once and waits for the server's answer, for a person who tries the settings.
    ///
    /// # Errors
    /// None: no mail server is set. Else why the mail was not taken.
    pub async fn send_now(&self, message: &Message) -> Result<Uuid, Option<Refusal>> {
        let inner = &self.0;
        let way = inner.way.as_ref().ok_or(None)?;
        let now = inner.clock.now();
        let id = ids::new(&inner.clock);
        check(message).map_err(|error| Some(Refusal::ours(&error.to_string())))?;
        let mail = way
            .composer
            .compose(
                id,
                now,
                message.to.as_str(),
                &message.subject,
                message.text.reveal(),
            )
            .map_err(Some)?;
        way.smtp.hand_over(mail, SHORT).await.map_err(Some)?;
        Ok(id)
    }

    /// The address that mails come from, if a mail server is set.
    pub fn sender(&self) -> Option<String> {
        let way = self.0.way.as_ref()?;
        Some(way.composer.sender())
    }
}

/// The mail by which somebody tries the settings.
pub fn test_message(to: EmailAddress, public_url: &str) -> Message {
    Message {
        kind: "test",
        workspace: None,
        to,
        subject: "Signalbox: test mail".to_owned(),
        text: Secret::new(format!(
            "This mail was sent by Signalbox to try its mail settings. Nothing has to be \
             done.\n\n{public_url}\n"
        )),
    }
}

fn check(message: &Message) -> Result<(), MailError> {
    let subject = &message.subject;
    let fits = !subject.trim().is_empty()
        && subject.chars().count() <= SUBJECT
        && !subject.chars().any(char::is_control)
        && message.text.reveal().len() <= TEXT;
    if fits { Ok(()) } else { Err(MailError::Form) }
}

/// What a sealed text is bound to.
pub(crate) fn place(id: Uuid) -> String {
    format!("mail:{id}:text")
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail(configured: {})", self.is_configured())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str) -> Message {
        Message {
            kind: "test",
            workspace: None,
            to: EmailAddress::parse("ann@example.com").unwrap(),
            subject: subject.to_owned(),
            text: Secret::new("hello"),
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        assert!(check(&message("Hello")).is_ok());
        for bad in [
            "",
            "  ",
            "a\r\nBcc: x@example.com",
            "a\nb",
            "a\u{0}b",
            "a\u{85}b",
            &"x".repeat(201),
        ] {
            assert!(check(&message(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_shows_a_text() {
        assert!(!format!("{:?}", message("Hello")).contains("hello"));
    }
}
