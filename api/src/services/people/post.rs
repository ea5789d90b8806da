//! The mails to people. The one place that writes them.

use entity::workspace;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

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
        /// The workspace.
        workspace: &'a workspace::Model,
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
    /// Show that the address is yours, and register.
    Registration {
        /// To whom.
        to: &'a str,
        /// The workspace.
        workspace: &'a workspace::Model,
        /// The way there.
        link: &'a str,
    },
    /// Somebody let you in.
    Approved {
        /// To whom.
        to: &'a str,
        /// The workspace.
        workspace: &'a workspace::Model,
        /// The sign-in page.
        link: &'a str,
    },
    /// There is an account of your address already.
    Known {
        /// To whom.
        to: &'a str,
        /// The sign-in page.
        link: &'a str,
    },
    /// Show that the new address is yours.
    NewAddress {
        /// To whom: the new one.
        to: &'a str,
        /// The way there.
        link: &'a str,
    },
    /// The address of your account is another one now.
    AddressChanged {
        /// To whom: the old one.
        to: &'a str,
        /// The new one.
        new: &'a str,
    },
}

/// Whether the server sends mail at all.
pub(super) fn can_send(core: &Core) -> bool {
    core.mail.is_configured()
}

/// Sends a mail with a link, in the transaction that makes the link. False: the server sends no
/// mail, or none can reach that address.
///
/// # Errors
/// The database or the key ring failed.
pub(super) async fn send(
    core: &Core,
    txn: &impl ConnectionTrait,
    letter: Letter<'_>,
) -> ApiResult<bool> {
    let (to, subject, text) = letter.parts();
    let (kind, workspace) = letter.about();
    let Ok(to) = EmailAddress::parse(to) else {
        return Ok(false);
    };
    let message = Message {
        kind,
        workspace,
        to,
        subject: subject.to_owned(),
        text: Secret::new(text),
    };
    match core.mail.send(txn, &message).await {
        Ok(_) => Ok(true),
        Err(MailError::NotConfigured) => Ok(false),
        Err(MailError::Database(error)) => Err(error.into()),
        Err(MailError::Keys(error)) => Err(error.into()),
        Err(error @ MailError::Form) => Err(ApiError::internal("mail", &error)),
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
                let (workspace, by) = (one_line(&workspace.name), one_line(by));
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
            Self::Registration {
                to,
                workspace,
                link,
            } => {
                let workspace = one_line(&workspace.name);
                let text = format!(
                    "Somebody, probably you, asked to join the workspace \"{workspace}\" of \
                     Signalbox with this address.\n\n\
                     Open this link to choose a name and a password:\n\n{link}\n\n\
                     It works once, for a day. If it was not you, do nothing: nobody learns that \
                     you got this mail.\n"
                );
                (to, "Join Signalbox", text)
            }
            Self::Approved {
                to,
                workspace,
                link,
            } => {
                let workspace = one_line(&workspace.name);
                let text = format!(
                    "You may enter the workspace \"{workspace}\" of Signalbox now. Sign in with \
                     this address and the password that you chose:\n\n{link}\n"
                );
                (to, "Welcome to Signalbox", text)
            }
            Self::Known { to, link } => {
                let text = format!(
                    "Somebody, probably you, wanted to use this address for an account of \
                     Signalbox. It has an account already. Sign in with it, or choose a new \
                     password there:\n\n{link}\n\n\
                     To enter another workspace, ask somebody in it to invite you. If it was not \
                     you, do nothing.\n"
                );
                (to, "Your account of Signalbox", text)
            }
            Self::NewAddress { to, link } => {
                let text = format!(
                    "Somebody, probably you, wants to sign in to Signalbox with this address from \
                     now on.\n\nOpen this link to confirm that:\n\n{link}\n\n\
                     It works once, for an hour. If it was not you, do nothing.\n"
                );
                (to, "Your new address for Signalbox", text)
            }
            Self::AddressChanged { to, new } => {
                let new = one_line(new);
                let text = format!(
                    "Your account of Signalbox has another address now: {new}. This one does not \
                     lead in any more.\n\n\
                     If it was not you, tell whoever looks after the server at once.\n"
                );
                (to, "The address of your account has changed", text)
            }
        }
    }

    /// What kind of mail it is, and of which workspace.
    const fn about(self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::Invitation { workspace, .. } => ("invitation", Some(workspace.id)),
            Self::Reset { .. } => ("password_reset", None),
            Self::Registration { workspace, .. } => ("registration", Some(workspace.id)),
            Self::Approved { workspace, .. } => ("registration_approved", Some(workspace.id)),
            Self::Known { .. } => ("account_exists", None),
            Self::NewAddress { .. } => ("new_email", None),
            Self::AddressChanged { .. } => ("email_changed", None),
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
        let workspace = workspace::Model {
            id: Uuid::nil(),
            slug: "acme".to_owned(),
            name: "Acme\n\nhttps://evil.example".to_owned(),
            created_at: 0,
            require_second_factor: false,
            deleting_at: None,
        };
        let letter = Letter::Invitation {
            to: "ada@example.com",
            workspace: &workspace,
            by: "eve@example.com",
            link: "https://signalbox.example.com/invitation#x",
        };
        let (to, subject, text) = letter.parts();
        assert_eq!((to, subject.contains("Acme")), ("ada@example.com", false));
        assert!(text.contains("\n\nhttps://signalbox.example.com/invitation#x\n\n"));
        assert!(!text.contains("\nhttps://evil"));
    }
}
