//! Bearer tokens: `sbb_<client>_<43 base64url characters><6-character checksum>`.
//!
//! The checksum is no secret: it lets the server refuse junk without a look-up or a hash, and lets
//! scanners tell a token from other text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::ids;
use crate::secrets::Secret;

const PREFIX: &str = "sbb_";
/// Lets scanners tell a signing secret from other text.
const SECRET_PREFIX: &str = "sbs_";
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;
/// Longest client id.
const CLIENT: usize = 64;

/// A new token. It is shown once; its Argon2id hash is stored.
#[derive(Clone)]
pub struct Bearer {
    /// Public name, part of the token.
    pub client_id: String,
    /// The whole token.
    pub token: String,
}

/// A new client id: twelve characters of `[0-9a-f]`.
pub fn make_client_id() -> String {
    hex::encode(ids::random::<6>())
}

/// A new secret to sign with: 256 random bits. The whole text is the key.
pub fn make_secret() -> Secret {
    let random = URL_SAFE_NO_PAD.encode(ids::random::<32>());
    Secret::new(format!("{SECRET_PREFIX}{random}"))
}

/// Makes a token with a client id of its own.
pub fn make_bearer() -> Bearer {
    make_bearer_of(make_client_id())
}

/// Makes a token of a client. Its `hash_password` is what is stored.
pub fn make_bearer_of(client_id: String) -> Bearer {
    let body = format!(
        "{PREFIX}{client_id}_{}",
        URL_SAFE_NO_PAD.encode(ids::random::<32>())
    );
    let token = format!("{body}{}", checksum(&body));
    Bearer { client_id, token }
}

/// The client id of a token whose form and checksum are right; none for junk.
pub fn check_bearer(token: &str) -> Option<&str> {
    if token.len() > PREFIX.len() + CLIENT + 1 + RANDOM + CHECKSUM || !token.is_ascii() {
        return None;
    }
    let (body, sum) = token.split_at_checked(token.len().checked_sub(CHECKSUM)?)?;
    let (head, random) = body.split_at_checked(body.len().checked_sub(RANDOM)?)?;
    let client = head.strip_prefix(PREFIX)?.strip_suffix('_')?;
    let well_formed = !client.is_empty()
        && client
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && URL_SAFE_NO_PAD.decode(random).is_ok();
    (well_formed && checksum(body) == sum).then_some(client)
}

fn checksum(body: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(Sha256::digest(body.as_bytes()));
    text.truncate(CHECKSUM);
    text
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer({})", self.client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_client() {
        let bearer = make_bearer();
        assert_eq!(check_bearer(&bearer.token), Some(bearer.client_id.as_str()));
        assert_eq!(bearer.token.len(), 4 + 12 + 1 + 43 + 6);
    }

    #[test]
    fn junk_is_refused_by_its_form() {
        let good = make_bearer().token;
        let mut flipped = good.clone().into_bytes();
        flipped[30] = if flipped[30] == b'a' { b'b' } else { b'a' };
        let flipped = String::from_utf8(flipped).unwrap();
        for junk in [
            "",
            "sbb_",
            "sbb__",
            "x",
            "ä",
            &good[1..],
            &good[..good.len() - 1],
            &flipped,
        ] {
            assert_eq!(check_bearer(junk), None, "{junk}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = check_bearer(&text);
        }
    }
}
