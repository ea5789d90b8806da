//! The mails to people. The one place that writes them.

use sea_orm::ConnectionTrait;

use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::mail::{EmailAddress, MailError, Message};
use crate::secrets::Secret;

/// What is written to whom.
#[derive(Clone, Copy, Debug)]
pub(super) enum Letter<'a> {
    /// Come in.
    Invitation {
        /// To whom.
        to: &'a str,
        /// Name of the workspace.
        workspace: &'a str,
        /// Who invites.
        by: &'a str,
        /// The way in.
        link: &'a str,
    },
    /// Choose a new password.
    Reset {
        /// To whom.
        to: &'a str,
        /// The way there.
        link: &'a str,
    },
}

/// Whether the server sends mail at all.
pub(super) fn can_send(core: &Core) -> bool {
    core.mail.is_configured()
}

/// Sends a mail with a link, in the transaction that makes the link. False: the server sends no
/// mail, or not to such an address.
///
/// # Errors
/// The database failed.
pub(super) async fn send(
    core: &Core,
    txn: &impl ConnectionTrait,
    letter: Letter<'_>,
) -> ApiResult<bool> {
    let (to, subject, text) = letter.parts();
    let Ok(to) = EmailAddress::parse(to) else {
        return Ok(false);
    };
    let message = Message {
        to,
        subject: subject.to_owned(),
        text: Secret::new(text),
    };
    match core.mail.send(txn, &message).await {
        Ok(_) => Ok(true),
        Err(MailError::NotConfigured) => Ok(false),
        Err(MailError::Form) => Err(ApiError::internal("mail", &"the mail has a bad form")),
        Err(MailError::Keys(error)) => Err(error.into()),
        Err(MailError::Database(error)) => Err(error.into()),
    }
}

impl<'a> Letter<'a> {
    /// Address, subject and text. What people have chosen stands in the text only.
    fn parts(self) -> (&'a str, &'static str, String) {
        match self {
            Self::Invitation {
                to,
                workspace,
                by,
                link,
            } => {
                let (workspace, by) = (one_line(workspace), one_line(by));
                let text = format!(
                    "{by} invites you to the workspace \"{workspace}\" of Signalbox.\n\n\
                     Open this link to join:\n\n{link}\n\n\
                     It works once. If you did not expect it, do nothing.\n"
                );
                (to, "You are invited to Signalbox", text)
            }
            Self::Reset { to, link } => {
                let text = format!(
                    "Somebody, probably you, asked for a new password for Signalbox.\n\n\
                     Open this link to choose one:\n\n{link}\n\n\
                     It works once, for an hour. If it was not you, do nothing: your password \
                     stays as it is.\n"
                );
                (to, "A new password for Signalbox", text)
            }
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_chose_adds_no_line() {
        let letter = Letter::Invitation {
            to: "ada@example.com",
            workspace: "Acme\n\nhttps://evil.example",
            by: "eve@example.com",
            link: "https://signalbox.example.com/invitation#x",
        };
        let (to, subject, text) = letter.parts();
        assert_eq!((to, subject.contains("Acme")), ("ada@example.com", false));
        assert!(text.contains("\n\nhttps://signalbox.example.com/invitation#x\n\n"));
        assert!(!text.contains("\nhttps://evil"));
    }
}
