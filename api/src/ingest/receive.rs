//! The hook: from a request to a 202.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use engine::signature::{AuthCode, IdempotencyKey};
use entity::event;
use futures_util::StreamExt as _;
use openapi::problem::Code;
use openapi::sources::Accepted;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::budget::Share;
use super::refuse::{self, Refused};
use super::{Budget, gate, parse, replay, route, title_of};
use crate::auth::client_address;
use crate::core::Core;
use crate::http::problem::ApiError;
use crate::journal::Accept;
use crate::snapshot::SourceConfig;

/// Addresses of hooks, all alike. The short ones belong to the first workspace.
pub const HOOK_PATHS: &[&str] = &[
    "/hooks/{workspace}/{slug}",
    "/hooks/{slug}",
    "/w/{workspace}/{slug}",
    "/w/{slug}",
    "/webhook/{workspace}/{slug}",
    "/webhook/{slug}",
];

/// Headers that are not kept: they carry credentials.
const NOT_KEPT: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];
/// Longest correlation id that is taken over from a sender.
const LONGEST_CORRELATION: usize = 100;
/// Longest delivery id that is kept as it is; a longer one is hashed.
const LONGEST_SENDER_ID: usize = 200;

/// Receives an event.
///
/// # Errors
/// See the module for the order of the checks.
pub async fn hook(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    budget: web::Data<Budget>,
) -> Result<HttpResponse, ApiError> {
    let source = find(&core, &request).ok_or_else(ApiError::not_found)?;
    let headers = request.headers();
    let address = client_address(request.peer_addr(), headers, &core.settings.trusted_proxies);
    let content_type = text_of(headers, "content-type").unwrap_or_default();
    let mut refused = Refused {
        source: &source,
        address,
        content_type: &content_type,
        size: 0,
        reason: "",
    };
    // Held until the answer is known.
    let mut share = budget.share();
    match receive(&core, &mut share, &request, payload, &mut refused).await {
        Ok(accepted) => Ok(HttpResponse::Accepted().json(accepted)),
        Err(error) => {
            if refused.reason.is_empty() {
                refused.reason = error.code.id();
            }
            refuse::note(&core, &error, &refused);
            Err(error)
        }
    }
}

fn find(core: &Core, request: &HttpRequest) -> Option<Arc<SourceConfig>> {
    let snapshot = core.snapshots.current();
    let path = request.match_info();
    let workspace = match path.get("workspace") {
        Some(slug) => snapshot.workspace_by_slug(slug)?,
        None => snapshot.first_workspace()?,
    };
    snapshot
        .source_by_slug(workspace.id, path.get("slug")?)
        .cloned()
}

async fn receive(
    core: &Core,
    share: &mut Share,
    request: &HttpRequest,
    payload: web::Payload,
    refused: &mut Refused<'_>,
) -> Result<Accepted, ApiError> {
    let received_at = core.clock.now();
    let source = refused.source;
    let headers = request.headers();
    let limit = source
        .body_limit
        .unwrap_or(core.settings.body_limit)
        .min(core.settings.body_limit);
    let announced = text_of(headers, "content-length").and_then(|text| text.parse().ok());
    gate::check(source, &core.limits, refused.address, announced, limit).await?;
    let patience = Duration::from_secs(core.settings.request_timeout_seconds.max(1));
    let body = tokio::time::timeout(patience, read(payload, limit, share))
        .await
        .map_err(|_| {
            ApiError::new(Code::MalformedBody).detail("The body did not arrive in time.")
        })??;
    refused.size = body.len();

    let header = |name: &str| headers.get(name).map(header::HeaderValue::as_bytes);
    engine::signature::verify(
        &source.scheme,
        &source.secrets,
        &header,
        &body,
        received_at.timestamp(),
    )
    .map_err(|fault| {
        refused.reason = fault.code.as_str();
        ApiError::new(match fault.code {
            AuthCode::StaleTimestamp | AuthCode::FutureTimestamp => Code::TimestampOutOfWindow,
            _ => Code::SignatureInvalid,
        })
    })?;

    let method = request.method().as_str();
    let query = request.query_string();
    let view = parse::parse(method, refused.content_type, query, &body)?;
    let id = crate::ids::new(&core.clock);
    let event = event::Model {
        id,
        workspace_id: source.workspace_id,
        source_id: source.id,
        received_at: received_at.timestamp_millis(),
        correlation_id: correlation(headers).unwrap_or_else(|| id.to_string()),
        idempotency_key: sender_id(source, headers, &view),
        disposition: String::new(),
        reason: String::new(),
        method: method.to_owned(),
        content_type: refused.content_type.to_owned(),
        query: query.to_owned(),
        remote_addr: refused.address.to_string(),
        headers: kept(headers),
        body: body.to_vec(),
        test: false,
        title: title_of(&view),
        matched: String::new(),
    };
    let source = core
        .snapshots
        .current()
        .source(source.id)
        .cloned()
        .ok_or_else(ApiError::not_found)?;
    let routed = route::route(core, &source, event, &view, false);
    let accepted = core
        .journal
        .accept(Accept {
            events: vec![routed],
        })
        .await
        .map_err(replay::refused)?;
    tracing::Span::current().record("correlation_id", accepted.correlation_id.as_str());
    if accepted.duplicate {
        core.metrics.duplicate();
    }
    Ok(Accepted {
        event_ids: accepted.event_ids,
        correlation_id: accepted.correlation_id,
        duplicate: accepted.duplicate,
    })
}

/// The body, up to the limit.
async fn read(
    mut payload: web::Payload,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(Code::MalformedBody).detail("The body ended before it was complete.")
        })?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::new(Code::BodyTooLarge));
        }
        share.grow(chunk.len()).map_err(|_| {
            ApiError::new(Code::Unavailable)
                .detail("Too many requests are under way.")
                .retry_after(1)
        })?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A correlation id that the sender brought, if it has a harmless form.
fn correlation(headers: &HeaderMap) -> Option<String> {
    let text = ["x-correlation-id", "x-request-id"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())?;
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (!text.is_empty() && text.len() <= LONGEST_CORRELATION && text.bytes().all(harmless))
        .then(|| text.to_owned())
}

/// The sender's delivery id: from the path that the source names, else where its preset says.
fn sender_id(source: &SourceConfig, headers: &HeaderMap, payload: &Value) -> Option<String> {
    let found = match &source.event_id_path {
        Some(path) => path.first(payload).and_then(scalar),
        None => match source.scheme.preset()?.idempotency_key? {
            IdempotencyKey::Header(name) => text_of(headers, name),
            IdempotencyKey::Path(path) => engine::path::JsonPath::parse(path)
                .ok()
                .and_then(|path| path.first(payload).and_then(scalar)),
        },
    }?;
    if found.is_empty() {
        return None;
    }
    if found.len() > LONGEST_SENDER_ID || found.contains('\0') {
        return Some(format!("sha256:{}", hex::encode(Sha256::digest(found))));
    }
    Some(found)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The headers to keep, as a JSON list of name and value.
fn kept(headers: &HeaderMap) -> String {
    let list: Vec<(&str, String)> = headers
        .iter()
        .filter(|(name, _)| !NOT_KEPT.contains(&name.as_str()))
        .map(|(name, value)| {
            (
                name.as_str(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    serde_json::to_string(&list).unwrap_or_default()
}
