//! Signing in and out, and what those do who cannot sign in.

use actix_web::cookie::time::Duration as CookieTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, post, web};
use entity::user;
use openapi::account::{
    ConfirmIdentity, ForgottenPassword, PasswordStrength, PasswordToJudge, ResetPassword,
    SecondFactorCode,
};
use openapi::auth::{LoginRequest, Membership, Session, User};
use openapi::people::{
    AcceptInvitation, AskToJoin, InvitationShown, LinkToken, Register, Registered,
    RegistrationOffer, RegistrationShown,
};
use openapi::problem::Code;

use crate::auth::{
    Authenticator, COOKIE, PENDING_COOKIE, Person, Purpose, SECURE_COOKIE, SECURE_PENDING_COOKIE,
    SignIn, a_person, csrf_token, judge_password,
};
use crate::core::Core;
use crate::http::doc::{
    BadBody, Conflict, Linked, Missing, NoMail, NotSignedIn, Throttled, WrongProof,
};
use crate::http::extract::Json;
use crate::http::problem::{ApiError, ApiResult};
use crate::services::{people, workspaces};
use crate::settings::Settings;

/// Sign in
///
/// Sets the session's cookie. Unknown accounts and wrong passwords get the same answer. An account
/// with a second factor is answered `second_factor_required`, with a cookie for the next step, which
/// is good for five minutes.
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
        return Err(ApiError::new(Code::LoginFailed));
    }
    match authenticator
        .login(&req, &body.email, &body.password)
        .await?
    {
        SignIn::Done(user, token) => entered(&core, &authenticator, *user, token).await,
        SignIn::NeedsSecondFactor(token) => {
            let wanted = ApiError::new(Code::SecondFactorRequired)
                .detail("Send a code of the app, or a recovery code, to /auth/second-factor.");
            let mut answer = wanted.error_response();
            let lifetime = CookieTime::minutes(Purpose::SecondFactor.minutes());
            let cookie = pending_cookie(&core.settings, token, lifetime);
            answer
                .add_cookie(&cookie)
                .map_err(|error| ApiError::internal("cookie", &error))?;
            Ok(answer)
        }
    }
}

/// Sign in: the second step
///
/// Takes a code of the app or a recovery code, each once.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "Signed in", body = Session), NotSignedIn, BadBody))]
#[post("/second-factor")]
pub async fn second_factor(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<SecondFactorCode>,
) -> ApiResult<HttpResponse> {
    let (user, token) = authenticator.second_step(&req, &body.code).await?;
    let mut answer = entered(&core, &authenticator, user, token).await?;
    let gone = pending_cookie(&core.settings, String::new(), CookieTime::ZERO);
    answer
        .add_cookie(&gone)
        .map_err(|error| ApiError::internal("cookie", &error))?;
    Ok(answer)
}

/// Confirm who one is
///
/// By the password or a code: for what is answered `reauthentication_required`. The session gets a
/// new cookie and CSRF token.
#[utoipa::path(tag = "auth", security(("session" = [])), responses(
    (status = 200, description = "Confirmed", body = Session), Throttled, WrongProof, BadBody))]
#[post("/confirm", wrap = "a_person()")]
pub async fn confirm(
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    person: Person,
    Json(body): Json<ConfirmIdentity>,
) -> ApiResult<HttpResponse> {
    let token = authenticator.confirm(&person, &body).await?;
    entered(&core, &authenticator, person.signed_in.user, token).await
}

/// Judge a password
///
/// By the rule that every new password must pass: 12 characters or more, and hard to guess.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "How strong it is", body = PasswordStrength), NotSignedIn, BadBody))]
#[post("/password-strength")]
pub async fn password_strength(
    req: HttpRequest,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<PasswordToJudge>,
) -> ApiResult<HttpResponse> {
    authenticator.may_judge(&req).await?;
    let hints: Vec<&str> = body.hints.iter().map(String::as_str).collect();
    let judged = judge_password(&body.password, &hints).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(judged))
}

