//! Signing in with a provider.

use actix_web::cookie::time::Duration as CookieTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use openapi::auth::SignInProvider;
use openapi::page::Page;
use openapi::problem::Code;

use super::auth::{pending_cookie, session_cookie};
use super::whole;
use crate::auth::{
    Authenticator, CallbackQuery, FLOW_COOKIE, Purpose, SECURE_FLOW_COOKIE, SignIn, StartQuery,
};
use crate::core::Core;
use crate::http::doc::{BadQuery, Missing, ProviderFailed};
use crate::http::extract::Query;
use crate::http::problem::{ApiError, ApiResult};
use crate::settings::Settings;

/// Longest time between the two ends.
const LASTS: CookieTime = CookieTime::minutes(10);

/// List providers
///
/// Those that people sign in with, for the sign-in page. Open to all.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "The providers", body = Page<SignInProvider>)))]
#[get("/providers")]
pub async fn list_providers(core: web::Data<Core>) -> web::Json<Page<SignInProvider>> {
    whole(core.providers.offered())
}

/// Begin a sign-in with a provider
///
/// For the browser's address line: it is sent on to the provider. A browser that asks for a page is
/// sent to the sign-in page with `?sign_in=` and a word when that fails; others get the problem.
#[utoipa::path(tag = "auth", security(()), params(("name" = String, Path, description = "Name of the provider"), StartQuery), responses(
    (status = 303, description = "On to the provider", headers(("location" = String, description = "The provider's page"))),
    Missing, BadQuery, ProviderFailed))]
#[get("/providers/{name}/start")]
pub async fn start_with_provider(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    name: web::Path<String>,
    Query(query): Query<StartQuery>,
) -> ApiResult<HttpResponse> {
    match authenticator.start_with_provider(&req, &name, &query).await {
        Ok(started) => Ok(HttpResponse::SeeOther()
            .cookie(flow_cookie(&core.settings, started.token, LASTS))
            .insert_header((header::LOCATION, started.location))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish()),
        Err(error) => told(&req, &core, error),
    }
}

/// End a sign-in with a provider
///
/// The provider sends the browser here. It sets the session's cookie and sends the browser on to the
/// page that the sign-in began from, or to the second step (`?sign_in=second_factor`). Who is refused hears no reason.
#[utoipa::path(tag = "auth", security(()), params(("name" = String, Path, description = "Name of the provider"), CallbackQuery), responses(
    (status = 303, description = "Signed in; on to the console", headers(("location" = String, description = "The page"))),
    Missing, BadQuery, ProviderFailed))]
#[get("/providers/{name}/callback")]
pub async fn end_with_provider(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    name: web::Path<String>,
    Query(query): Query<CallbackQuery>,
) -> ApiResult<HttpResponse> {
    let ended = authenticator.end_with_provider(&req, &name, query).await;
    let (how_far, return_to) = match ended {
        Ok(ended) => ended,
        Err(error) => return told(&req, &core, error),
    };
    // The page that follows was asked for by another site, so a session does not go along with it;
    // it needs none. What the page then asks for is its own site's, and the session goes along.
    let (cookie, location) = match how_far {
        SignIn::Done(_, token) => (session_cookie(&core.settings, token), return_to),
        SignIn::NeedsSecondFactor(token) => {
            let lifetime = CookieTime::minutes(Purpose::SecondFactor.minutes());
            let cookie = pending_cookie(&core.settings, token, lifetime);
            (cookie, "/?sign_in=second_factor".to_owned())
        }
    };
    Ok(HttpResponse::SeeOther()
        .cookie(cookie)
        .cookie(flow_cookie(&core.settings, String::new(), CookieTime::ZERO))
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

/// A browser is shown the sign-in page, not a document.
fn told(req: &HttpRequest, core: &Core, error: ApiError) -> ApiResult<HttpResponse> {
    let accepted = req.headers().get(header::ACCEPT);
    let wants_page = accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("text/html"));
    let word = match error.code {
        Code::UpstreamFailed | Code::Unavailable => "unavailable",
        Code::RateLimited => "later",
        _ => "refused",
    };
    if !wants_page {
        return Err(error);
    }
    Ok(HttpResponse::SeeOther()
        .cookie(flow_cookie(&core.settings, String::new(), CookieTime::ZERO))
        .insert_header((header::LOCATION, format!("/?sign_in={word}")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

/// `Lax`: it goes along when the provider sends the browser back, and with nothing else of another
/// site.
fn flow_cookie(settings: &Settings, token: String, lifetime: CookieTime) -> Cookie<'static> {
    let secure = settings.tls_cert.is_some() || settings.public_url.starts_with("https://");
    let name = if secure {
        SECURE_FLOW_COOKIE
    } else {
        FLOW_COOKIE
    };
    Cookie::build(name, token)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
        .max_age(lifetime)
        .finish()
}
