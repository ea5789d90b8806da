//! Signatures of API requests: what is signed, and how a request carries it.
//!
//! The signed text is lines joined by LF, with none at the end: [`SCHEME`], client id, method, path
//! as on the wire, raw query without `?`, unix seconds, nonce, lower-hex SHA-256 of the body. Every
//! part that matters is a line of its own, so no two requests share a text.
//!
//! The plain form, for clients that cannot do otherwise, is `Method + Path + RawBody + Timestamp`
//! run together. It cannot sign a query string or a nonce; the signature itself is then what must
//! not come twice.

use sha2::{Digest as _, Sha256};

use super::hmac::code;
use super::scheme::Algorithm;
use crate::secret::{Secret, constant_time_eq};

/// First line of the signed text: form and algorithm.
pub const SCHEME: &str = "SB1-HMAC-SHA256";
/// Seconds by which a timestamp may differ from the server's.
pub const WINDOW_SECONDS: i64 = 60;

/// The header with the client's public name.
pub const CLIENT_HEADER: &str = "x-client-id";
/// The header with the unix seconds of the request.
pub const TIMESTAMP_HEADER: &str = "x-timestamp";
/// The header with the nonce.
pub const NONCE_HEADER: &str = "x-nonce";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "x-signature";

/// Longest client id.
const CLIENT_LONGEST: usize = 64;
/// Digits of the latest time that is understood.
const SECONDS_LONGEST: usize = 11;
/// Signatures of one request, while its client moves from one secret to the next.
const SIGNATURES: usize = 4;

/// The values of the four headers, as often as each was sent.
#[derive(Clone, Debug, Default)]
pub struct SignatureHeaders<'a> {
    /// `X-Client-Id`.
    pub client: Vec<&'a [u8]>,
    /// `X-Timestamp`.
    pub timestamp: Vec<&'a [u8]>,
    /// `X-Nonce`.
    pub nonce: Vec<&'a [u8]>,
    /// `X-Signature`.
    pub signature: Vec<&'a [u8]>,
}

impl SignatureHeaders<'_> {
    /// Whether the request means to be signed.
    pub fn is_signed(&self) -> bool {
        !(self.client.is_empty() && self.signature.is_empty())
    }
}

/// Why headers are no signature: which one, and what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {expected}")]
pub struct ShapeFault {
    /// The header, as it is written in the documentation.
    pub header: &'static str,
    /// What is expected.
    pub expected: &'static str,
}

/// What a request claims, read from its headers; nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSignature {
    /// The client's public name.
    pub client: String,
    /// Unix seconds.
    pub timestamp: i64,
    /// What is claimed.
    pub claim: Claim,
}

/// The form of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Lines; one of the codes must fit.
    Lines {
        /// Must not come twice.
        nonce: String,
        /// `v1=…`.
        codes: Vec<[u8; 32]>,
    },
    /// The plain form.
    Plain {
        /// Must not come twice.
        code: [u8; 32],
    },
}

/// The request that was signed.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Path as on the wire.
    pub path: &'a str,
    /// Query as on the wire, without `?`; empty if there is none.
    pub query: &'a str,
    /// Bytes of the body.
    pub body: &'a [u8],
}

impl RequestSignature {
    /// Reads the headers.
    ///
    /// # Errors
    /// The header that is missing or has the wrong form.
    pub fn parse(headers: &SignatureHeaders<'_>) -> Result<Self, ShapeFault> {
        let client = one(&headers.client, "X-Client-Id", "1 to 64 of A-Z a-z 0-9 _ -")?;
        let client = word(client, 1, CLIENT_LONGEST).ok_or(ShapeFault {
            header: "X-Client-Id",
            expected: "1 to 64 of A-Z a-z 0-9 _ -",
        })?;
        let timestamp = one(&headers.timestamp, "X-Timestamp", "unix seconds")?;
        let timestamp = seconds(timestamp).ok_or(ShapeFault {
            header: "X-Timestamp",
            expected: "unix seconds",
        })?;
        Ok(Self {
            client: client.to_owned(),
            timestamp,
            claim: claim(headers)?,
        })
    }

    /// What must not come twice within the window.
    pub fn replay_key(&self) -> String {
        match &self.claim {
            Claim::Lines { nonce, .. } => nonce.clone(),
            Claim::Plain { code } => hex::encode(code),
        }
    }

