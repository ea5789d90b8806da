//! Revisions: what was read is what is changed.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use openapi::problem::Code;

use crate::http::problem::{ApiError, ApiResult};

/// The revision that the caller has read: `If-Match: "7"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfMatch(pub i64);

impl IfMatch {
    /// Refuses a change of something that was changed since.
    ///
    /// # Errors
    /// 412 with the revision of today.
    pub fn check(self, current: i64) -> ApiResult<()> {
        if self.0 == current {
            return Ok(());
        }
        Err(ApiError::new(Code::RevisionStale)
            .detail(format!("The revision is {current} now; read it again.")))
    }
}

/// The ETag of a revision.
pub fn etag(revision: i64) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{revision}\""))
}

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match req.headers().get(header::IF_MATCH) {
            None => Err(ApiError::new(Code::RevisionRequired)
                .detail("Send the ETag that you have read as If-Match.")),
            Some(value) => value.to_str().ok().and_then(parse).ok_or_else(|| {
                ApiError::new(Code::InvalidParameter).at(
                    "If-Match",
                    "invalid",
                    "An ETag as it was read is expected, one number in quotes.",
                )
            }),
        })
    }
}

fn parse(text: &str) -> Option<IfMatch> {
    let text = text.trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(text);
    inner.parse().ok().map(IfMatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_revision_is_refused() {
        assert_eq!(parse("\"7\""), Some(IfMatch(7)));
        assert_eq!(parse("7"), Some(IfMatch(7)));
        assert_eq!(parse("*"), None);
        assert_eq!(parse("W/\"7\""), None);
        assert!(IfMatch(7).check(7).is_ok());
        assert_eq!(IfMatch(6).check(7).unwrap_err().code, Code::RevisionStale);
    }
}
