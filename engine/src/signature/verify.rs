//! Checking a request against a scheme.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

use super::hmac::code;
use super::outbound::parse_standard_secret;
use super::scheme::{Encoding, HmacScheme, Scheme, SecretEncoding, TimestampPlace};
use crate::secret::{Secret, constant_time_eq};

/// Looks up a header by name, whatever its case; the bytes need not be text.
pub type Headers<'a> = dyn Fn(&str) -> Option<&'a [u8]> + 'a;

/// Most signatures looked at in one header.
const CANDIDATES: usize = 16;

/// Why a request was not authenticated; the code is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuthCode {
    /// The source has no secret to check with.
    NoSecret,
    /// There are no credentials.
    MissingCredentials,
    /// The credentials cannot be read.
    MalformedCredentials,
    /// The credentials are wrong.
    WrongCredentials,
    /// There is no signature.
    MissingSignature,
    /// The signature cannot be read.
    MalformedSignature,
    /// The signature is wrong.
    WrongSignature,
    /// A header that is part of the signed text is missing.
    MissingMessageId,
    /// There is no timestamp.
    MissingTimestamp,
    /// The timestamp cannot be read.
    MalformedTimestamp,
    /// The timestamp is too old.
    StaleTimestamp,
    /// The timestamp is too far ahead.
    FutureTimestamp,
}

impl AuthCode {
    /// The code as it appears in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::MissingCredentials => "missing_credentials",
            Self::MalformedCredentials => "malformed_credentials",
            Self::WrongCredentials => "wrong_credentials",
            Self::MissingSignature => "missing_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::WrongSignature => "wrong_signature",
            Self::MissingMessageId => "missing_message_id",
            Self::MissingTimestamp => "missing_timestamp",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::StaleTimestamp => "stale_timestamp",
            Self::FutureTimestamp => "future_timestamp",
        }
    }
}

/// A request that was not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthFault {
    /// Why.
    pub code: AuthCode,
}

impl fmt::Display for AuthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())
    }
}

impl std::error::Error for AuthFault {}

impl From<AuthCode> for AuthFault {
    fn from(code: AuthCode) -> Self {
        Self { code }
    }
}

/// Checks a request. Any one of the secrets may be the right one.
///
/// The order is: is there a secret, is everything there, can it be read, is the signature right,
/// is the timestamp near `now_unix`. The age is judged last, so that only the holder of a secret
/// learns about it.
///
/// # Errors
/// The reason; nothing of the request is in it.
pub fn verify(
    scheme: &Scheme,
    secrets: &[Secret],
    headers: &Headers<'_>,
    raw_body: &[u8],
    now_unix: i64,
) -> Result<(), AuthFault> {
    if matches!(scheme, Scheme::None) {
        return Ok(());
    }
    if secrets.iter().all(Secret::is_empty) {
        return Err(AuthCode::NoSecret.into());
    }
    match scheme {
        Scheme::None => Ok(()),
        Scheme::Bearer => bearer(secrets, headers),
        Scheme::Basic { username } => basic(username, secrets, headers),
        // Only the address can show it; see `verify_token`.
        Scheme::Url => Err(AuthCode::MissingCredentials.into()),
        _ => match (scheme.token_header(), scheme.hmac()) {
            (Some(name), _) => verify_token(secrets, headers(name)),
            (None, Some(hmac)) => signed(&hmac, secrets, headers, raw_body, now_unix),
            (None, None) => Err(AuthCode::NoSecret.into()),
        },
    }
}

/// Checks a token that was brought as it is, in a header or at the end of the address.
///
/// # Errors
/// The reason.
pub fn verify_token(secrets: &[Secret], token: Option<&[u8]>) -> Result<(), AuthFault> {
    if secrets.iter().all(Secret::is_empty) {
        return Err(AuthCode::NoSecret.into());
    }
    let token = token.ok_or(AuthCode::MissingCredentials)?;
    if any_equal(secrets, |secret| Some(Cow::Borrowed(secret)), token) {
        Ok(())
    } else {
        Err(AuthCode::WrongCredentials.into())
    }
}

fn bearer(secrets: &[Secret], headers: &Headers<'_>) -> Result<(), AuthFault> {
    verify_token(secrets, Some(credentials(headers, b"bearer ")?))
}

fn basic(username: &str, secrets: &[Secret], headers: &Headers<'_>) -> Result<(), AuthFault> {
    let encoded = credentials(headers, b"basic ")?;
    let pair = STANDARD
        .decode(encoded)
        .map_err(|_| AuthCode::MalformedCredentials)?;
    if !pair.contains(&b':') {
        return Err(AuthCode::MalformedCredentials.into());
    }
    let whole = |password: &[u8]| {
        let mut expected = username.as_bytes().to_vec();
        expected.push(b':');
        expected.extend_from_slice(password);
        expected
    };
    if any_equal(secrets, |secret| Some(Cow::Owned(whole(secret))), &pair) {
        Ok(())
    } else {
        Err(AuthCode::WrongCredentials.into())
    }
}

/// What follows the scheme's name in `Authorization`.
fn credentials<'a>(headers: &Headers<'a>, scheme: &[u8]) -> Result<&'a [u8], AuthFault> {
    let value = headers("authorization").ok_or(AuthCode::MissingCredentials)?;
    let (name, rest) = value
        .split_at_checked(scheme.len())
        .filter(|(name, _)| name.eq_ignore_ascii_case(scheme))
        .ok_or(AuthCode::MalformedCredentials)?;
    debug_assert_eq!(name.len(), scheme.len());
    match rest.trim_ascii() {
        b"" => Err(AuthCode::MalformedCredentials.into()),
        rest => Ok(rest),
    }
}

