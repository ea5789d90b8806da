//! People: who is in a workspace, who is invited, and what one does with the own account.
//!
//! An account is global; a membership belongs to a workspace. Whoever looks after a workspace
//! decides about its memberships and invitations, and about nothing else: password, second factor
//! and sessions are the person's own, or the command line's. Links carry a random token behind `#`,
//! which browsers do not send; the database holds its hash, and it works once.

mod account;
mod by_hand;
mod deed;
mod emails;
mod factor;
mod invitations;
mod members;
pub mod policy;
mod post;
mod registrations;
mod resets;
mod rights;

use entity::user;
use openapi::problem::FieldError;

use super::validate::error;

pub use account::{
    change_password, end_other_sessions, end_session, own_sessions, profile, rename,
};
pub use by_hand::{
    Listed, by_hand, change_email_by_hand, disable, enable, invite_by_hand, list_by_hand,
    reset_link, reset_second_factor, set_password,
};
pub use deed::{Deed, note, note_by, note_later};
pub use emails::{ask_for_email, change_email};
pub use factor::{begin_setup, finish_setup, new_recovery_codes, turn_off};
pub use invitations::{
    accept_as_new, accept_as_person, invitations, invite, resend, revoke, show_invitation,
};
pub use members::{change_member, members, remove_member};
pub use policy::change_policy;
pub use registrations::{
    approve, ask_to_join, refuse, register, registration_offer, registrations, show_registration,
};
pub use resets::{ask_for_reset, reset_by_link};

/// Longest address of an account.
const LONGEST_EMAIL: usize = 254;

/// Whether a second factor is asked for when this person signs in.
pub const fn has_second_factor(user: &user::Model) -> bool {
    user.totp_at.is_some()
}

/// An address as it is stored, or what is wrong with it.
fn check_email(email: &str) -> Result<String, FieldError> {
    let email = email.trim().to_lowercase();
    let sound = email.len() <= LONGEST_EMAIL
        && !email.chars().any(|c| c.is_control() || c.is_whitespace())
        && email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@')
        });
    if sound {
        return Ok(email);
    }
    Err(error(
        "email",
        "bad_email",
        "an address, as ada@example.com",
    ))
}

/// The link of an invitation.
fn invitation_link(public_url: &str, token: &str) -> String {
    format!("{public_url}/invitation#{token}")
}

/// The link to a new password.
fn reset_page(public_url: &str, token: &str) -> String {
    format!("{public_url}/reset-password#{token}")
}
