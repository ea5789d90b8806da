//! Passkeys (`WebAuthn`): signing in without a password.
//!
//! Invariant: a passkey is taken only with the person verified by the authenticator (finger, face or
//! PIN), so that it is both factors; for a challenge that this server made, at most five minutes ago,
//! once, on whatever node; from a page of our own origin; and with a counter that has grown, where the
//! authenticator counts. Only the public key is stored. The names of accounts play no part in a
//! sign-in, so nobody learns which exist: the browser offers what it has, and every refusal is the
//! same.
//!
//! A counter that went back means that there may be a copy of the key: the sign-in is refused and
//! the audit log says so. A crash between the taking of a challenge and the session loses the try.

mod party;
mod sign_in;
mod store;

use entity::passkey;
use openapi::passkeys::Passkey;
use openapi::problem::Code;

use crate::clock::from_ms;
use crate::http::problem::ApiError;

/// Passkeys of one person.
const MOST: u64 = 20;
/// Longest answer of a browser, in bytes.
const LARGEST: usize = 64 << 10;

/// The wire form.
fn to_wire(row: passkey::Model) -> Passkey {
    Passkey {
        id: row.id,
        name: row.name,
        created_at: from_ms(row.created_at),
        last_used_at: row.last_used_at.map(from_ms),
    }
}

/// The one answer to whoever is not let in. The reason goes to the log.
fn refused(reason: &'static str) -> ApiError {
    tracing::warn!(reason, "A passkey was refused.");
    ApiError::new(Code::PasskeyRefused)
}
