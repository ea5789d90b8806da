//! Message authentication codes over a text made of pieces.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::scheme::Algorithm;

/// The code of the pieces one after the other. HMAC takes keys of any length, so the error arm
/// cannot be reached; it yields nothing, which equals no signature.
pub(super) fn code(algorithm: Algorithm, key: &[u8], pieces: &[&[u8]]) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Sha256 => Some(feed(Hmac::<Sha256>::new_from_slice(key).ok()?, pieces)),
        Algorithm::Sha1 => Some(feed(Hmac::<Sha1>::new_from_slice(key).ok()?, pieces)),
    }
}

fn feed<M: Mac>(mut mac: M, pieces: &[&[u8]]) -> Vec<u8> {
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}
