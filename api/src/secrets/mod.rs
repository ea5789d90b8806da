//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key ring, bound to their owner.
//!
//! Invariant: a sealed value opens only with the key that sealed it and in the place it was sealed
//! for (the associated data names owner and slot), so a row copied elsewhere is useless. A lost key
//! file makes the stored secrets unreadable; a wrong one refuses to start.
//!
//! The ring can be turned while servers run: a key is added and made the current one, every row is
//! sealed anew, and each row names its key at every moment. A crash in the middle leaves rows of both
//! keys, which both open; running it again goes on where it stopped.

mod keyring;
mod rewrap;
mod source;
mod text;

pub use keyring::{Keyring, KeyringError, Ring};
pub use rewrap::{RewrapError, Use, check, in_use, rewrap};
pub use source::KeySource;
pub use text::Secret;
