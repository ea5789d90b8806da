//! How a source, or a client of the API, proves who it is: pure functions over the raw bytes of a
//! request.
//!
//! Every scheme fails closed: without a secret nothing is let in, unless the scheme is `none`,
//! which somebody has to choose. Several secrets may be valid at once, so that they can be
//! changed without a gap. All comparisons take the same time whatever the bytes are.

mod hmac;
mod outbound;
mod preset;
mod request;
#[cfg(feature = "schema")]
mod schema;
mod scheme;
mod verify;

pub use outbound::{StandardHeaders, parse_standard_secret, sign_standard_webhook};
pub use preset::{IdempotencyKey, PRESETS, Preset};
pub use request::{
    CLIENT_HEADER, Claim, NONCE_HEADER, RequestSignature, SCHEME, SIGNATURE_HEADER, ShapeFault,
    SignatureHeaders, SignedRequest, TIMESTAMP_HEADER, WINDOW_SECONDS, sign_request, signed_text,
};
pub use scheme::{
    Algorithm, Encoding, HmacScheme, PresetOptions, Scheme, SecretEncoding, TimestampPlace,
    TimestampScheme, TokenHeader,
};
pub use verify::{AuthCode, AuthFault, Headers, verify, verify_token};
