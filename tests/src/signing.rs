//! Signatures as senders make them; written apart from the code that checks them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// HMAC-SHA256 over the parts, one after the other.
///
/// # Panics
/// Never: every key length is allowed.
pub fn sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// HMAC-SHA1 over the parts, one after the other.
///
/// # Panics
/// Never: every key length is allowed.
pub fn sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// Standard base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The key bytes of a `whsec_…` secret.
///
/// # Panics
/// It is none.
pub fn webhook_key(secret: &str) -> Vec<u8> {
    STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap()
}

/// Somebody who signs requests to the API.
#[derive(Clone, Debug)]
pub struct ApiSigner {
    /// Public name.
    pub client_id: String,
    /// The whole text is the key.
    pub secret: String,
}

impl ApiSigner {
    /// With these.
    pub fn new(client_id: &str, secret: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// The headers of a request. `target` is path and query as they are sent.
    pub fn headers(
        &self,
        (method, target): (&str, &str),
        body: &[u8],
        seconds: i64,
        nonce: &str,
    ) -> Vec<(&'static str, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let hash = hex::encode(Sha256::digest(body));
        let text = [
            "SB1-HMAC-SHA256",
            &self.client_id,
            method,
            path,
            query,
            &seconds.to_string(),
            nonce,
            &hash,
        ]
        .join("\n");
        let code = hex::encode(sha256(self.secret.as_bytes(), &[text.as_bytes()]));
        vec![
            ("x-client-id", self.client_id.clone()),
            ("x-timestamp", seconds.to_string()),
            ("x-nonce", nonce.to_owned()),
            ("x-signature", format!("v1={code}")),
        ]
    }

    /// The headers of the plain form.
    pub fn plain_headers(
        &self,
        (method, path): (&str, &str),
        body: &[u8],
        seconds: i64,
    ) -> Vec<(&'static str, String)> {
        let time = seconds.to_string();
        let parts = [method.as_bytes(), path.as_bytes(), body, time.as_bytes()];
        let code = hex::encode(sha256(self.secret.as_bytes(), &parts));
        vec![
            ("x-client-id", self.client_id.clone()),
            ("x-timestamp", time),
            ("x-signature", code),
        ]
    }
}
