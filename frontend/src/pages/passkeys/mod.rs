//! Passkeys: the button on the sign-in page, the one that confirms, and one's own.

mod browser;
mod button;
mod own;

pub use button::{PasskeyProof, PasskeySignIn};
pub use own::OwnPasskeys;
