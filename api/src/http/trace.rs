//! The span of a request. The path only: a query string may carry a token. Of a hook not even all
//! of that: behind the slug may stand the token of the source.

use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpRequest};
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::{RequestId, RootSpanBuilder};

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
            method = %request.method(),
            path = request.path(),
            status = Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        answered(&span, status.as_u16());
    }
}

/// The span of an event's request; nothing, unless somebody listens at debug level.
pub fn of_hook(request: &HttpRequest, id: &str) -> Span {
    tracing::debug_span!(
        "request",
        request_id = %id,
        correlation_id = Empty,
        method = %request.method(),
        path = without_token(request.path()),
        status = Empty,
    )
}

/// Notes how a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("status", status);
    tracing::debug!(parent: span, status, "answered");
}

/// The path of a hook, up to the slug of its source.
fn without_token(path: &str) -> &str {
    match path.match_indices('/').nth(3) {
        Some((end, _)) => path.get(..end).unwrap_or_default(),
        None => path,
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
    }
}
