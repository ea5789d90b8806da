//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key ring, bound to their owner.
//!
//! Invariant: a sealed value opens only with the key that sealed it and in the place it was sealed
//! for (the associated data names owner and slot), so a row copied elsewhere is useless. A lost key
//! file makes the stored secrets unreadable; a wrong one refuses to start.

mod keyring;
mod text;

pub use keyring::{Keyring, KeyringError};
pub use text::Secret;
