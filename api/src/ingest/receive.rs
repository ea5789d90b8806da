//! The hook: from a request to a 202.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use engine::signature::{AuthCode, Scheme};
use entity::event;
use futures_util::StreamExt as _;
use openapi::problem::Code;
use openapi::sources::Accepted;
use serde::Serializer as _;
use serde_json::Value;

use super::budget::Share;
use super::fan_out::{bounded, fan_out};
use super::refuse::Refused;
use super::{Budget, gate, handshake, parse, replay, route};
use crate::auth::client_address;
use crate::core::Core;
use crate::http::problem::ApiError;
use crate::journal::Accept;
use crate::lifecycle::{HOPS, Hops, MOST_HOPS};
use crate::snapshot::{SenderId, SourceConfig};

/// Where hooks lie, all alike: below it a slug, or a workspace and a slug. Without a workspace it is
/// the first one. Found by their beginnings alone: patterns are slow, and every event comes this way.
pub const HOOK_PREFIXES: &[&str] = &["/hooks", "/w", "/webhook"];

/// Headers that are not kept: they carry credentials.
const NOT_KEPT: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];
/// Longest correlation id that is taken over from a sender.
const LONGEST_CORRELATION: usize = 100;

/// Receives an event.
///
/// # Errors
/// See the module for the order of the checks.
pub async fn hook(
    request: &HttpRequest,
    payload: web::Payload,
    core: &Core,
    budget: &Budget,
) -> Result<HttpResponse, ApiError> {
    let (source, token) =
        find(core, request.match_info().unprocessed()).ok_or_else(ApiError::not_found)?;
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
    if !handshake::allows(&source.scheme, request.method()) {
        let mut error = ApiError::new(Code::MethodNotAllowed);
        error.allow = Some("GET, POST".to_owned());
        return Err(refused.noted(core, error));
    }
    // Held until the answer is known.
    let mut share = budget.share();
    let asked = Asked {
        request,
        source: &source,
        token,
    };
    match receive(core, &mut share, asked, payload, &mut refused).await {
        Ok(Answer::Accepted(accepted)) => Ok(HttpResponse::Accepted().json(accepted)),
        Ok(Answer::Handshake(answer)) => Ok(answer),
        Err(error) => Err(refused.noted(core, error)),
    }
}

/// A request to a source.
#[derive(Clone, Copy)]
struct Asked<'a> {
    request: &'a HttpRequest,
    source: &'a Arc<SourceConfig>,
    /// What stood behind the slug.
    token: Option<&'a str>,
}

enum Answer {
    Accepted(Accepted),
    Handshake(HttpResponse),
}

/// The source at a path below one of the prefixes, and the token behind its slug. Only a source that
/// has one there is found with it, and only at the address with its workspace.
fn find<'a>(core: &Core, path: &'a str) -> Option<(Arc<SourceConfig>, Option<&'a str>)> {
    let snapshot = core.snapshots.current();
    let path = path.strip_prefix('/')?;
    let (workspace, slug) = match path.split_once('/') {
        Some((workspace, slug)) => (snapshot.workspace_by_slug(workspace)?, slug),
        None => (snapshot.first_workspace()?, path),
    };
    let (slug, token) = match slug.split_once('/') {
        Some((slug, token)) => (slug, Some(token)),
        None => (slug, None),
    };
    let source = snapshot.source_by_slug(workspace.id, slug).cloned()?;
    if token.is_some() && !source.scheme.has_address_token() {
        return None;
    }
    Some((source, token))
}

