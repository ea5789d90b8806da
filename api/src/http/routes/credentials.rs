//! What API clients authenticate with.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, delete, get, patch, post, web};
use openapi::credentials::{
    ChangeCredential, Credential, CredentialRevealed, NewCredential, NewCredentialSecret,
    RetireCredentialSecret,
};
use openapi::page::Page;
use uuid::Uuid;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Fresh, Full, Guarded, Missing, Revised};
use crate::http::extract::{IfMatch, Json, JsonOrDefault, etag};
use crate::http::problem::ApiResult;
use crate::services::credentials;

/// List credentials
#[utoipa::path(tag = "credentials", responses(
    (status = 200, description = "All credentials, by name", body = Page<Credential>), Guarded))]
#[get("/credentials", wrap = "needs(Permission::CredentialsRead)")]
pub async fn list_credentials(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Credential>>> {
    Ok(whole(credentials::list(&core, caller.scope).await?))
}

/// Make a credential
///
/// The secret is in this answer and nowhere else. The scopes are some of the caller's own.
#[utoipa::path(tag = "credentials", responses(
    (status = 201, description = "Made; the secret is not shown again", body = CredentialRevealed), Guarded, Fresh, BadBody, Full))]
#[post("/credentials", wrap = "needs(Permission::CredentialsWrite).fresh()")]
pub async fn create_credential(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewCredential>,
) -> ApiResult<HttpResponse> {
    let made = credentials::create(&core, &caller, body).await?;
    let location = format!("/api/v1/credentials/{}", made.credential.id);
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::LOCATION, location));
    Ok(revealed(answer, made))
}

/// Read a credential
#[utoipa::path(tag = "credentials", responses(
    (status = 200, description = "The credential", body = Credential, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing))]
#[get("/credentials/{id}", wrap = "needs(Permission::CredentialsRead)")]
pub async fn get_credential(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(credentials::get(&core, caller.scope, *id).await?))
}

/// Change a credential
#[utoipa::path(tag = "credentials",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Changed", body = Credential, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[patch("/credentials/{id}", wrap = "needs(Permission::CredentialsWrite)")]
pub async fn change_credential(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeCredential>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        credentials::change(&core, &caller, *id, revision, body).await?,
    ))
}

/// Revoke a credential
///
/// It is refused for good, and its secrets are destroyed. This server refuses it from now on, the
/// others within five seconds.
#[utoipa::path(tag = "credentials", responses(
    (status = 200, description = "Revoked", body = Credential, headers(("etag" = String, description = "Its revision"))),
    Guarded, Fresh, Missing))]
#[post(
    "/credentials/{id}/revoke",
    wrap = "needs(Permission::CredentialsWrite).fresh()"
)]
pub async fn revoke_credential(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(credentials::revoke(&core, &caller, *id).await?))
}

/// Delete a credential
///
/// One that is revoked leaves the list.
#[utoipa::path(tag = "credentials",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 204, description = "Deleted"), Guarded, Fresh, Missing, Conflict, Revised))]
#[delete(
    "/credentials/{id}",
    wrap = "needs(Permission::CredentialsWrite).fresh()"
)]
pub async fn delete_credential(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    credentials::delete(&core, &caller, *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Add a second secret
///
/// Both are valid until one is retired. The secret is in this answer and nowhere else.
#[utoipa::path(tag = "credentials", request_body(content = Option<NewCredentialSecret>), responses(
    (status = 201, description = "Added; the secret is not shown again", body = CredentialRevealed),
    Guarded, Fresh, Missing, BadBody, Conflict))]
#[post(
    "/credentials/{id}/secrets",
    wrap = "needs(Permission::CredentialsWrite).fresh()"
)]
pub async fn add_credential_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(body): JsonOrDefault<NewCredentialSecret>,
) -> ApiResult<HttpResponse> {
    let made = credentials::add(&core, &caller, *id, body).await?;
    Ok(revealed(HttpResponse::Created(), made))
}

/// Make the second secret the primary one
///
/// The other one stays valid until it is retired.
#[utoipa::path(tag = "credentials", responses(
    (status = 200, description = "Changed places", body = Credential, headers(("etag" = String, description = "Its revision"))),
    Guarded, Fresh, Missing, Conflict))]
#[post(
    "/credentials/{id}/promote",
    wrap = "needs(Permission::CredentialsWrite).fresh()"
)]
pub async fn promote_credential_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(credentials::promote(&core, &caller, *id).await?))
}

/// Retire one of two secrets
///
/// Now or at a time; without a body the secondary one, now. When the primary one goes, the other
/// takes its place.
#[utoipa::path(tag = "credentials", request_body(content = Option<RetireCredentialSecret>), responses(
    (status = 200, description = "Retired, or planned", body = Credential, headers(("etag" = String, description = "Its revision"))),
    Guarded, Fresh, Missing, BadBody, Conflict))]
#[post(
    "/credentials/{id}/retire",
    wrap = "needs(Permission::CredentialsWrite).fresh()"
)]
pub async fn retire_credential_secret(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(body): JsonOrDefault<RetireCredentialSecret>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        credentials::retire(&core, &caller, *id, body).await?,
    ))
}

fn answer(credential: Credential) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(credential.revision))
        .json(credential)
}

/// An answer that nobody may keep.
fn revealed(mut answer: HttpResponseBuilder, made: CredentialRevealed) -> HttpResponse {
    answer
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(etag(made.credential.revision))
        .json(made)
}
