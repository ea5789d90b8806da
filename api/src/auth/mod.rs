//! Who asks, and what they may do.
//!
//! Invariant: a [`Scope`](crate::scope::Scope) reaches a handler only through [`needs()`], which
//! authenticates, finds the workspace and checks the permission before anything of the request is
//! validated or looked up. Fails closed: what cannot be checked is refused. Sessions and credentials
//! lie in the database as hashes; the caches here are short-lived and bounded, and a crash loses
//! nothing but them.

mod address;
mod authenticator;
mod bearer;
mod credentials;
mod guard;
mod password;
mod permission;
mod sessions;

pub use address::{client_address, in_networks};
pub use authenticator::{Actor, Authenticator, Caller, WORKSPACE_HEADER};
pub use bearer::{Bearer, check_bearer, make_bearer};
pub use guard::{Needs, needs, signed_in};
pub use password::{HashError, generate_password, hash_password, verify_password};
pub use permission::{Permission, Role};
pub use sessions::{COOKIE, CSRF_HEADER, SECURE_COOKIE, SignedIn, csrf_token};

use sha2::{Digest as _, Sha256};

/// Lower-hex SHA-256: how random tokens are stored.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
