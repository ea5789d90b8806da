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
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Scripts, styles and calls from here only; wasm may be compiled; nobody frames it.
const CSP: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                   img-src 'self' data:; font-src 'self'; connect-src 'self'; \
                   manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                   frame-ancestors 'none'";

static HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, fixed(CSP)),
    (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
    (header::X_FRAME_OPTIONS, fixed("DENY")),
    (header::REFERRER_POLICY, fixed("no-referrer")),
    (header::CROSS_ORIGIN_OPENER_POLICY, fixed("same-origin")),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, fixed("same-origin")),
    (
        header::PERMISSIONS_POLICY,
        fixed("camera=(), geolocation=(), microphone=()"),
    ),
];

const fn fixed(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

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
        .is_some_and(|core| is_secure(core));
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
        let route = request.match_pattern();
        let route = route.unwrap_or_else(|| "other".to_owned());
        let status = response.status().as_u16();
        metrics.http(method, route, status, started.elapsed().as_secs_f64());
    }
    Ok(response)
}

/// Whether people come by HTTPS.
pub fn is_secure(core: &Core) -> bool {
    core.settings.public_url.starts_with("https://")
}

/// Adds what every answer carries. Where people come by HTTPS, browsers are told to come by nothing
/// else for a year (RFC 6797).
pub fn dress(headers: &mut HeaderMap, id: &str, secure: bool) {
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    for (name, value) in &HEADERS {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
}

/// A label of few values, whatever is sent.
pub fn method(method: &Method) -> &'static str {
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
