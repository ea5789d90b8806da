//! Signing in and out.

use actix_web::cookie::time::Duration as CookieTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use entity::user;
use openapi::auth::{LoginRequest, Membership, Session, User};

use crate::auth::{Authenticator, COOKIE, SECURE_COOKIE, csrf_token};
use crate::core::Core;
use crate::http::doc::{BadBody, NotSignedIn, Throttled};
use crate::http::extract::Json;
use crate::http::problem::{ApiError, ApiResult};
use crate::services::workspaces;
use crate::settings::Settings;

/// Sign in
///
/// Sets the session's cookie. Unknown accounts and wrong passwords get the same answer.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "Signed in", body = Session), NotSignedIn, BadBody))]
#[post("/login")]
pub async fn login(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<LoginRequest>,
) -> ApiResult<HttpResponse> {
    if body.email.len() > 320 || body.password.len() > 1024 {
        return Err(ApiError::new(openapi::problem::Code::LoginFailed));
    }
    let (user, token) = authenticator
        .login(&req, &body.email, &body.password)
        .await?;
    let session = session(&authenticator, user, csrf_token(&token)).await?;
    let lifetime = CookieTime::days(i64::from(core.settings.session_days));
    let cookie = cookie(&core.settings, token, lifetime);
    Ok(HttpResponse::Ok()
        .cookie(cookie)
        .insert_header(("cache-control", "no-store"))
        .json(session))
}

/// Sign out
///
/// Ends the session on every node at once.
#[utoipa::path(tag = "auth", security(("session" = [])), responses(
    (status = 204, description = "Signed out"), Throttled))]
#[post("/logout")]
pub async fn logout(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
) -> ApiResult<HttpResponse> {
    let signed_in = authenticator.session(&req).await?;
    authenticator.logout(&signed_in).await?;
    let gone = cookie(&core.settings, String::new(), CookieTime::ZERO);
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

/// Who is signed in
#[utoipa::path(tag = "auth", security(("session" = [])), responses(
    (status = 200, description = "The session", body = Session), Throttled))]
#[get("/session")]
pub async fn read_session(
    req: HttpRequest,
    authenticator: web::Data<Authenticator>,
) -> ApiResult<HttpResponse> {
    let signed_in = authenticator.session(&req).await?;
    let session = session(&authenticator, signed_in.user, signed_in.csrf_token).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(session))
}

async fn session(
    authenticator: &Authenticator,
    user: user::Model,
    csrf_token: String,
) -> ApiResult<Session> {
    let memberships = authenticator.memberships(user.id).await?;
    Ok(Session {
        user: User {
            id: user.id,
            email: user.email,
            name: user.name,
        },
        workspaces: memberships
            .into_iter()
            .map(|(workspace, role)| Membership {
                workspace: workspaces::to_wire(workspace),
                role,
            })
            .collect(),
        csrf_token,
    })
}

fn cookie(settings: &Settings, token: String, lifetime: CookieTime) -> Cookie<'static> {
    let secure = settings.tls_cert.is_some() || settings.public_url.starts_with("https://");
    Cookie::build(if secure { SECURE_COOKIE } else { COOKIE }, token)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Strict)
        .max_age(lifetime)
        .finish()
}