/// Ask for a new password
///
/// A link is mailed, good for an hour, if there is such an account. The answer is the same if there
/// is none.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 202, description = "If there is such an account, a link is on its way"), NotSignedIn, NoMail, BadBody))]
#[post("/password-reset")]
pub async fn ask_for_password(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<ForgottenPassword>,
) -> ApiResult<HttpResponse> {
    people::ask_for_reset(&core, &authenticator, &req, &body.email).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Set a new password by a link
///
/// All sessions end. The second factor stays.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 204, description = "Set; sign in with it"), NotSignedIn, Linked, BadBody))]
#[post("/password-reset/accept")]
pub async fn reset_password(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<ResetPassword>,
) -> ApiResult<HttpResponse> {
    people::reset_by_link(&core, &authenticator, &req, body).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Read an invitation
///
/// What the link is for.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "The invitation", body = InvitationShown), NotSignedIn, Linked, BadBody))]
#[post("/invitation")]
pub async fn show_invitation(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<LinkToken>,
) -> ApiResult<HttpResponse> {
    let shown = people::show_invitation(&core, &authenticator, &req, &body.token).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(shown))
}

/// Accept an invitation as somebody new
///
/// Makes the account and signs in. Who has an account signs in first and accepts with it.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "Signed in", body = Session), NotSignedIn, Linked, Conflict, BadBody))]
#[post("/invitation/accept")]
pub async fn accept_invitation(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<AcceptInvitation>,
) -> ApiResult<HttpResponse> {
    let user = people::accept_as_new(&core, &authenticator, &req, body).await?;
    let token = authenticator.enter_as_new(&req, &user).await?;
    entered(&core, &authenticator, user, token).await
}

/// Say whether people can register
///
/// For the sign-in page.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "Whether they can", body = RegistrationOffer)))]
#[get("/registration")]
pub async fn read_registration_offer(
    core: web::Data<Core>,
) -> ApiResult<web::Json<RegistrationOffer>> {
    Ok(web::Json(people::registration_offer(&core).await?))
}

/// Ask to join
///
/// A link is mailed, good for a day, if a workspace takes addresses of this domain. The answer is the
/// same if none does, and if there is an account; its mailbox is told.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 202, description = "If a workspace takes the address, a mail is on its way"), NotSignedIn, Missing, BadBody))]
#[post("/registration")]
pub async fn ask_to_join(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<AskToJoin>,
) -> ApiResult<HttpResponse> {
    people::ask_to_join(&core, &authenticator, &req, &body.email, body.workspace).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Read a link to register with
///
/// What it is for.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "What it is for", body = RegistrationShown), NotSignedIn, Linked, BadBody))]
#[post("/registration/show")]
pub async fn show_registration(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<LinkToken>,
) -> ApiResult<HttpResponse> {
    let shown = people::show_registration(&core, &authenticator, &req, &body.token).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(shown))
}

/// Register by a link
///
/// The link shows that the address is the person's. Unless the workspace lets everybody of the domain
/// in, somebody of it approves the registration first.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, description = "Registered", body = Registered), NotSignedIn, Linked, Conflict, BadBody))]
#[post("/registration/accept")]
pub async fn register(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<Register>,
) -> ApiResult<web::Json<Registered>> {
    Ok(web::Json(
        people::register(&core, &authenticator, &req, body).await?,
    ))
}

/// Change an address by a link
///
/// The link shows that the address is the person's. All sessions of the account end but that of this
/// browser; the old address gets a notice.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 204, description = "Changed; sign in with it from now on"), NotSignedIn, Linked, Conflict, BadBody))]
#[post("/new-email")]
pub async fn change_email(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
    Json(body): Json<LinkToken>,
) -> ApiResult<HttpResponse> {
    people::change_email(&core, &authenticator, &req, &body.token).await?;
    Ok(HttpResponse::NoContent().finish())
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
    authenticator.logout(&req, &signed_in).await?;
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

/// The answer to somebody who is signed in by a new token: the cookie and the session.
pub(super) async fn entered(
    core: &Core,
    authenticator: &Authenticator,
    user: user::Model,
    token: String,
) -> ApiResult<HttpResponse> {
    let session = session(authenticator, user, csrf_token(&token)).await?;
    Ok(HttpResponse::Ok()
        .cookie(session_cookie(&core.settings, token))
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
            .map(|(workspace, member)| Membership {
                workspace: workspaces::to_wire(workspace),
                role: member.role,
            })
            .collect(),
        csrf_token,
    })
}

/// The cookie of a session.
pub(super) fn session_cookie(settings: &Settings, token: String) -> Cookie<'static> {
    let lifetime = CookieTime::days(i64::from(settings.session_days));
    cookie(settings, token, lifetime)
}

/// Takes away the cookie between the two steps: the second was another way.
pub(super) fn forget_second_step(core: &Core, answer: &mut HttpResponse) -> ApiResult<()> {
    answer
        .add_cookie(&pending_cookie(
            &core.settings,
            String::new(),
            CookieTime::ZERO,
        ))
        .map_err(|error| ApiError::internal("cookie", &error))
}

fn cookie(settings: &Settings, token: String, lifetime: CookieTime) -> Cookie<'static> {
    named(settings, [COOKIE, SECURE_COOKIE], token, lifetime)
}

/// The cookie between the two steps of a sign-in.
pub(super) fn pending_cookie(
    settings: &Settings,
    token: String,
    lifetime: CookieTime,
) -> Cookie<'static> {
    let names = [PENDING_COOKIE, SECURE_PENDING_COOKIE];
    named(settings, names, token, lifetime)
}

fn named(
    settings: &Settings,
    [plain, over_https]: [&'static str; 2],
    token: String,
    lifetime: CookieTime,
) -> Cookie<'static> {
    let secure = settings.tls_cert.is_some() || settings.public_url.starts_with("https://");
    Cookie::build(if secure { over_https } else { plain }, token)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Strict)
        .max_age(lifetime)
        .finish()
}
