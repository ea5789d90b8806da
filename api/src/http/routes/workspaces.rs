//! Tenants, and who asks.

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, get, patch, post, web};
use openapi::auth::WhoAmI;
use openapi::page::Page;
use openapi::workspaces::{NewWorkspace, RenameWorkspace, Workspace};
use tracing_actix_web::RequestId;
use uuid::Uuid;

use crate::auth::{Actor, Caller, Permission, needs, signed_in};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Guarded, Missing};
use crate::http::extract::Json;
use crate::http::problem::ApiResult;
use crate::services::workspaces;

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
#[utoipa::path(tag = "workspaces", responses(
    (status = 200, description = "Renamed", body = Workspace), Guarded, Missing, BadBody))]
#[patch("/workspaces/{id}", wrap = "needs(Permission::WorkspacesWrite)")]
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
