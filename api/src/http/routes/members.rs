//! The people of a workspace.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use openapi::page::Page;
use openapi::people::{
    ApproveRegistration, ChangeMember, ChangeMemberPolicy, Invitation, InvitationSent, Member,
    MemberPolicy, NewInvitation, Registration,
};
use uuid::Uuid;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Conflict, Fresh, Full, Guarded, Missing, NoMail, Revised};
use crate::http::extract::{IfMatch, Json};
use crate::http::problem::ApiResult;
use crate::services::people;

/// List members
///
/// Everybody who has a role in the workspace, by name.
#[utoipa::path(tag = "people", responses(
    (status = 200, description = "The members", body = Page<Member>), Guarded))]
#[get("/members", wrap = "needs(Permission::UsersRead)")]
pub async fn list_members(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Member>>> {
    Ok(whole(people::members(&core, caller.scope).await?))
}

/// Change a member
///
/// Another role, or the membership off and on; it holds at once on every server. Nobody hands out
/// more than they have, and a workspace always has an owner.
#[utoipa::path(tag = "people",
    params(("If-Match" = String, Header, description = "The revision as it was read")),
    responses(
    (status = 200, description = "Changed", body = Member), Guarded, Fresh, Missing, Revised, BadBody, Conflict))]
#[patch("/members/{id}", wrap = "needs(Permission::UsersWrite).fresh()")]
pub async fn change_member(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeMember>,
) -> ApiResult<web::Json<Member>> {
    Ok(web::Json(
        people::change_member(&core, &caller, *id, revision, body).await?,
    ))
}

/// Remove a member
///
/// The person has no way in any more, at once; the account stays.
#[utoipa::path(tag = "people",
    params(("If-Match" = String, Header, description = "The revision as it was read")),
    responses(
    (status = 204, description = "Removed"), Guarded, Fresh, Missing, Revised, Conflict))]
#[delete("/members/{id}", wrap = "needs(Permission::UsersWrite).fresh()")]
pub async fn remove_member(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    people::remove_member(&core, &caller, *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Read what is asked of members
#[utoipa::path(tag = "people", responses(
    (status = 200, description = "The policy", body = MemberPolicy), Guarded))]
#[get("/member-policy", wrap = "needs(Permission::UsersRead)")]
pub async fn read_member_policy(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<MemberPolicy>> {
    Ok(web::Json(
        people::policy::policy(&core, caller.scope).await?,
    ))
}

/// Change what is asked of members
///
/// What is absent stays. With `require_second_factor`, people who have none are answered
/// `second_factor_missing` until they have set one up. With `self_registration`, people with an
/// address of its domains may ask to join; that needs a mail server.
#[utoipa::path(tag = "people", responses(
    (status = 200, description = "Changed", body = MemberPolicy), Guarded, Fresh, NoMail, BadBody))]
#[patch("/member-policy", wrap = "needs(Permission::UsersWrite).fresh()")]
pub async fn change_member_policy(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<ChangeMemberPolicy>,
) -> ApiResult<web::Json<MemberPolicy>> {
    Ok(web::Json(
        people::change_policy(&core, &caller, body).await?,
    ))
}

/// List invitations
///
/// Those that nobody has answered, newest first.
#[utoipa::path(tag = "people", responses(
    (status = 200, description = "The invitations", body = Page<Invitation>), Guarded))]
#[get("/invitations", wrap = "needs(Permission::UsersRead)")]
pub async fn list_invitations(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Invitation>>> {
    Ok(whole(people::invitations(&core, caller.scope).await?))
}

/// Invite somebody
///
/// The link is mailed. Where the server sends no mail, it is in this answer and nowhere else.
#[utoipa::path(tag = "people", responses(
    (status = 201, description = "Invited", body = InvitationSent), Guarded, Fresh, BadBody, Conflict))]
#[post("/invitations", wrap = "needs(Permission::UsersWrite).fresh()")]
pub async fn create_invitation(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewInvitation>,
) -> ApiResult<HttpResponse> {
    let sent = people::invite(&core, &caller, body).await?;
    Ok(HttpResponse::Created()
        .insert_header(("cache-control", "no-store"))
        .json(sent))
}

/// Send an invitation again
///
/// With a new link; the old one is worth nothing.
#[utoipa::path(tag = "people", responses(
    (status = 200, description = "Sent", body = InvitationSent), Guarded, Fresh, Missing))]
#[post(
    "/invitations/{id}/resend",
    wrap = "needs(Permission::UsersWrite).fresh()"
)]
pub async fn resend_invitation(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    let sent = people::resend(&core, &caller, *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(sent))
}

/// Take an invitation back
#[utoipa::path(tag = "people",
    params(("If-Match" = String, Header, description = "The revision as it was read")),
    responses(
    (status = 204, description = "Taken back"), Guarded, Missing, Revised))]
#[delete("/invitations/{id}", wrap = "needs(Permission::UsersWrite)")]
pub async fn revoke_invitation(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    people::revoke(&core, &caller, *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List registrations
///
/// People who have shown that the address is theirs and wait for an answer, newest first.
#[utoipa::path(tag = "people", responses(
    (status = 200, description = "Those who wait", body = Page<Registration>), Guarded))]
#[get("/registrations", wrap = "needs(Permission::UsersRead)")]
pub async fn list_registrations(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Registration>>> {
    Ok(whole(people::registrations(&core, caller.scope).await?))
}

/// Approve a registration
///
/// Makes the account and the membership, and tells the person by mail. Nobody hands out more than
/// they have.
#[utoipa::path(tag = "people", responses(
    (status = 204, description = "A member from now on"), Guarded, Fresh, Missing, Full, BadBody))]
#[post(
    "/registrations/{id}/approve",
    wrap = "needs(Permission::UsersWrite).fresh()"
)]
pub async fn approve_registration(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Json(body): Json<ApproveRegistration>,
) -> ApiResult<HttpResponse> {
    people::approve(&core, &caller, *id, body).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Refuse a registration
///
/// It is forgotten. The person is not told, and may ask again.
#[utoipa::path(tag = "people", responses(
    (status = 204, description = "Refused"), Guarded, Missing))]
#[post("/registrations/{id}/refuse", wrap = "needs(Permission::UsersWrite)")]
pub async fn refuse_registration(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    people::refuse(&core, &caller, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}
