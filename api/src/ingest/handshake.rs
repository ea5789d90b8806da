//! How senders check an address before they use it, and what they are answered.
//!
//! Nothing here is an event, and nothing is stored but the secret that Asana tells: once, and only to
//! somebody who has the token of the source's address. Answers repeat what was sent only where the
//! sender's contract asks for it, as plain text, short, and after the sender showed who it is.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use engine::secret::{Secret, constant_time_eq};
use engine::signature::{AuthCode, Scheme};
use openapi::problem::Code;
use serde_json::Value;

use super::refuse::Refused;
use crate::core::Core;
use crate::http::problem::ApiError;
use crate::scope::Scope;
use crate::services::sources;
use crate::snapshot::SourceConfig;

/// Header in which Asana tells its secret, and wants it back.
const HOOK_SECRET: &str = "x-hook-secret";
/// Longest text that is repeated.
const LONGEST: usize = 512;

/// The methods that senders of this kind use.
pub fn allows(scheme: &Scheme, method: &Method) -> bool {
    match *method {
        Method::POST | Method::GET => true,
        // Trello asks before it makes a webhook.
        Method::HEAD => matches!(scheme, Scheme::Trello(_)),
        _ => false,
    }
}

/// The answer to a request that only checks the address; none: it is not one. Asked before the body
/// is read and the signature looked at, since these carry none.
///
/// # Errors
/// 401 for somebody who does not know the token, 409 for a second handshake.
pub async fn before(
    core: &Core,
    source: &SourceConfig,
    request: &HttpRequest,
    token: Option<&str>,
    refused: &mut Refused<'_>,
) -> Result<Option<HttpResponse>, ApiError> {
    match &source.scheme {
        Scheme::Trello(_) if request.method() == Method::HEAD => {
            Ok(Some(HttpResponse::Ok().finish()))
        }
        Scheme::Whatsapp(options) if request.method() == Method::GET => {
            let wanted = options.verify_token.as_deref();
            subscription(wanted, request.query_string())
                .map(Some)
                .map_err(|code| wrong(refused, code))
        }
        Scheme::Asana(_) => match request.headers().get(HOOK_SECRET) {
            None => Ok(None),
            // Rare, and its future is large.
            Some(secret) => Box::pin(learn(core, source, secret, token, refused))
                .await
                .map(Some),
        },
        _ => Ok(None),
    }
}

/// The answer to a request that was authenticated and only checks the address; none: it is an event.
pub fn after(scheme: &Scheme, payload: &Value) -> Option<HttpResponse> {
    if !matches!(scheme, Scheme::Slack(_)) || payload.get("type")? != "url_verification" {
        return None;
    }
    let challenge = payload.get("challenge")?.as_str().filter(|c| is_plain(c))?;
    Some(text(challenge))
}

/// Meta's `hub.mode=subscribe`: the challenge, for whoever knows the token.
fn subscription(wanted: Option<&str>, query: &str) -> Result<HttpResponse, AuthCode> {
    let fields: Vec<(String, String)> =
        serde_urlencoded::from_str(query).map_err(|_| AuthCode::MalformedCredentials)?;
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, v)| v);
    let wanted = wanted.ok_or(AuthCode::NoSecret)?;
    let given = field("hub.verify_token").ok_or(AuthCode::MissingCredentials)?;
    if !constant_time_eq(wanted.as_bytes(), given.as_bytes()) {
        return Err(AuthCode::WrongCredentials);
    }
    match (
        field("hub.mode").map(String::as_str),
        field("hub.challenge"),
    ) {
        (Some("subscribe"), Some(challenge)) if is_plain(challenge) => Ok(text(challenge)),
        _ => Err(AuthCode::MalformedCredentials),
    }
}

async fn learn(
    core: &Core,
    source: &SourceConfig,
    secret: &HeaderValue,
    token: Option<&str>,
    refused: &mut Refused<'_>,
) -> Result<HttpResponse, ApiError> {
    let expected = source.registration.as_ref().map(Secret::expose);
    let known = match (expected, token) {
        (None | Some([]), _) => Err(AuthCode::NoSecret),
        (_, None) => Err(AuthCode::MissingCredentials),
        (Some(expected), Some(token)) => {
            if constant_time_eq(expected, token.as_bytes()) {
                Ok(())
            } else {
                Err(AuthCode::WrongCredentials)
            }
        }
    };
    known.map_err(|code| wrong(refused, code))?;
    let told = secret.to_str().ok().filter(|text| is_plain(text));
    let Some(told) = told else {
        return Err(wrong(refused, AuthCode::MalformedCredentials));
    };
    let scope = Scope::granted(source.workspace_id);
    if !sources::learn(core, scope, source.id, told).await? {
        return Err(ApiError::new(Code::Conflict).detail(
            "This address is in use by another webhook. Make a new secret for the source.",
        ));
    }
    Ok(HttpResponse::Ok()
        .insert_header((HOOK_SECRET, secret.clone()))
        .insert_header(header::CacheControl(vec![header::CacheDirective::NoStore]))
        .finish())
}

/// Whether the end of an address is the token of the source.
///
/// # Errors
/// 404 for a source without one: there is nothing at this address.
pub fn check_address(
    source: &SourceConfig,
    token: Option<&str>,
    headers: &HeaderMap,
    refused: &mut Refused<'_>,
) -> Result<(), ApiError> {
    let secrets = match source.scheme {
        Scheme::Url => source.secrets.as_slice(),
        // Events are signed; the handshake looks at the token itself.
        Scheme::Asana(_) if headers.contains_key(HOOK_SECRET) => return Ok(()),
        Scheme::Asana(_) => source.registration.as_slice(),
        _ => return Ok(()),
    };
    engine::signature::verify_token(secrets, token.map(str::as_bytes))
        .map_err(|fault| wrong(refused, fault.code))
}

fn wrong(refused: &mut Refused<'_>, code: AuthCode) -> ApiError {
    refused.reason = code.as_str();
    ApiError::new(Code::SignatureInvalid)
}

fn text(challenge: &str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(web::Bytes::copy_from_slice(challenge.as_bytes()))
}

/// Short, visible, and nothing that a browser would take for a page.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\'' | b'&'))
}
