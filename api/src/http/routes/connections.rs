//! Connections and connectors.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use openapi::connections::{
    ChangeConnection, Connection, ConnectionCreated, Connector, Metadata, NewConnection,
    SandboxRecord, TestResult, Waiting,
};
use openapi::deliveries::DeadResult;
use openapi::page::Page;
use openapi::webhooks::NewSigningSecret;
use uuid::Uuid;

use super::{PageQuery, whole};
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Conflict, Guarded, Missing, Revised, Upstream};
use crate::http::extract::{IfMatch, Json, Query, etag};
use crate::http::problem::ApiResult;
use crate::services::audit::Actor;
use crate::services::connections;

/// List connectors
///
/// The kinds of upstream that this server can speak to, with their settings and operations.
#[utoipa::path(tag = "connections", responses((status = 200, description = "Connectors, by name", body = Page<Connector>), Guarded))]
#[get("/connectors", wrap = "needs(Permission::ConnectionsRead)")]
pub async fn list_connectors(core: web::Data<Core>, _caller: Caller) -> web::Json<Page<Connector>> {
    whole(core.registry.all().map(|c| c.describe()).collect())
}

/// List connections
#[utoipa::path(tag = "connections", responses((status = 200, description = "All connections, by name", body = Page<Connection>), Guarded))]
#[get("/connections", wrap = "needs(Permission::ConnectionsRead)")]
pub async fn list_connections(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Connection>>> {
    Ok(whole(connections::list(&core, caller.scope).await?))
}

/// Make a connection
///
/// Secrets are sealed and never returned, but for one that is generated: the signing secret of a
/// webhook that the caller did not bring stands in this answer only.
#[utoipa::path(tag = "connections", responses(
    (status = 201, description = "Made", body = ConnectionCreated), Guarded, BadBody, Conflict))]
#[post("/connections", wrap = "needs(Permission::ConnectionsWrite)")]
pub async fn create_connection(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewConnection>,
) -> ApiResult<HttpResponse> {
    let made = connections::create(&core, caller.scope, &Actor::of(&caller), body).await?;
    Ok(HttpResponse::Created()
        .insert_header((
            "location",
            format!("/api/v1/connections/{}", made.connection.id),
        ))
        .insert_header(("cache-control", "no-store"))
        .insert_header(etag(made.connection.revision))
        .json(made))
}

/// Read a connection
#[utoipa::path(tag = "connections", responses(
    (status = 200, description = "The connection", body = Connection, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing))]
#[get("/connections/{id}", wrap = "needs(Permission::ConnectionsRead)")]
pub async fn get_connection(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(connections::get(&core, caller.scope, *id).await?))
}

/// Change a connection
///
/// Rules follow a new name. New settings or secrets let the deliveries that were set aside go on.
#[utoipa::path(tag = "connections",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Changed", body = Connection, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[patch("/connections/{id}", wrap = "needs(Permission::ConnectionsWrite)")]
pub async fn change_connection(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeConnection>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        connections::change(
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

/// Delete a connection
///
/// One that a rule or an open delivery needs is in use.
#[utoipa::path(tag = "connections",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 204, description = "Deleted"), Guarded, Missing, Conflict, Revised))]
#[delete("/connections/{id}", wrap = "needs(Permission::ConnectionsWrite)")]
pub async fn delete_connection(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    connections::delete(&core, caller.scope, &Actor::of(&caller), *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Rotate the signing secret of a webhook
///
/// A new secret is generated and shown in this answer only. Messages are signed with it and with
/// the old one until that is retired.
#[utoipa::path(tag = "connections",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "The new secret", body = NewSigningSecret, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, Conflict, Revised))]
#[post(
    "/connections/{id}/rotate-secret",
    wrap = "needs(Permission::ConnectionsWrite)"
)]
pub async fn rotate_connection_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    let made = connections::rotate_secret(&core, caller.scope, &by, *id, revision).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .insert_header(etag(made.revision))
        .json(made))
}

