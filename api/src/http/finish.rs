//! What every answer gets: its request id, the safety headers, its place in the metrics, and, if it
//! is a problem, the document.

use std::time::Instant;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use openapi::problem::Code;
use tracing_actix_web::RequestId;

use super::problem::ApiError;
use crate::auth::Metered;
use crate::core::Core;
use crate::metrics::Metrics;
use crate::request;

/// Header that carries the id of the request.
pub const REQUEST_ID: &str = "x-request-id";

/// Scripts, styles and calls from here only; wasm may be compiled; nobody frames it.
const CSP: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                   img-src 'self' data:; font-src 'self'; connect-src 'self'; \
                   manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                   frame-ancestors 'none'";

const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// What the numbers call the way of a request, where a handler serves more than one resource.
#[derive(Clone, Copy, Debug)]
pub struct Route(pub &'static str);

/// The outermost layer below the log.
pub async fn finish<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let started = Instant::now();
    let id = req
        .extensions()
        .get::<RequestId>()
        .map_or_else(String::new, ToString::to_string);
    // The request itself must not be held while it is routed: the framework changes it.
    let metrics = req.app_data::<web::Data<Metrics>>().cloned();
    let secure = req
        .app_data::<web::Data<Core>>()
        .is_some_and(|core| core.settings.public_url.starts_with("https://"));
    let method = method(req.method());
    let mut response = match request::within(id.clone(), next.call(req)).await {
        Ok(response) => problem_document(response, &id),
        Err(error) => {
            let mut answer = from_framework(&error).response(&id);
            dress(answer.headers_mut(), &id, secure);
            return Err(InternalError::from_response(error, answer).into());
        }
    };
    dress(response.headers_mut(), &id, secure);
    let metered = response.request().extensions().get::<Metered>().copied();
    if let Some(metered) = metered {
        metered.dress(response.headers_mut());
    }
    if let Some(metrics) = metrics {
        let request = response.request();
        let named = request.extensions().get::<Route>().copied();
        let route = match named {
            Some(Route(name)) => name.to_owned(),
            None => request
                .match_pattern()
                .unwrap_or_else(|| "other".to_owned()),
        };
        let status = response.status().as_u16();
        metrics.http(method, route, status, started.elapsed().as_secs_f64());
    }
    Ok(response)
}

/// Adds what every answer carries. Where people come by HTTPS, browsers are told to come by nothing
/// else for a year (RFC 6797).
fn dress(headers: &mut HeaderMap, id: &str, secure: bool) {
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), value);
    }
}

/// A label of few values, whatever is sent.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "PUT" => "PUT",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Writes the document of a problem anew, with the id of its request.
fn problem_document<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    id: &str,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let ours = response.response().extensions().get::<ApiError>().cloned();
    let problem = match ours {
        Some(problem) => problem,
        None => match response.response().error() {
            Some(error)
                if response.status().is_client_error() || response.status().is_server_error() =>
            {
                from_framework(error)
            }
            _ => return response.map_into_left_body(),
        },
    };
    let (request, old) = response.into_parts();
    let mut answer = problem.response(id);
    // Headers that other layers have added stay, as those of the cross-origin rules.
    for (name, value) in old.headers() {
        let replaced = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::TRANSFER_ENCODING,
        ];
        if !replaced.contains(name) && !answer.headers().contains_key(name) {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, answer).map_into_right_body()
}

/// What the framework itself refused.
fn from_framework(error: &Error) -> ApiError {
    if let Some(ours) = error.as_error::<ApiError>() {
        return ours.clone();
    }
    let code = match error.as_response_error().status_code() {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        status if status.is_client_error() => Code::InvalidParameter,
        _ => return ApiError::internal("framework", error),
    };
    ApiError::new(code)
}
