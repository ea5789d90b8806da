//! How long things are kept.

use actix_web::{HttpResponse, get, patch, post, web};
use openapi::retention::{ChangeRetention, Retention, RetentionPreview, StorageSizes};

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Fresh, Guarded, Revised};
use crate::http::extract::{IfMatch, Json, etag};
use crate::http::problem::ApiResult;
use crate::retention;
use crate::services::audit::Actor;

/// Read how long things are kept
///
/// The limits of the workspace, the sources that have their own, and how the clean-up goes.
#[utoipa::path(tag = "retention", responses(
    (status = 200, description = "The limits", body = Retention, headers(("etag" = String, description = "Their revision"))),
    Guarded))]
#[get("/retention", wrap = "needs(Permission::SettingsRead)")]
pub async fn read_retention(core: web::Data<Core>, caller: Caller) -> ApiResult<HttpResponse> {
    Ok(answer(retention::read(&core, caller.scope).await?))
}

/// Change how long things are kept
///
/// What is absent stays; `0` is for good.
#[utoipa::path(tag = "retention",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "The limits now", body = Retention, headers(("etag" = String, description = "Their revision"))),
    Guarded, Fresh, BadBody, Revised))]
#[patch("/retention", wrap = "needs(Permission::SettingsWrite).fresh()")]
pub async fn change_retention(
    core: web::Data<Core>,
    caller: Caller,
    revision: IfMatch,
    Json(body): Json<ChangeRetention>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        retention::change(&core, caller.scope, &Actor::of(&caller), revision, body).await?,
    ))
}

/// Read how much there is
///
/// Of the whole database for the first workspace, of what they have themselves for the others; rows
/// and bytes of tables are estimates.
#[utoipa::path(tag = "retention", responses(
    (status = 200, description = "Sizes", body = StorageSizes), Guarded))]
#[get("/retention/sizes", wrap = "needs(Permission::SettingsRead)")]
pub async fn read_sizes(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<StorageSizes>> {
    Ok(web::Json(retention::sizes(&core, caller.scope).await?))
}

/// Count what a clean-up would delete
///
/// By the limits as they are stored; nothing is deleted.
#[utoipa::path(tag = "retention", responses(
    (status = 200, description = "Counts", body = RetentionPreview), Guarded))]
#[get("/retention/preview", wrap = "needs(Permission::SettingsRead)")]
pub async fn preview_retention(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<RetentionPreview>> {
    Ok(web::Json(retention::preview(&core, caller.scope).await?))
}

/// Clean up now
///
/// A clean-up of all workspaces begins within a second. One that is under way goes on; if it is about
/// to end, another follows.
#[utoipa::path(tag = "retention", responses(
    (status = 202, description = "It begins"), Guarded))]
#[post("/retention/run", wrap = "needs(Permission::SettingsWrite)")]
pub async fn run_retention(core: web::Data<Core>, _caller: Caller) -> ApiResult<HttpResponse> {
    retention::run_now(&core).await?;
    Ok(HttpResponse::Accepted().finish())
}

fn answer(retention: Retention) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(retention.revision))
        .json(retention)
}
