//! Mail to people.

use actix_web::{get, post, web};
use openapi::mail::{MailState, TestMail, TestMailSent};

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Guarded, NoMail, Upstream};
use crate::http::extract::Json;
use crate::http::problem::ApiResult;
use crate::mail::service;

/// Read how mail stands
///
/// Of the whole installation: what waits, what was given up, and when the mail server last took one.
#[utoipa::path(tag = "operation", responses(
    (status = 200, description = "How mail stands", body = MailState), Guarded))]
#[get("/mail", wrap = "needs(Permission::SettingsWrite)")]
pub async fn read_mail(core: web::Data<Core>, _caller: Caller) -> ApiResult<web::Json<MailState>> {
    Ok(web::Json(service::state(&core).await?))
}

/// Send a test mail
///
/// Sent at once; the answer says whether the mail server took it.
#[utoipa::path(tag = "operation", responses(
    (status = 200, description = "The mail server took it", body = TestMailSent),
    Guarded, BadBody, NoMail, Upstream))]
#[post("/mail/test", wrap = "needs(Permission::SettingsWrite)")]
pub async fn test_mail(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<TestMail>,
) -> ApiResult<web::Json<TestMailSent>> {
    Ok(web::Json(service::test(&core, &caller, &body).await?))
}
