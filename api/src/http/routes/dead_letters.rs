//! Dead letters.

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use openapi::deliveries::{
    DeadFilter, DeadGroup, DeadPreview, DeadReplay, DeadResult, Delivery, State,
};
use openapi::page::Page;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Guarded};
use crate::http::extract::{JsonOrDefault, Query};
use crate::http::problem::ApiResult;
use crate::services::audit::Actor;
use crate::services::cursor::Window;
use crate::services::deliveries::{self, DeliveryFilter};
use crate::services::replay;

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadQuery {
    /// Of this cause.
    #[param(example = "http_400")]
    error_code: Option<String>,
    /// Of this connection.
    connection_id: Option<Uuid>,
    /// Of this rule.
    rule_id: Option<Uuid>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// Which groups of dead letters. All of them are one page: what asks for pages is passed over, as
/// before there was anything to ask for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// Only what this rule made.
    rule_id: Option<Uuid>,
}

/// List dead letters by cause
#[utoipa::path(tag = "dead letters", params(GroupQuery), responses(
    (status = 200, description = "Groups, the largest first", body = Page<DeadGroup>), Guarded, BadQuery))]
#[get("/dead-letters", wrap = "needs(Permission::DlqRead)")]
pub async fn list_dead_groups(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<GroupQuery>,
) -> ApiResult<web::Json<Page<DeadGroup>>> {
    let groups = deliveries::groups(&core, caller.scope, query.rule_id).await?;
    Ok(whole(groups))
}

/// List dead letters
#[utoipa::path(tag = "dead letters", params(DeadQuery), responses(
    (status = 200, description = "Dead letters, newest first", body = Page<Delivery>), Guarded, BadQuery))]
#[get("/dead-letters/list", wrap = "needs(Permission::DlqRead)")]
pub async fn list_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<DeadQuery>,
) -> ApiResult<web::Json<Page<Delivery>>> {
    let window = Window::parse(query.cursor.as_deref(), query.limit)?;
    let filter = DeliveryFilter {
        states: vec![State::Dead],
        connection: query.connection_id.map(|id| id.to_string()),
        rule: query.rule_id,
        error_code: query.error_code,
        ..DeliveryFilter::default()
    };
    Ok(web::Json(
        deliveries::list(&core, caller.scope, filter, window).await?,
    ))
}

/// Preview a replay of dead letters
///
/// How many the filter names, with what goes along because its lane does, by connection, cause and
/// rule; and the oldest few as they would be sent: as they were rendered, with today's rules, and with
/// those of when their events were received. Nothing is sent.
#[utoipa::path(tag = "dead letters", request_body = Option<DeadFilter>, responses(
    (status = 200, description = "What a replay would do", body = DeadPreview), Guarded, BadBody))]
#[post("/dead-letters/preview", wrap = "needs(Permission::DlqRead)")]
pub async fn preview_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    JsonOrDefault(filter): JsonOrDefault<DeadFilter>,
) -> ApiResult<web::Json<DeadPreview>> {
    Ok(web::Json(
        replay::preview(&core, caller.scope, filter).await?,
    ))
}

/// Replay dead letters
///
/// All that the filter names, oldest first; without a filter all there are. A few are replayed at
/// once; many, or any with a rate, become a job.
#[utoipa::path(tag = "dead letters", request_body = Option<DeadReplay>, responses(
    (status = 200, description = "Replayed, or the job that does it", body = DeadResult), Guarded, BadBody))]
#[post("/dead-letters/replay", wrap = "needs(Permission::DlqReplay)")]
pub async fn replay_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    JsonOrDefault(asked): JsonOrDefault<DeadReplay>,
) -> ApiResult<web::Json<DeadResult>> {
    let by = Actor::of(&caller);
    Ok(web::Json(
        replay::replay(&core, caller.scope, &by, asked).await?,
    ))
}

/// Discard dead letters
///
/// All that the filter names; without a filter all there are. They are kept as `discarded`. A few
/// are discarded at once; many become a job.
#[utoipa::path(tag = "dead letters", request_body = Option<DeadFilter>, responses(
    (status = 200, description = "Discarded, or the job that does it", body = DeadResult), Guarded, BadBody))]
#[post("/dead-letters/discard", wrap = "needs(Permission::DlqReplay)")]
pub async fn discard_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    JsonOrDefault(filter): JsonOrDefault<DeadFilter>,
) -> ApiResult<web::Json<DeadResult>> {
    let by = Actor::of(&caller);
    Ok(web::Json(
        replay::discard(&core, caller.scope, &by, filter).await?,
    ))
}

/// Which dead letters to export.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Of this cause.
    #[param(example = "http_400")]
    error_code: Option<String>,
    /// Of this connection.
    connection_id: Option<Uuid>,
    /// Of this rule.
    rule_id: Option<Uuid>,
}

/// Export dead letters
///
/// One JSON object on each line, oldest first: the delivery and its event with the original bytes.
/// Nothing is masked, so it also needs `events:read`, and the audit log has it.
#[utoipa::path(tag = "dead letters", params(ExportQuery), responses(
    (status = 200, description = "JSON Lines", body = String, content_type = "application/x-ndjson"), Guarded, BadQuery))]
#[get("/dead-letters/export", wrap = "needs(Permission::DlqRead)")]
pub async fn export_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> ApiResult<HttpResponse> {
    caller.must(Permission::EventsRead)?;
    let filter = DeadFilter {
        ids: None,
        error_code: query.error_code,
        connection_id: query.connection_id,
        rule_id: query.rule_id,
    };
    let by = Actor::of(&caller);
    let lines = replay::export(&core, caller.scope, &by, filter).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"dead-letters.jsonl\"",
        ))
        .streaming(Box::pin(lines)))
}
