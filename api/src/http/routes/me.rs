//! One's own account.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use openapi::account::{
    ChangeEmail, ChangePassword, ChangeProfile, NewSecondFactor, OwnSession, Profile,
    RecoveryCodes, SecondFactorCode,
};
use openapi::auth::Session;
use openapi::page::Page;
use openapi::people::LinkToken;
use uuid::Uuid;

use super::auth::{entered, session_cookie};
use super::whole;
use crate::auth::{Authenticator, Person, a_person, csrf_token};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Fresh, Guarded, Linked, Missing, NoMail, WrongProof};
use crate::http::extract::Json;
use crate::http::problem::ApiResult;
use crate::services::people;

/// Read the own account
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "The account", body = Profile), Guarded))]
#[get("/me", wrap = "a_person()")]
pub async fn read_profile(core: web::Data<Core>, person: Person) -> ApiResult<HttpResponse> {
    let profile = people::profile(&core, &person.signed_in.user).await?;
    Ok(private(&profile))
}

/// Change the own name
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "Changed", body = Profile), Guarded, BadBody))]
#[patch("/me", wrap = "a_person()")]
pub async fn change_profile(
    core: web::Data<Core>,
    person: Person,
    Json(body): Json<ChangeProfile>,
) -> ApiResult<HttpResponse> {
    Ok(private(&people::rename(&core, &person, body.name).await?))
}

/// Ask for another address
///
/// A link is mailed to the new address, good for an hour; with it the address changes
/// (`/auth/new-email`), the old one gets a notice, and all sessions end but that of the browser with
/// the link. The answer is the same if the address has an account already.
#[utoipa::path(tag = "account", responses(
    (status = 202, description = "A link is on its way to the new address"), Guarded, Fresh, NoMail, BadBody))]
#[post("/me/email", wrap = "a_person().fresh()")]
pub async fn ask_for_email(
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<ChangeEmail>,
) -> ApiResult<HttpResponse> {
    people::ask_for_email(&core, &authenticator, &person, &body.email).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Change the own password
///
/// All other sessions end, and this one gets a new cookie and CSRF token.
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "Changed", body = Session), Guarded, Fresh, WrongProof, BadBody))]
#[post("/me/password", wrap = "a_person().fresh()")]
pub async fn change_password(
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<ChangePassword>,
) -> ApiResult<HttpResponse> {
    let token = people::change_password(&core, &authenticator, &person, body).await?;
    entered(&core, &authenticator, person.signed_in.user, token).await
}

/// List the own sessions
///
/// The browsers in which one is signed in, the newest first.
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "The sessions", body = Page<OwnSession>), Guarded))]
#[get("/me/sessions", wrap = "a_person()")]
pub async fn list_own_sessions(
    core: web::Data<Core>,
    person: Person,
) -> ApiResult<web::Json<Page<OwnSession>>> {
    Ok(whole(people::own_sessions(&core, &person).await?))
}

/// End one of the own sessions
///
/// At once, on every server.
#[utoipa::path(tag = "account", responses(
    (status = 204, description = "Ended"), Guarded, Missing))]
#[delete("/me/sessions/{id}", wrap = "a_person()")]
pub async fn end_own_session(
    core: web::Data<Core>,
    person: Person,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    people::end_session(&core, &person, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End all own sessions but this one
#[utoipa::path(tag = "account", responses((status = 204, description = "Ended"), Guarded))]
#[post("/me/sessions/end-others", wrap = "a_person()")]
pub async fn end_other_sessions(core: web::Data<Core>, person: Person) -> ApiResult<HttpResponse> {
    people::end_other_sessions(&core, &person).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set up an app as second factor
///
/// The secret is in this answer and nowhere else. It counts once a code of the app was shown.
#[utoipa::path(tag = "account", responses(
    (status = 201, description = "Made; confirm it by a code", body = NewSecondFactor), Guarded, Fresh, Conflict))]
#[post("/me/second-factor", wrap = "a_person().fresh()")]
pub async fn set_up_second_factor(
    core: web::Data<Core>,
    person: Person,
) -> ApiResult<HttpResponse> {
    let made = people::begin_setup(&core, &person).await?;
    Ok(HttpResponse::Created()
        .insert_header(("cache-control", "no-store"))
        .json(made))
}

/// Turn the second factor on
///
/// By the first code of the app. The recovery codes are in this answer and nowhere else. All other
/// sessions end, and this one gets a new cookie and CSRF token.
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "It is asked for from now on", body = RecoveryCodes), Guarded, Fresh, WrongProof, Conflict, BadBody))]
#[post("/me/second-factor/confirm", wrap = "a_person().fresh()")]
pub async fn confirm_second_factor(
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<SecondFactorCode>,
) -> ApiResult<HttpResponse> {
    let (codes, token) = people::finish_setup(&core, &authenticator, &person, &body.code).await?;
    let csrf_token = csrf_token(&token);
    Ok(HttpResponse::Ok()
        .cookie(session_cookie(&core.settings, token))
        .insert_header(("cache-control", "no-store"))
        .json(RecoveryCodes { codes, csrf_token }))
}

/// Turn the second factor off
///
/// The session gets a new cookie and CSRF token.
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "It is off", body = Session), Guarded, Fresh, Conflict))]
#[delete("/me/second-factor", wrap = "a_person().fresh()")]
pub async fn turn_second_factor_off(
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
) -> ApiResult<HttpResponse> {
    let token = people::turn_off(&core, &person).await?;
    entered(&core, &authenticator, person.signed_in.user, token).await
}

/// Make new recovery codes
///
/// They are in this answer and nowhere else; the old ones are worth nothing.
#[utoipa::path(tag = "account", responses(
    (status = 200, description = "The codes", body = RecoveryCodes), Guarded, Fresh, Conflict))]
#[post("/me/second-factor/recovery-codes", wrap = "a_person().fresh()")]
pub async fn make_recovery_codes(core: web::Data<Core>, person: Person) -> ApiResult<HttpResponse> {
    let codes = people::new_recovery_codes(&core, &person).await?;
    Ok(private(&RecoveryCodes {
        codes,
        csrf_token: person.signed_in.csrf_token,
    }))
}

/// Accept an invitation with the own account
///
/// The invitation must be for the address of the account.
#[utoipa::path(tag = "account", responses(
    (status = 204, description = "A member from now on"), Guarded, Linked, Conflict, BadBody))]
#[post("/me/invitations/accept", wrap = "a_person()")]
pub async fn accept_invitation_as_person(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<LinkToken>,
) -> ApiResult<HttpResponse> {
    people::accept_as_person(&core, &authenticator, &req, &person, &body.token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An answer that nobody may keep.
fn private(body: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(body)
}