/// Compares with what every secret makes, without stopping at the first that fits.
fn any_equal<'s>(
    secrets: &'s [Secret],
    expected: impl Fn(&'s [u8]) -> Option<Cow<'s, [u8]>>,
    given: &[u8],
) -> bool {
    let mut found = false;
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if let Some(expected) = expected(secret.expose()) {
            found |= constant_time_eq(&expected, given);
        }
    }
    found
}

fn signed(
    scheme: &HmacScheme,
    secrets: &[Secret],
    headers: &Headers<'_>,
    body: &[u8],
    now: i64,
) -> Result<(), AuthFault> {
    let value = headers(&scheme.header).ok_or(AuthCode::MissingSignature)?;
    let candidates = candidates(scheme, value)?;
    let id = match &scheme.id_header {
        None => &[][..],
        Some(name) => headers(name)
            .filter(|id| !id.is_empty())
            .ok_or(AuthCode::MissingMessageId)?,
    };
    let stamp = match &scheme.timestamp {
        None => &[][..],
        Some(timestamp) => find_timestamp(timestamp.place(), headers)?,
    };
    let time = match &scheme.timestamp {
        None => None,
        Some(timestamp) => Some((read_timestamp(stamp)?, timestamp.tolerance_seconds)),
    };
    let url = scheme
        .callback_url
        .as_deref()
        .unwrap_or_default()
        .as_bytes();
    let pieces = pieces(scheme.signed_text(), id, stamp, url, body);
    let key = |secret: &'_ [u8]| match scheme.secret_encoding {
        SecretEncoding::Text => Some(Secret::new(secret)),
        SecretEncoding::Base64 => parse_standard_secret(secret),
    };
    let mut readable = false;
    let mut right = false;
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let Some(expected) =
            key(secret.expose()).and_then(|key| code(scheme.algorithm, key.expose(), &pieces))
        else {
            continue;
        };
        readable = true;
        for candidate in &candidates {
            right |= constant_time_eq(&expected, candidate);
        }
    }
    if !readable {
        return Err(AuthCode::NoSecret.into());
    }
    if !right {
        return Err(AuthCode::WrongSignature.into());
    }
    match time {
        Some((time, tolerance)) => check_age(time, now, tolerance),
        None => Ok(()),
    }
}

/// The signatures in the header, decoded. Entries with another prefix belong to other versions.
fn candidates(scheme: &HmacScheme, value: &[u8]) -> Result<Vec<Vec<u8>>, AuthFault> {
    let text = std::str::from_utf8(value).map_err(|_| AuthCode::MalformedSignature)?;
    let decode = |entry: &str| {
        let written = entry.trim().strip_prefix(scheme.prefix.as_str())?;
        match scheme.encoding {
            Encoding::Hex => hex::decode(written).ok(),
            Encoding::Base64 => STANDARD.decode(written).ok(),
        }
        .filter(|code| !code.is_empty())
    };
    let found: Vec<_> = match scheme.separator {
        Some(separator) => text
            .split(separator)
            .filter_map(decode)
            .take(CANDIDATES)
            .collect(),
        None => decode(text).into_iter().collect(),
    };
    if found.is_empty() {
        return Err(AuthCode::MalformedSignature.into());
    }
    Ok(found)
}

fn find_timestamp<'a>(
    place: TimestampPlace<'_>,
    headers: &Headers<'a>,
) -> Result<&'a [u8], AuthFault> {
    match place {
        TimestampPlace::Header(name) => Ok(headers(name).ok_or(AuthCode::MissingTimestamp)?),
        TimestampPlace::Field { header, name } => headers(header)
            .and_then(|value| {
                value.split(|byte| *byte == b',').find_map(|entry| {
                    entry
                        .trim_ascii()
                        .strip_prefix(name.as_bytes())?
                        .strip_prefix(b"=")
                })
            })
            .ok_or(AuthFault::from(AuthCode::MissingTimestamp)),
    }
}

fn read_timestamp(text: &[u8]) -> Result<i64, AuthFault> {
    if text.is_empty() || text.len() > 15 || !text.iter().all(u8::is_ascii_digit) {
        return Err(AuthCode::MalformedTimestamp.into());
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(AuthFault::from(AuthCode::MalformedTimestamp))
}

fn check_age(time: i64, now: i64, tolerance: u32) -> Result<(), AuthFault> {
    let tolerance = i64::from(tolerance);
    if now.saturating_sub(time) > tolerance {
        return Err(AuthCode::StaleTimestamp.into());
    }
    if time.saturating_sub(now) > tolerance {
        return Err(AuthCode::FutureTimestamp.into());
    }
    Ok(())
}

/// Splits the signed text at its placeholders, so that the body is never copied.
fn pieces<'a>(
    text: &'a str,
    id: &'a [u8],
    stamp: &'a [u8],
    url: &'a [u8],
    body: &'a [u8],
) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        pieces.push(before.as_bytes());
        let known = [
            ("{body}", body),
            ("{timestamp}", stamp),
            ("{id}", id),
            ("{url}", url),
        ]
        .into_iter()
        .find_map(|(token, bytes)| Some((from.strip_prefix(token)?, bytes)));
        if let Some((after, bytes)) = known {
            pieces.push(bytes);
            rest = after;
        } else {
            pieces.push(b"{");
            rest = from.get(1..).unwrap_or_default();
        }
    }
    pieces.push(rest.as_bytes());
    pieces
}
