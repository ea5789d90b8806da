//! Events and the dashboard.

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use openapi::deliveries::ReplayRules;
use openapi::events::{EventDetail, EventSummary, ReplayEvent, Replayed};
use openapi::page::Page;
use openapi::stats::Stats;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Conflict, Guarded, Missing};
use crate::http::extract::{JsonOrDefault, Query};
use crate::http::problem::ApiResult;
use crate::services::audit::Actor;
use crate::services::cursor::Window;
use crate::services::events::{self, EventFilter};
use crate::services::{replay, stats};

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Slug or id of the source.
    #[param(example = "kuma")]
    source: Option<String>,
    /// `routed`, `unmatched`, `dropped` or `unrouted`.
    disposition: Option<String>,
    /// Id or name of a rule that took it.
    rule: Option<String>,
    /// Id, correlation id, delivery id of the sender, or the beginning of the title. An id names its
    /// event, and those that came in one request with it.
    q: Option<String>,
    /// Received at or after.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Received before.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// List events
#[utoipa::path(tag = "events", params(EventQuery), responses(
    (status = 200, description = "Events, newest first", body = Page<EventSummary>), Guarded, BadQuery))]
#[get("/events", wrap = "needs(Permission::EventsRead)")]
pub async fn list_events(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<EventQuery>,
) -> ApiResult<web::Json<Page<EventSummary>>> {
    let window = Window::parse(query.cursor.as_deref(), query.limit)?;
    let filter = EventFilter {
        source: query.source,
        disposition: query.disposition,
        rule: query.rule,
        words: query.q,
        from: query.from,
        to: query.to,
    };
    Ok(web::Json(
        events::list(&core, caller.scope, filter, window).await?,
    ))
}

/// Read an event
///
/// With all that became of it: the trace from the request to the upstream records.
#[utoipa::path(tag = "events", responses(
    (status = 200, description = "The event", body = EventDetail), Guarded, Missing))]
#[get("/events/{id}", wrap = "needs(Permission::EventsRead)")]
pub async fn get_event(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<EventDetail>> {
    Ok(web::Json(events::detail(&core, caller.scope, *id).await?))
}

/// Download the body of an event
///
/// The bytes as they were received, nothing masked.
#[utoipa::path(tag = "events", responses(
    (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"), Guarded, Missing))]
#[get("/events/{id}/body", wrap = "needs(Permission::EventsRead)")]
pub async fn get_event_body(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    let body = events::body(&core, caller.scope, *id).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}.bin\""),
        ))
        .body(body))
}

/// Replay an event
///
/// Today's rules decide about it again, from its original bytes, or those that were in force when
/// it was received; what they make of it is new.
#[utoipa::path(tag = "events", request_body = Option<ReplayEvent>, responses(
    (status = 200, description = "What became of it", body = Replayed), Guarded, Missing, BadBody, Conflict))]
#[post("/events/{id}/replay", wrap = "needs(Permission::EventsReplay)")]
pub async fn replay_event(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(body): JsonOrDefault<ReplayEvent>,
) -> ApiResult<web::Json<Replayed>> {
    let by = Actor::of(&caller);
    let which = body.rules.unwrap_or(ReplayRules::Today);
    Ok(web::Json(
        replay::event(&core, caller.scope, &by, *id, which).await?,
    ))
}

/// Read the dashboard's numbers
#[utoipa::path(tag = "events", responses((status = 200, description = "The numbers", body = Stats), Guarded))]
#[get("/stats", wrap = "needs(Permission::EventsRead)")]
pub async fn read_stats(core: web::Data<Core>, caller: Caller) -> ApiResult<web::Json<Stats>> {
    Ok(web::Json(stats::stats(&core, caller.scope).await?))
}
