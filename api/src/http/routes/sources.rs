//! Sources.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use openapi::page::Page;
use openapi::sources::{
    Accepted, ChangeSource, NewSource, Refusal, RotateSourceSecret, Source, SourceCreated,
    TestEvent,
};
use uuid::Uuid;

use super::{PageQuery, whole};
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Conflict, Guarded, Missing, Revised};
use crate::http::extract::{IfMatch, Json, JsonOrDefault, Query, etag};
use crate::http::problem::{ApiError, ApiResult};
use crate::ingest;
use crate::services::audit::Actor;
use crate::services::sources;

/// List sources
#[utoipa::path(tag = "sources", responses((status = 200, description = "All sources, by name", body = Page<Source>), Guarded))]
#[get("/sources", wrap = "needs(Permission::SourcesRead)")]
pub async fn list_sources(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Source>>> {
    Ok(whole(sources::list(&core, caller.scope).await?))
}

/// A sample payload.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Sample {
    /// Its name, for `POST /sources/{id}/test`.
    #[schema(example = "uptime-kuma-down")]
    pub name: String,
    /// The payload.
    #[schema(value_type = Object)]
    pub payload: serde_json::Value,
}

/// List sample payloads
///
/// What well-known senders send, for test events and for trying rules.
#[utoipa::path(tag = "sources", responses((status = 200, description = "Samples", body = Page<Sample>), Guarded))]
#[get("/sources/samples", wrap = "needs(Permission::SourcesRead)")]
pub async fn list_samples(_caller: Caller) -> web::Json<Page<Sample>> {
    let samples = sources::SAMPLES.iter().filter_map(|name| {
        Some(Sample {
            name: (*name).to_owned(),
            payload: sources::sample(name)?,
        })
    });
    whole(samples.collect())
}

/// Make a source
///
/// A secret that is needed and not brought is generated and shown in this answer only.
#[utoipa::path(tag = "sources", responses(
    (status = 201, description = "Made", body = SourceCreated), Guarded, BadBody, Conflict))]
#[post("/sources", wrap = "needs(Permission::SourcesWrite)")]
pub async fn create_source(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewSource>,
) -> ApiResult<HttpResponse> {
    let made = sources::create(&core, caller.scope, &Actor::of(&caller), body).await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/sources/{}", made.source.id)))
        .insert_header(("cache-control", "no-store"))
        .insert_header(etag(made.source.revision))
        .json(made))
}

/// Read a source
#[utoipa::path(tag = "sources", responses(
    (status = 200, description = "The source", body = Source, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing))]
#[get("/sources/{id}", wrap = "needs(Permission::SourcesRead)")]
pub async fn get_source(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(sources::get(&core, caller.scope, *id).await?))
}

/// Change a source
#[utoipa::path(tag = "sources",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Changed", body = Source, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[patch("/sources/{id}", wrap = "needs(Permission::SourcesWrite)")]
pub async fn change_source(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeSource>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        sources::change(
            &core,
            caller.scope,
            &Actor::of(&caller),
            *id,
            revision,
            body,
        )
        .await?,
    ))
}

/// Delete a source
///
/// Its events stay. A source that a rule listens to is in use.
#[utoipa::path(tag = "sources",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 204, description = "Deleted"), Guarded, Missing, Conflict, Revised))]
#[delete("/sources/{id}", wrap = "needs(Permission::SourcesWrite)")]
pub async fn delete_source(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    sources::delete(&core, caller.scope, &Actor::of(&caller), *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Rotate the secret of a source
///
/// A new secret is generated, valid at once, and shown in this answer only. The old one stays valid
/// beside it for a day, or as long as the body says; one from before that ends now.
#[utoipa::path(tag = "sources", request_body = Option<RotateSourceSecret>,
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "The source with its new secret", body = SourceCreated),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[post(
    "/sources/{id}/rotate-secret",
    wrap = "needs(Permission::SourcesWrite)"
)]
pub async fn rotate_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    JsonOrDefault(wanted): JsonOrDefault<RotateSourceSecret>,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    let made = sources::rotate(&core, caller.scope, &by, *id, revision, wanted).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .insert_header(etag(made.source.revision))
        .json(made))
}

/// Retire the old secret of a source
///
/// Only the newest secret is valid from now on.
#[utoipa::path(tag = "sources",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "The source", body = Source, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, Conflict, Revised))]
#[post(
    "/sources/{id}/retire-secret",
    wrap = "needs(Permission::SourcesWrite)"
)]
pub async fn retire_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    let source = sources::retire(&core, caller.scope, &by, *id, revision).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(source.revision))
        .json(source))
}

/// Send a test event
///
/// The payload, or a sample, goes the way of a real request and is marked as a test.
#[utoipa::path(tag = "sources", request_body = Option<TestEvent>, responses(
    (status = 202, description = "On disk", body = Accepted), Guarded, Missing, BadBody, Conflict))]
#[post("/sources/{id}/test", wrap = "needs(Permission::SourcesWrite)")]
pub async fn test_source(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(body): JsonOrDefault<TestEvent>,
) -> ApiResult<HttpResponse> {
    let payload = match (body.payload, body.sample) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "sample",
                "conflict",
                "Give either a payload or a sample.",
            ));
        }
        (Some(payload), None) => payload,
        (None, name) => {
            let first = sources::SAMPLES.first().copied().unwrap_or_default();
            sources::sample(name.as_deref().unwrap_or(first)).ok_or_else(|| {
                let names = sources::SAMPLES.join(", ");
                ApiError::invalid(
                    "sample",
                    "unknown_value",
                    format!("One of {names} is expected."),
                )
            })?
        }
    };
    let accepted = ingest::send_test(&core, caller.scope, *id, &payload).await?;
    Ok(HttpResponse::Accepted().json(accepted))
}

/// List refused requests of a source
///
/// The newest of a bounded ring.
#[utoipa::path(tag = "sources", params(PageQuery), responses(
    (status = 200, description = "Refusals, newest first", body = Page<Refusal>), Guarded, Missing, BadQuery))]
#[get("/sources/{id}/refusals", wrap = "needs(Permission::SourcesRead)")]
pub async fn list_refusals(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> ApiResult<web::Json<Page<Refusal>>> {
    let window = query.window()?;
    Ok(web::Json(
        sources::refusals(&core, caller.scope, *id, window).await?,
    ))
}

fn answer(source: Source) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(source.revision))
        .json(source)
}
