//! Who asks, and what they may do.
//!
//! Invariant: a [`Scope`](crate::scope::Scope) reaches a handler only through [`needs()`], which
//! authenticates, finds the workspace and checks the permission before anything of the request is
//! validated or looked up. Fails closed: what cannot be checked is refused. Sessions and tokens lie
//! in the database as hashes, signing secrets sealed; the caches here are short-lived and bounded,
//! and a crash loses nothing but them.
//!
//! A signed request is checked in this order: form of the headers, time, client, signature, status,
//! network, nonce, scope. A client that is not known is checked against a key that nobody has, and
//! gets the answer of a wrong signature; so does a credential that is of no use any more, unless the
//! signature is right.

mod address;
mod admit;
mod authenticator;
mod bearer;
mod caller;
mod credentials;
mod guard;
mod meter;
mod nonces;
mod once;
mod passkeys;
mod password;
mod people;
mod permission;
mod providers;
mod second_factor;
mod sessions;
mod sign_in;
mod signed;
mod strength;
mod tokens;
mod tries;
mod uses;

pub use address::{client_address, in_networks};
pub use authenticator::{Authenticator, WORKSPACE_HEADER, WORKSPACE_PARAMETER};
pub use bearer::{Bearer, check_bearer, make_bearer, make_bearer_of, make_client_id, make_secret};
pub use caller::{Actor, Caller, Means};
pub use guard::{Needs, a_person, needs, signed_in};
pub use meter::{Metered, by_address};
pub use once::{Begun, Whose, begin as begin_once, forget as forget_once, take as take_once};
pub use password::{HashError, generate_password, hash_password, verify_password};
pub use people::Person;
pub use permission::{CUSTOM, Permission, Role, permissions_of, stored_permissions};
pub use providers::{CallbackQuery, FLOW_COOKIE, Providers, SECURE_FLOW_COOKIE, StartQuery};
pub use second_factor::{
    BEING_SET_UP, IN_USE, NAME as TOTP_NAME, Shown, forget_recovery_codes, make_recovery_codes,
    make_totp_secret, recovery_codes_left, totp_secret, totp_uri, use_app_code,
};
pub use sessions::{
    COOKIE, CSRF_HEADER, SECURE_COOKIE, SignedIn, csrf_token, end, end_all, make_link_token, renew,
    session_id, sessions_of,
};
pub use sign_in::{PENDING_COOKIE, SECURE_PENDING_COOKIE, SignIn, user_of};
pub use strength::{check_password, judge_password};
pub use tokens::{Purpose, forget_tokens, make_token, spend_token, token_owner};
pub use uses::{Uses, keep_uses};

use sha2::{Digest as _, Sha256};

/// Lower-hex SHA-256: how random tokens are stored.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
