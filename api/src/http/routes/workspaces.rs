//! Tenants, and who asks.

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, get, patch, post, web};
use openapi::auth::WhoAmI;
use openapi::page::Page;
use openapi::quotas::{ChangeQuotas, Usage};
use openapi::workspaces::{
    NewWorkspace, RemoveWorkspace, RenameWorkspace, Workspace, WorkspaceRemoval,
};
use tracing_actix_web::RequestId;
use uuid::Uuid;

use crate::auth::{Actor, Caller, Permission, needs, signed_in};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Guarded, Missing, Revised};
use crate::http::extract::{IfMatch, Json, etag};
use crate::http::problem::ApiResult;
use crate::services::{quotas, workspaces};

/// Who asks
///
/// The caller as the server sees it: for finding out why something is refused.
#[utoipa::path(tag = "auth", responses((status = 200, description = "The caller", body = WhoAmI), Guarded))]
#[get("/debug/whoami", wrap = "signed_in()")]
pub async fn whoami(
    core: web::Data<Core>,
    caller: Caller,
    request: HttpRequest,
) -> ApiResult<web::Json<WhoAmI>> {
    let workspace = workspaces::get(&core, &caller, caller.scope.workspace()).await?;
    let client_id = match &caller.actor {
        Actor::Person { .. } => None,
        Actor::Credential { client_id, .. } => Some(client_id.clone()),
    };
    let id = request.extensions().get::<RequestId>().copied();
    Ok(web::Json(WhoAmI {
        kind: caller.means.kind.to_owned(),
        name: caller.means.name,
        client_id,
        slot: caller.means.slot,
        workspace,
        scopes: caller
            .permissions
            .iter()
            .map(|p| p.word().to_owned())
            .collect(),
        remote_addr: caller.address.to_string(),
        matched_cidr: caller.means.network.map(|network| network.to_string()),
        server_time: core.clock.now(),
        skew_seconds: caller.means.skew_seconds,
        request_id: id.map_or_else(String::new, |id| id.to_string()),
    }))
}

/// List workspaces
///
/// Those that the caller may enter, oldest first.
#[utoipa::path(tag = "workspaces", responses((status = 200, description = "Workspaces", body = Page<Workspace>), Guarded))]
#[get("/workspaces", wrap = "needs(Permission::WorkspacesRead)")]
pub async fn list_workspaces(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Workspace>>> {
    Ok(super::whole(workspaces::list(&core, &caller).await?))
}

/// Make a workspace
#[utoipa::path(tag = "workspaces", responses(
    (status = 201, description = "Made", body = Workspace), Guarded, BadBody, Conflict))]
#[post("/workspaces", wrap = "needs(Permission::WorkspacesWrite)")]
pub async fn create_workspace(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewWorkspace>,
) -> ApiResult<HttpResponse> {
    let made = workspaces::create(&core, &caller, body).await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/workspaces/{}", made.id)))
        .json(made))
}

/// Read a workspace
#[utoipa::path(tag = "workspaces", responses(
    (status = 200, description = "The workspace", body = Workspace), Guarded, Missing))]
#[get("/workspaces/{id}", wrap = "needs(Permission::WorkspacesRead)")]
pub async fn get_workspace(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Workspace>> {
    Ok(web::Json(workspaces::get(&core, &caller, *id).await?))
}

/// Rename a workspace
///
/// What only an owner may.
#[utoipa::path(tag = "workspaces", responses(
    (status = 200, description = "Renamed", body = Workspace), Guarded, Missing, BadBody))]
#[patch("/workspaces/{id}", wrap = "needs(Permission::WorkspacesOwn)")]
pub async fn rename_workspace(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Json(body): Json<RenameWorkspace>,
) -> ApiResult<web::Json<Workspace>> {
    Ok(web::Json(
        workspaces::rename(&core, &caller, *id, body).await?,
    ))
}

/// Preview the deletion of a workspace
///
/// What would go with it. What only an owner may.
#[utoipa::path(tag = "workspaces", responses(
    (status = 200, description = "What would go", body = WorkspaceRemoval), Guarded, Missing))]
#[get("/workspaces/{id}/removal", wrap = "needs(Permission::WorkspacesOwn)")]
pub async fn preview_workspace_removal(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<WorkspaceRemoval>> {
    Ok(web::Json(workspaces::removal(&core, &caller, *id).await?))
}

/// Delete a workspace
///
/// What only an owner may, who has signed in or confirmed it a short time ago. The body repeats the
/// slug. Nobody and nothing gets in from then on, open deliveries are not made, and the name is
/// free; the rows are deleted in the background. It cannot be taken back. Files of the archive stay.
/// The first workspace cannot be deleted.
#[utoipa::path(tag = "workspaces", responses(
    (status = 202, description = "Shut; its rows are being deleted"), Guarded, Missing, BadBody, Conflict))]
#[post(
    "/workspaces/{id}/removal",
    wrap = "needs(Permission::WorkspacesOwn).fresh()"
)]
pub async fn remove_workspace(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Json(body): Json<RemoveWorkspace>,
) -> ApiResult<HttpResponse> {
    workspaces::remove(&core, &caller, *id, body).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Read the use of a workspace
///
/// How much it has of what can be limited, and how much it may have.
#[utoipa::path(tag = "workspaces", responses(
    (status = 200, description = "Use and limits", body = Usage, headers(("etag" = String, description = "Revision of the limits"))),
    Guarded, Missing))]
#[get("/workspaces/{id}/usage", wrap = "needs(Permission::WorkspacesRead)")]
pub async fn workspace_usage(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(use_of(quotas::usage(&core, &caller, *id).await?))
}

/// Set the quotas of a workspace
///
/// What only an owner may. A limit below what there is takes nothing away. Over the events of a day,
/// hooks answer 429 until midnight UTC.
#[utoipa::path(tag = "workspaces",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Set", body = Usage, headers(("etag" = String, description = "Revision of the limits"))),
    Guarded, Missing, BadBody, Revised))]
#[patch("/workspaces/{id}/quotas", wrap = "needs(Permission::WorkspacesOwn)")]
pub async fn change_quotas(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeQuotas>,
) -> ApiResult<HttpResponse> {
    Ok(use_of(
        quotas::change(&core, &caller, *id, revision, body).await?,
    ))
}

fn use_of(usage: Usage) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(usage.revision))
        .json(usage)
}
