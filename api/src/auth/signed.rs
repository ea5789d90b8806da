//! Signed requests: what is read before the body, and the body under its limit.
//!
//! The headers and the time are checked before a byte of the body is read, so that what cannot be
//! right costs nothing. The body is then read whole, since it is signed, within the limit of the API
//! and the budget that all bodies share, and handed on as it was.

use std::time::Duration;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage as _, HttpRequest};
use engine::signature::{
    CLIENT_HEADER, NONCE_HEADER, RequestSignature, SIGNATURE_HEADER, SignatureHeaders,
    SignedRequest, TIMESTAMP_HEADER, WINDOW_SECONDS,
};
use openapi::problem::Code;

use crate::clock::from_ms;
use crate::http::extract::{check_announced, read_whole};
use crate::http::problem::{ApiError, ApiResult};
use crate::ingest::Budget;

/// A request that means to be signed, with what was signed.
#[derive(Debug)]
pub(super) struct Signed {
    pub signature: RequestSignature,
    pub body: Bytes,
}

impl Signed {
    /// The request as its client must have signed it.
    pub fn request<'a>(&'a self, req: &'a HttpRequest) -> SignedRequest<'a> {
        SignedRequest {
            method: req.method().as_str(),
            path: req.uri().path(),
            query: req.uri().query().unwrap_or_default(),
            body: &self.body,
        }
    }
}

/// The signature that a request carries; none when it means to carry none.
///
/// # Errors
/// 400 when it carries a token too, 401 when a header is missing or has the wrong form.
pub(super) fn signature(req: &HttpRequest) -> ApiResult<Option<RequestSignature>> {
    let headers = headers(req.headers());
    if !headers.is_signed() {
        return Ok(None);
    }
    if req.headers().contains_key(header::AUTHORIZATION) {
        return Err(ApiError::new(Code::InvalidParameter).at(
            "Authorization",
            "two_kinds",
            "A request is signed or carries a token, not both.",
        ));
    }
    let signature = RequestSignature::parse(&headers).map_err(|fault| {
        ApiError::new(Code::SignatureInvalid).detail(format!(
            "{} has the wrong form or is missing, or is there twice; expected: {}.",
            fault.header, fault.expected
        ))
    })?;
    Ok(Some(signature))
}

/// Refuses a request whose timestamp is too far from this moment.
///
/// # Errors
/// 401 with the server's time.
pub(super) fn check_time(signature: &RequestSignature, now_ms: i64) -> ApiResult<()> {
    let now = now_ms.div_euclid(1000);
    if now.abs_diff(signature.timestamp) <= WINDOW_SECONDS.unsigned_abs() {
        return Ok(());
    }
    Err(ApiError::new(Code::TimestampOutOfWindow).detail(format!(
        "The server's time is {now} ({}); a request is good for {WINDOW_SECONDS} seconds.",
        from_ms(now * 1000).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )))
}

/// Reads the body; whoever comes next reads it as if nobody had.
///
/// # Errors
/// 413, 400 when it does not arrive whole or in time, 503 when all bodies together are too much.
pub(super) async fn body(req: &mut ServiceRequest, patience: Duration) -> ApiResult<Bytes> {
    check_announced(req.headers())?;
    let mut share = req.app_data::<Data<Budget>>().map(|budget| budget.share());
    let payload = req.take_payload();
    let reading = read_whole(payload, |length| match &mut share {
        Some(share) => share.grow(length).map_err(|_| {
            ApiError::new(Code::Unavailable)
                .detail("Too many bodies at once.")
                .retry_after(1)
        }),
        None => Ok(()),
    });
    let body = tokio::time::timeout(patience, reading)
        .await
        .map_err(|_| {
            ApiError::new(Code::MalformedBody).detail("The body did not arrive in time.")
        })??
        .freeze();
    req.set_payload(Payload::from(body.clone()));
    if let Some(share) = share {
        // Given back when the request has been answered.
        req.extensions_mut().insert(share);
    }
    Ok(body)
}

fn headers(all: &HeaderMap) -> SignatureHeaders<'_> {
    let values = |name: &str| all.get_all(name).map(|value| value.as_bytes()).collect();
    SignatureHeaders {
        client: values(CLIENT_HEADER),
        timestamp: values(TIMESTAMP_HEADER),
        nonce: values(NONCE_HEADER),
        signature: values(SIGNATURE_HEADER),
    }
}
