//! Passkeys: one's own, and signing in with them.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use openapi::auth::Session;
use openapi::page::Page;
use openapi::passkeys::{NewPasskey, Passkey, PasskeyBegun, PasskeyShown, RenamePasskey};
use uuid::Uuid;

use super::auth::{entered, forget_second_step};
use super::whole;
use crate::auth::{Authenticator, Person, a_person};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Fresh, Guarded, Missing, PasskeyFailed};
use crate::http::extract::Json;
use crate::http::problem::ApiResult;

/// Begin a sign-in with a passkey
///
/// Says what the browser is to ask for. It names no account; the browser offers what it has.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "What the browser is asked", body = PasskeyBegun), PasskeyFailed, Conflict))]
#[post("/passkey-sign-in/start")]
pub async fn begin_passkey_sign_in(
    req: HttpRequest,
    authenticator: web::Data<Authenticator>,
) -> ApiResult<HttpResponse> {
    Ok(fleeting(authenticator.ask_for_passkey(&req, None).await?))
}

/// Sign in with a passkey
///
/// It is both factors: the authenticator has verified the person. Every refusal is the same.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "Signed in", body = Session), PasskeyFailed, Conflict, BadBody))]
#[post("/passkey-sign-in")]
pub async fn sign_in_with_passkey(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<PasskeyShown>,
) -> ApiResult<HttpResponse> {
    let user = authenticator.take_passkey(&req, None, &body).await?;
    let token = authenticator.enter_by_passkey(&req, &user).await?;
    let mut answer = entered(&core, &authenticator, user, token).await?;
    forget_second_step(&core, &mut answer)?;
    Ok(answer)
}

/// Begin to confirm who one is by a passkey
#[utoipa::path(tag = "auth", security(("session" = [])), responses(
    (status = 200, description = "What the browser is asked", body = PasskeyBegun), Guarded, Conflict))]
#[post("/passkey-confirmation/start", wrap = "a_person()")]
pub async fn begin_passkey_confirmation(
    req: HttpRequest,
    authenticator: web::Data<Authenticator>,
    person: Person,
) -> ApiResult<HttpResponse> {
    let user = person.signed_in.user.id;
    Ok(fleeting(
        authenticator.ask_for_passkey(&req, Some(user)).await?,
    ))
}

/// Confirm who one is by a passkey
///
/// The session gets a new cookie and CSRF token.
#[utoipa::path(tag = "auth", security(("session" = [])), responses(
    (status = 200, description = "Confirmed", body = Session), Guarded, PasskeyFailed, Conflict, BadBody))]
#[post("/passkey-confirmation", wrap = "a_person()")]
pub async fn confirm_with_passkey(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<PasskeyShown>,
) -> ApiResult<HttpResponse> {
    let own = person.signed_in.user.id;
    let user = authenticator.take_passkey(&req, Some(own), &body).await?;
    let token = authenticator.prove_by_passkey(&person.signed_in).await?;
    entered(&core, &authenticator, user, token).await
}

/// List one's own passkeys
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "Passkeys, oldest first", body = Page<Passkey>), Guarded))]
#[get("/me/passkeys", wrap = "a_person()")]
pub async fn list_passkeys(
    authenticator: web::Data<Authenticator>,
    person: Person,
) -> ApiResult<web::Json<Page<Passkey>>> {
    let user = &person.signed_in.user;
    Ok(whole(authenticator.passkeys(user).await?))
}

/// Begin a new passkey
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "What the browser is asked", body = PasskeyBegun), Guarded, Fresh, Conflict))]
#[post("/me/passkeys/start", wrap = "a_person().fresh()")]
pub async fn begin_passkey(
    authenticator: web::Data<Authenticator>,
    person: Person,
) -> ApiResult<HttpResponse> {
    let user = &person.signed_in.user;
    Ok(fleeting(authenticator.begin_passkey(user).await?))
}

/// Make a passkey
#[utoipa::path(tag = "account", responses(
    (status = 201, description = "Made", body = Passkey), Guarded, Fresh, Conflict, BadBody))]
#[post("/me/passkeys", wrap = "a_person().fresh()")]
pub async fn create_passkey(
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<NewPasskey>,
) -> ApiResult<HttpResponse> {
    let user = &person.signed_in.user;
    let made = authenticator
        .finish_passkey(user, person.address, body)
        .await?;
    Ok(HttpResponse::Created().json(made))
}

/// Rename a passkey
#[utoipa::path(tag = "account", params(("passkey" = Uuid, Path, description = "Id")), responses(
    (status = 200, description = "Renamed", body = Passkey), Guarded, Missing, BadBody))]
#[patch("/me/passkeys/{passkey}", wrap = "a_person()")]
pub async fn rename_passkey(
    authenticator: web::Data<Authenticator>,
    person: Person,
    id: web::Path<Uuid>,
    Json(body): Json<RenamePasskey>,
) -> ApiResult<web::Json<Passkey>> {
    let user = &person.signed_in.user;
    Ok(web::Json(
        authenticator
            .rename_passkey(user, person.address, *id, &body.name)
            .await?,
    ))
}

/// Remove a passkey
///
/// It signs nobody in any more, at once, on every node. Sessions stay.
#[utoipa::path(tag = "account", params(("passkey" = Uuid, Path, description = "Id")), responses(
    (status = 204, description = "Removed"), Guarded, Fresh, Missing))]
#[delete("/me/passkeys/{passkey}", wrap = "a_person().fresh()")]
pub async fn remove_passkey(
    authenticator: web::Data<Authenticator>,
    person: Person,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    let user = &person.signed_in.user;
    authenticator
        .remove_passkey(user, person.address, *id)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What is good for a few minutes.
fn fleeting(begun: PasskeyBegun) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(begun)
}
