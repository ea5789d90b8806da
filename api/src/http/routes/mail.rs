//! Mail to people.

use actix_web::{get, post, web};
use openapi::mail::{MailEntry, MailProgress, MailState, TestMail, TestMailSent};
use openapi::page::Page;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Conflict, Guarded, Missing, NoMail, Upstream};
use crate::http::extract::{Json, Query};
use crate::http::problem::ApiResult;
use crate::mail::service;
use crate::services::cursor::Window;

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

/// Which mails.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MailQuery {
    /// How far they are.
    #[param(inline, example = "failed")]
    state: Option<MailProgress>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// List mails
///
/// Those about the workspace and those to its members, newest first: what they are, to whom and how
/// far; never what they say. Kept for seven days.
#[utoipa::path(tag = "operation", params(MailQuery), responses(
    (status = 200, description = "Mails, newest first", body = Page<MailEntry>), Guarded, BadQuery))]
#[get("/mail/messages", wrap = "needs(Permission::SettingsWrite)")]
pub async fn list_mails(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<MailQuery>,
) -> ApiResult<web::Json<Page<MailEntry>>> {
    let window = Window::parse(query.cursor.as_deref(), query.limit)?;
    Ok(web::Json(
        service::list(&core, caller.scope, query.state, window).await?,
    ))
}

/// Send a mail once more
///
/// At once: one that waits for its next try, or one that was given up less than a day ago.
#[utoipa::path(tag = "operation", responses(
    (status = 200, description = "It waits to be sent", body = MailEntry), Guarded, Missing, Conflict, NoMail))]
#[post("/mail/messages/{id}/retry", wrap = "needs(Permission::SettingsWrite)")]
pub async fn retry_mail(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<MailEntry>> {
    Ok(web::Json(service::retry(&core, &caller, *id).await?))
}
