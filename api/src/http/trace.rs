//! The span of a request. The path only: a query string may carry a token. Of a hook not even all
//! of that: behind the slug may stand the token of the source.

use actix_web::Error;
use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use crate::ingest::HOOK_PREFIXES;

/// Makes the span that the log lines of a request stand under.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request
            .extensions()
            .get::<RequestId>()
            .map_or_else(String::new, ToString::to_string);
        tracing::info_span!(
            "request",
            request_id = %id,
            correlation_id = tracing::field::Empty,
            method = %request.method(),
            path = without_token(request.path()),
            status = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
        tracing::debug!(parent: &span, status = status.as_u16(), "answered");
    }
}

/// The path up to the slug of a source, for hooks; all of it for others.
fn without_token(path: &str) -> &str {
    let hook = HOOK_PREFIXES.iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('/'))
    });
    match path.match_indices('/').nth(3) {
        Some((end, _)) if hook => path.get(..end).unwrap_or_default(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::without_token;

    #[test]
    fn a_token_behind_a_slug_is_not_part_of_a_span() {
        assert_eq!(without_token("/hooks/main/kuma/sbt_1"), "/hooks/main/kuma");
        assert_eq!(without_token("/w/main/kuma/a/b"), "/w/main/kuma");
        assert_eq!(without_token("/hooks/kuma"), "/hooks/kuma");
        assert_eq!(without_token("/api/v1/rules/1/2"), "/api/v1/rules/1/2");
    }
}
