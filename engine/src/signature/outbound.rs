//! Signing what we send, by the Standard Webhooks convention.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hmac::code;
use super::scheme::Algorithm;
use crate::secret::Secret;

/// The three headers of a signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardHeaders {
    /// `webhook-id`: stays the same over repeats.
    pub id: String,
    /// `webhook-timestamp`: unix seconds.
    pub timestamp: String,
    /// `webhook-signature`: one `v1,…` for each secret.
    pub signature: String,
}

/// Signs a message with every secret, the newest first, so that a receiver that knows any of them
/// accepts it. Secrets that cannot be read are left out; with none left the signature is empty.
pub fn sign_standard_webhook(
    secrets: &[Secret],
    id: &str,
    unix_seconds: i64,
    body: &[u8],
) -> StandardHeaders {
    let timestamp = unix_seconds.to_string();
    let pieces: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| {
            let key = parse_standard_secret(secret.expose())?;
            let code = code(Algorithm::Sha256, key.expose(), &pieces)?;
            Some(format!("v1,{}", STANDARD.encode(code)))
        })
        .collect();
    StandardHeaders {
        id: id.to_owned(),
        timestamp,
        signature: signatures.join(" "),
    }
}

/// The key in `whsec_<base64>`, the prefix optional; `None` if it is empty or no base64.
pub fn parse_standard_secret(secret: &[u8]) -> Option<Secret> {
    let encoded = secret.strip_prefix(b"whsec_").unwrap_or(secret);
    let key = STANDARD.decode(encoded).ok()?;
    (!key.is_empty()).then(|| Secret::new(key))
}