    /// Which of the keys signed this request. All are tried, however early one fits; no keys take
    /// as long as one that does not fit.
    pub fn signed_by(&self, request: &SignedRequest<'_>, keys: &[Secret]) -> Option<usize> {
        let dummy = [Secret::new(&[0_u8; 43][..])];
        let tried = if keys.is_empty() { &dummy[..] } else { keys };
        let mut found = None;
        for (n, key) in tried.iter().enumerate() {
            if self.fits(request, key) && found.is_none() {
                found = Some(n);
            }
        }
        found.filter(|n| keys.get(*n).is_some_and(|key| !key.is_empty()))
    }

    fn fits(&self, request: &SignedRequest<'_>, key: &Secret) -> bool {
        match &self.claim {
            Claim::Lines { nonce, codes } => {
                let text = signed_text(&self.client, self.timestamp, nonce, request);
                let wanted = code(Algorithm::Sha256, key.expose(), &[text.as_bytes()]);
                codes
                    .iter()
                    .fold(false, |fits, given| equal(wanted.as_deref(), given) | fits)
            }
            Claim::Plain { code: given } => {
                let timestamp = self.timestamp.to_string();
                let pieces: [&[u8]; 4] = [
                    request.method.as_bytes(),
                    request.path.as_bytes(),
                    request.body,
                    timestamp.as_bytes(),
                ];
                equal(
                    code(Algorithm::Sha256, key.expose(), &pieces).as_deref(),
                    given,
                )
            }
        }
    }
}

fn equal(wanted: Option<&[u8]>, given: &[u8; 32]) -> bool {
    wanted.is_some_and(|wanted| constant_time_eq(wanted, given))
}

/// The text that is signed.
pub fn signed_text(
    client: &str,
    timestamp: i64,
    nonce: &str,
    request: &SignedRequest<'_>,
) -> String {
    let SignedRequest {
        method,
        path,
        query,
        body,
    } = request;
    let body = hex::encode(Sha256::digest(body));
    format!("{SCHEME}\n{client}\n{method}\n{path}\n{query}\n{timestamp}\n{nonce}\n{body}")
}

/// The value of `X-Signature` for a request.
pub fn sign_request(
    key: &Secret,
    client: &str,
    timestamp: i64,
    nonce: &str,
    request: &SignedRequest<'_>,
) -> String {
    let text = signed_text(client, timestamp, nonce, request);
    let code = code(Algorithm::Sha256, key.expose(), &[text.as_bytes()]).unwrap_or_default();
    format!("v1={}", hex::encode(code))
}

fn claim(headers: &SignatureHeaders<'_>) -> Result<Claim, ShapeFault> {
    let fault = ShapeFault {
        header: "X-Signature",
        expected: "v1= and 64 lower-case hexadecimal digits",
    };
    let mut codes = Vec::new();
    let mut plain = None;
    for value in headers
        .signature
        .iter()
        .flat_map(|v| v.split(|b| *b == b','))
    {
        let value = value.trim_ascii();
        match value.strip_prefix(b"v1=") {
            Some(hex) => codes.push(lower_hex(hex).ok_or(fault)?),
            None if plain.is_none() => plain = Some(any_hex(value).ok_or(fault)?),
            None => return Err(fault),
        }
        if codes.len() > SIGNATURES {
            return Err(fault);
        }
    }
    match (plain, codes.is_empty()) {
        (Some(code), true) => Ok(Claim::Plain { code }),
        (None, false) => {
            let expected = "16 to 128 of A-Z a-z 0-9 _ -";
            let nonce = one(&headers.nonce, "X-Nonce", expected)?;
            let nonce = word(nonce, 16, 128).ok_or(ShapeFault {
                header: "X-Nonce",
                expected,
            })?;
            Ok(Claim::Lines {
                nonce: nonce.to_owned(),
                codes,
            })
        }
        _ => Err(fault),
    }
}

fn one<'a>(
    values: &[&'a [u8]],
    header: &'static str,
    expected: &'static str,
) -> Result<&'a [u8], ShapeFault> {
    match values {
        [value] => Ok(value.trim_ascii()),
        _ => Err(ShapeFault { header, expected }),
    }
}

fn word(bytes: &[u8], shortest: usize, longest: usize) -> Option<&str> {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !(shortest..=longest).contains(&bytes.len()) || !bytes.iter().all(allowed) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// Digits only, and in one form only, since the number stands in the signed text.
fn seconds(bytes: &[u8]) -> Option<i64> {
    let sound = (1..=SECONDS_LONGEST).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_digit)
        && bytes.first() != Some(&b'0');
    sound
        .then(|| std::str::from_utf8(bytes).ok()?.parse().ok())
        .flatten()
}

fn lower_hex(text: &[u8]) -> Option<[u8; 32]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    any_hex(text)
}

fn any_hex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
