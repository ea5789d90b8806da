//! Dead letters.

use actix_web::{get, post, web};
use openapi::deliveries::{DeadFilter, DeadGroup, DeadResult, Delivery, State};
use openapi::page::Page;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Guarded};
use crate::http::extract::{JsonOrDefault, Query};
use crate::http::problem::{ApiError, ApiResult};
use crate::services::actions;
use crate::services::cursor::Window;
use crate::services::deliveries::{self, DeliveryFilter};

/// Most dead letters that can be named in one request.
const NAMED: usize = 1000;

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

/// List dead letters by cause
#[utoipa::path(tag = "dead letters", responses(
    (status = 200, description = "Groups, the largest first", body = Page<DeadGroup>), Guarded))]
#[get("/dead-letters", wrap = "needs(Permission::DlqRead)")]
pub async fn list_dead_groups(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<DeadGroup>>> {
    Ok(whole(deliveries::groups(&core, caller.scope).await?))
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

/// Replay dead letters
///
/// All that the filter names, oldest first; without a filter all there are.
#[utoipa::path(tag = "dead letters", request_body = Option<DeadFilter>, responses(
    (status = 200, description = "Replayed", body = DeadResult), Guarded, BadBody))]
#[post("/dead-letters/replay", wrap = "needs(Permission::DlqReplay)")]
pub async fn replay_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    JsonOrDefault(filter): JsonOrDefault<DeadFilter>,
) -> ApiResult<web::Json<DeadResult>> {
    check(&filter)?;
    let count = actions::replay_dead(&core, caller.scope, &filter).await?;
    Ok(web::Json(DeadResult { count }))
}

/// Discard dead letters
///
/// All that the filter names; without a filter all there are. They are kept as `discarded`.
#[utoipa::path(tag = "dead letters", request_body = Option<DeadFilter>, responses(
    (status = 200, description = "Discarded", body = DeadResult), Guarded, BadBody))]
#[post("/dead-letters/discard", wrap = "needs(Permission::DlqReplay)")]
pub async fn discard_dead_letters(
    core: web::Data<Core>,
    caller: Caller,
    JsonOrDefault(filter): JsonOrDefault<DeadFilter>,
) -> ApiResult<web::Json<DeadResult>> {
    check(&filter)?;
    let count = actions::discard_dead(&core, caller.scope, &filter).await?;
    Ok(web::Json(DeadResult { count }))
}

fn check(filter: &DeadFilter) -> ApiResult<()> {
    if filter.ids.as_ref().is_some_and(|ids| ids.len() > NAMED) {
        return Err(ApiError::invalid(
            "ids",
            "too_many",
            format!("At most {NAMED} can be named; filter by their cause instead."),
        ));
    }
    Ok(())
}
