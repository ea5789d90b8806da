//! Maintenance windows, and the switch of a workspace.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use openapi::maintenance::{
    ChangeMaintenance, ChangeMaintenanceWindow, Maintenance, MaintenanceWindow,
    NewMaintenanceWindow,
};
use openapi::page::Page;
use uuid::Uuid;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Guarded, Missing, Revised};
use crate::http::extract::{IfMatch, Json, etag};
use crate::http::problem::ApiResult;
use crate::services::audit::Actor;
use crate::services::maintenance;

/// Read maintenance
///
/// The switch of the workspace, the windows that are open now, and how many deliveries wait.
#[utoipa::path(tag = "maintenance", responses(
    (status = 200, description = "What holds now", body = Maintenance, headers(("etag" = String, description = "Revision of the switch"))),
    Guarded))]
#[get("/maintenance", wrap = "needs(Permission::MaintenanceRead)")]
pub async fn get_maintenance(core: web::Data<Core>, caller: Caller) -> ApiResult<HttpResponse> {
    Ok(state(maintenance::now(&core, caller.scope).await?))
}

/// Turn the maintenance switch
///
/// While it is on, events are taken as ever and every delivery of the workspace waits. With `until`
/// it goes off by itself.
#[utoipa::path(tag = "maintenance",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Turned", body = Maintenance, headers(("etag" = String, description = "Revision of the switch"))),
    Guarded, BadBody, Revised))]
#[patch("/maintenance", wrap = "needs(Permission::MaintenanceWrite)")]
pub async fn turn_maintenance(
    core: web::Data<Core>,
    caller: Caller,
    revision: IfMatch,
    Json(body): Json<ChangeMaintenance>,
) -> ApiResult<HttpResponse> {
    Ok(state(
        maintenance::turn(&core, caller.scope, &Actor::of(&caller), revision, body).await?,
    ))
}

/// List maintenance windows
#[utoipa::path(tag = "maintenance", responses(
    (status = 200, description = "All windows, by name", body = Page<MaintenanceWindow>), Guarded))]
#[get("/maintenance/windows", wrap = "needs(Permission::MaintenanceRead)")]
pub async fn list_windows(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<MaintenanceWindow>>> {
    Ok(whole(maintenance::list(&core, caller.scope).await?))
}

/// Make a maintenance window
#[utoipa::path(tag = "maintenance", responses(
    (status = 201, description = "Made", body = MaintenanceWindow), Guarded, BadBody, Conflict))]
#[post("/maintenance/windows", wrap = "needs(Permission::MaintenanceWrite)")]
pub async fn create_window(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewMaintenanceWindow>,
) -> ApiResult<HttpResponse> {
    let made = maintenance::create(&core, caller.scope, &Actor::of(&caller), body).await?;
    let location = format!("/api/v1/maintenance/windows/{}", made.id);
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .insert_header(etag(made.revision))
        .json(made))
}

/// Read a maintenance window
#[utoipa::path(tag = "maintenance", responses(
    (status = 200, description = "The window", body = MaintenanceWindow, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing))]
#[get(
    "/maintenance/windows/{id}",
    wrap = "needs(Permission::MaintenanceRead)"
)]
pub async fn get_window(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(maintenance::get(&core, caller.scope, *id).await?))
}

/// Change a maintenance window
///
/// An end that comes earlier lets go what waits.
#[utoipa::path(tag = "maintenance",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Changed", body = MaintenanceWindow, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[patch(
    "/maintenance/windows/{id}",
    wrap = "needs(Permission::MaintenanceWrite)"
)]
pub async fn change_window(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeMaintenanceWindow>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        maintenance::change(
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

/// Delete a maintenance window
///
/// What waits for it goes on.
#[utoipa::path(tag = "maintenance",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 204, description = "Deleted"), Guarded, Missing, Revised))]
#[delete(
    "/maintenance/windows/{id}",
    wrap = "needs(Permission::MaintenanceWrite)"
)]
pub async fn delete_window(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    maintenance::delete(&core, caller.scope, &Actor::of(&caller), *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn answer(window: MaintenanceWindow) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(window.revision))
        .json(window)
}

fn state(maintenance: Maintenance) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(maintenance.revision))
        .json(maintenance)
}