/// Retire the old signing secret of a webhook
///
/// Messages are signed with the newest secret only from now on.
#[utoipa::path(tag = "connections",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "The connection", body = Connection, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, Conflict, Revised))]
#[post(
    "/connections/{id}/retire-secret",
    wrap = "needs(Permission::ConnectionsWrite)"
)]
pub async fn retire_connection_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    Ok(answer(
        connections::retire_secret(&core, caller.scope, &by, *id, revision).await?,
    ))
}

/// Test a connection
///
/// Whether the upstream answers and accepts the credentials. A passed test lets the deliveries that
/// were set aside go on. A failed test is answered with 200 and `ok: false`.
#[utoipa::path(tag = "connections", responses(
    (status = 200, description = "What was found", body = TestResult), Guarded, Missing, Conflict))]
#[post("/connections/{id}/test", wrap = "needs(Permission::ConnectionsWrite)")]
pub async fn test_connection(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<TestResult>> {
    Ok(web::Json(
        connections::test(&core, caller.scope, *id).await?,
    ))
}

/// Let a connection go on
///
/// A person has looked at one that needs attention, as when many records were gone at once, which a
/// passed test does not end.
#[utoipa::path(tag = "connections", responses(
    (status = 200, description = "It goes on", body = Connection), Guarded, Missing, Conflict))]
#[post(
    "/connections/{id}/resume",
    wrap = "needs(Permission::ConnectionsWrite)"
)]
pub async fn resume_connection(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    Ok(answer(
        connections::resume(&core, caller.scope, &by, *id).await?,
    ))
}

/// Read what waits for a connection
///
/// How much, since when, and when the next attempts are made.
#[utoipa::path(tag = "connections", responses(
    (status = 200, description = "What waits", body = Waiting), Guarded, Missing))]
#[get(
    "/connections/{id}/waiting",
    wrap = "needs(Permission::ConnectionsRead)"
)]
pub async fn connection_waiting(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Waiting>> {
    Ok(web::Json(
        connections::waiting(&core, caller.scope, *id).await?,
    ))
}

/// Discard what waits for a connection
///
/// All open deliveries that are not being sent right now, whatever they wait for; what comes in
/// later is not meant. They are kept as `discarded`. A few are discarded at once; many become a job.
#[utoipa::path(tag = "connections", responses(
    (status = 200, description = "Discarded, or the job that does it", body = DeadResult), Guarded, Missing))]
#[post(
    "/connections/{id}/discard-waiting",
    wrap = "needs(Permission::DeliveriesWrite)"
)]
pub async fn discard_waiting(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<DeadResult>> {
    let by = Actor::of(&caller);
    Ok(web::Json(
        connections::discard_waiting(&core, caller.scope, &by, *id).await?,
    ))
}

/// Read a list of the upstream
///
/// For choosing values, as boards or statuses. Query parameters narrow it, as `board=Service Board`
/// does for statuses.
#[utoipa::path(tag = "connections", responses(
    (status = 200, description = "The rows, all pages", body = Metadata), Guarded, Missing, Conflict, Upstream))]
#[get(
    "/connections/{id}/metadata/{list}",
    wrap = "needs(Permission::ConnectionsRead)"
)]
pub async fn connection_metadata(
    req: HttpRequest,
    core: web::Data<Core>,
    caller: Caller,
    path: web::Path<(Uuid, String)>,
) -> ApiResult<web::Json<Metadata>> {
    let (id, list) = path.into_inner();
    let filter: BTreeMap<String, String> =
        url::form_urlencoded::parse(req.query_string().as_bytes())
            .into_owned()
            .collect();
    Ok(web::Json(
        connections::metadata(&core, caller.scope, id, &list, &filter).await?,
    ))
}

/// List the records of a sandbox
///
/// What would have been sent, newest first.
#[utoipa::path(tag = "connections", params(PageQuery), responses(
    (status = 200, description = "Records", body = Page<SandboxRecord>), Guarded, Missing, BadQuery))]
#[get(
    "/connections/{id}/records",
    wrap = "needs(Permission::ConnectionsRead)"
)]
pub async fn sandbox_records(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> ApiResult<web::Json<Page<SandboxRecord>>> {
    let window = query.window()?;
    Ok(web::Json(
        connections::records(&core, caller.scope, *id, window).await?,
    ))
}

fn answer(connection: Connection) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(connection.revision))
        .json(connection)
}