async fn receive(
    core: &Core,
    share: &mut Share,
    asked: Asked<'_>,
    payload: web::Payload,
    refused: &mut Refused<'_>,
) -> Result<Answer, ApiError> {
    let Asked {
        request,
        source,
        token,
    } = asked;
    let received_at = core.clock.now();
    let headers = request.headers();
    let limit = source
        .body_limit
        .unwrap_or(core.settings.body_limit)
        .min(core.settings.body_limit);
    let announced = text_of(headers, "content-length").and_then(|text| text.parse().ok());
    gate::check(source, &core.limits, refused.address, announced, limit).await?;
    handshake::check_address(source, token, headers, refused)?;
    if let Some(answer) = handshake::before(core, source, request, token, refused).await? {
        return Ok(Answer::Handshake(answer));
    }
    let patience = Duration::from_secs(core.settings.request_timeout_seconds.max(1));
    let body = tokio::time::timeout(patience, read(payload, limit, share))
        .await
        .map_err(|_| {
            ApiError::new(Code::MalformedBody).detail("The body did not arrive in time.")
        })??;
    refused.size = body.len();

    // The token in the address was all there is to show.
    if !matches!(source.scheme, Scheme::Url) {
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
    }

    // What comes back to where it was told, or goes from hook to hook, would go round for ever.
    let hops = Hops::read(
        headers
            .get_all(HOPS)
            .filter_map(|value| value.to_str().ok()),
    );
    if hops.has_told(source.workspace_id) {
        return Err(ApiError::new(Code::LoopDetected)
            .detail("This message tells what happened in this very workspace."));
    }
    if hops.count() > MOST_HOPS {
        return Err(ApiError::new(Code::LoopDetected).detail(format!(
            "This has been sent on more than {MOST_HOPS} times, from one hook to the next."
        )));
    }

    let method = request.method().as_str();
    let query = request.query_string();
    let payload = parse::parse(method, refused.content_type, query, &body)?;
    if let Some(answer) = handshake::after(&source.scheme, &payload) {
        return Ok(Answer::Handshake(answer));
    }
    let id = crate::ids::new(&core.clock);
    let event = event::Model {
        id,
        workspace_id: source.workspace_id,
        source_id: source.id,
        received_at: received_at.timestamp_millis(),
        correlation_id: correlation(headers).unwrap_or_else(|| id.to_string()),
        idempotency_key: sender_id(source, headers, &payload),
        disposition: String::new(),
        reason: String::new(),
        method: method.to_owned(),
        content_type: refused.content_type.to_owned(),
        query: query.to_owned(),
        remote_addr: refused.address.to_string(),
        headers: kept(headers, source.scheme.token_header()),
        body: body.to_vec(),
        envelope: None,
        test: false,
        title: String::new(),
        matched: String::new(),
    };
    let events = fan_out(core, source, event, payload);
    let counted = count(core, source, events.len(), received_at.timestamp_millis())?;
    let events = events
        .into_iter()
        .map(|(event, view)| route::route(core, source, event, &view, false))
        .collect();
    let accepted = core.journal.accept(Accept { events }).await;
    if accepted
        .as_ref()
        .map_or(true, |accepted| accepted.duplicate)
    {
        core.daily.give_back(source.workspace_id, counted);
    }
    let accepted = accepted.map_err(replay::refused)?;
    core.beats.heard(source.id, received_at.timestamp_millis());
    tracing::Span::current().record("correlation_id", accepted.correlation_id.as_str());
    if accepted.duplicate {
        core.metrics.duplicate();
    }
    Ok(Answer::Accepted(Accepted {
        event_ids: accepted.event_ids,
        correlation_id: accepted.correlation_id,
        duplicate: accepted.duplicate,
    }))
}

/// Counts events of a workspace that may take so many a day; how many were counted.
fn count(core: &Core, source: &SourceConfig, events: usize, now: i64) -> Result<usize, ApiError> {
    let workspace = source.workspace_id;
    let snapshot = core.snapshots.current();
    let limit = snapshot.workspace(workspace).and_then(|w| w.events_per_day);
    let Some(limit) = limit else {
        return Ok(0);
    };
    match core.daily.take(workspace, limit, events, now) {
        Ok(()) => Ok(events),
        Err(wait) => Err(ApiError::new(Code::EventQuotaExceeded).retry_after(wait.as_secs() + 1)),
    }
}

/// The body, up to the limit.
async fn read(
    mut payload: web::Payload,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    // Most bodies come in one piece, which is not copied.
    let mut whole = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(Code::MalformedBody).detail("The body ended before it was complete.")
        })?;
        if whole.len() + body.len() + chunk.len() > limit {
            return Err(ApiError::new(Code::BodyTooLarge));
        }
        share.grow(chunk.len()).map_err(|_| {
            ApiError::new(Code::Unavailable)
                .detail("Too many requests are under way.")
                .retry_after(1)
        })?;
        if whole.is_empty() && body.is_empty() {
            whole = chunk;
            continue;
        }
        body.extend_from_slice(&std::mem::take(&mut whole));
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() {
        whole
    } else {
        body.freeze()
    })
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

/// The sender's delivery id.
fn sender_id(source: &SourceConfig, headers: &HeaderMap, payload: &Value) -> Option<String> {
    let found = match &source.sender_id {
        SenderId::None => None,
        SenderId::Header(name) => text_of(headers, name),
        SenderId::Path(path) => path.first(payload).and_then(scalar),
    }?;
    (!found.is_empty()).then(|| bounded(found))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The headers to keep, as a JSON list of name and value; not those with credentials, nor the one
/// that this source's token stands in.
fn kept(headers: &HeaderMap, token: Option<&str>) -> String {
    let list = headers
        .iter()
        .filter(|(name, _)| !NOT_KEPT.contains(&name.as_str()))
        .filter(|(name, _)| token.is_none_or(|token| !name.as_str().eq_ignore_ascii_case(token)))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
    let mut text = Vec::with_capacity(256);
    let written = serde_json::Serializer::new(&mut text).collect_seq(list);
    written
        .ok()
        .and_then(|()| String::from_utf8(text).ok())
        .unwrap_or_default()
}
