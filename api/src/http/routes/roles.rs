//! Roles: what members of the workspace may do.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use openapi::page::Page;
use openapi::roles::{ChangeRole, NewRole, Role};
use uuid::Uuid;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Guarded, Missing, Revised};
use crate::http::extract::{IfMatch, Json, etag};
use crate::http::problem::ApiResult;
use crate::services::roles;

/// List roles
///
/// The four that are built in and cannot be changed, then those of the workspace by name.
#[utoipa::path(tag = "roles", responses(
    (status = 200, description = "All roles", body = Page<Role>), Guarded))]
#[get("/roles", wrap = "needs(Permission::RolesRead)")]
pub async fn list_roles(core: web::Data<Core>, caller: Caller) -> ApiResult<web::Json<Page<Role>>> {
    Ok(whole(roles::list(&core, caller.scope).await?))
}

/// Make a role
///
/// Its scopes are some of the caller's own.
#[utoipa::path(tag = "roles", responses(
    (status = 201, description = "Made", body = Role), Guarded, BadBody, Conflict))]
#[post("/roles", wrap = "needs(Permission::RolesWrite)")]
pub async fn create_role(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewRole>,
) -> ApiResult<HttpResponse> {
    let made = roles::create(&core, &caller, body).await?;
    let mut response = HttpResponse::Created();
    if let Some(id) = made.id {
        response.insert_header(("location", format!("/api/v1/roles/{id}")));
    }
    Ok(response.insert_header(etag(made.revision)).json(made))
}

/// Read a role
#[utoipa::path(tag = "roles", responses(
    (status = 200, description = "The role", body = Role, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing))]
#[get("/roles/{id}", wrap = "needs(Permission::RolesRead)")]
pub async fn get_role(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(roles::get(&core, caller.scope, *id).await?))
}

/// Change a role
///
/// It holds for the next request of everybody who has it. Nobody changes a role that may do, or
/// would, what they may not themselves.
#[utoipa::path(tag = "roles",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Changed", body = Role, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[patch("/roles/{id}", wrap = "needs(Permission::RolesWrite)")]
pub async fn change_role(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeRole>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        roles::change(&core, &caller, *id, revision, body).await?,
    ))
}

/// Delete a role
///
/// Refused while a member has it.
#[utoipa::path(tag = "roles",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 204, description = "Deleted"), Guarded, Missing, Conflict, Revised))]
#[delete("/roles/{id}", wrap = "needs(Permission::RolesWrite)")]
pub async fn delete_role(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    roles::delete(&core, &caller, *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn answer(role: Role) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(role.revision))
        .json(role)
}
