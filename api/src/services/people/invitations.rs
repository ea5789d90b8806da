//! Invitations: a link for an address, by which a person joins a workspace.

use actix_web::HttpRequest;
use entity::{invitation, member, user, workspace};
use openapi::people::{
    AcceptInvitation, Invitation, InvitationSent, InvitationShown, NewInvitation,
};
use openapi::problem::Code;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::post::{self, Letter};
use super::rights::may_give;
use super::{check_email, invitation_link};
use crate::auth::{
    Authenticator, Caller, Person, check_password, digest, hash_password, make_link_token,
    permissions_of, user_of,
};
use crate::clock::{Clock, from_ms};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::quotas::{Counted, room_for};
use crate::services::validate::{check_name, error};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Days of the longest link.
const MOST_DAYS: u32 = 30;

/// The invitations of the workspace that nobody has answered, newest first.
///
/// # Errors
/// The database failed.
pub async fn invitations(core: &Core, scope: Scope) -> ApiResult<Vec<Invitation>> {
    let now = core.clock.now_ms();
    let rows = invitation::Entity::find()
        .filter(invitation::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_desc(invitation::Column::Id)
        .all(core.db.read())
        .await?;
    Ok(rows.into_iter().map(|row| to_wire(row, now)).collect())
}

fn to_wire(row: invitation::Model, now: i64) -> Invitation {
    Invitation {
        id: row.id,
        email: row.email,
        role: row.role,
        invited_by: row.invited_by,
        created_at: from_ms(row.created_at),
        expires_at: from_ms(row.expires_at),
        expired: row.expires_at <= now,
        revision: row.revision,
    }
}

/// Invites somebody.
///
/// # Errors
/// 403 for a role that the caller may not hand out, 409 for a member or somebody who is invited,
/// 422 for faults.
pub async fn invite(core: &Core, caller: &Caller, new: NewInvitation) -> ApiResult<InvitationSent> {
    let txn = core.db.begin().await?;
    may_give(&txn, caller, &new.role).await?;
    let by = Actor::of(caller);
    let (row, link) = make(
        &txn,
        &core.clock,
        &core.settings.public_url,
        caller.scope,
        &by,
        &new,
    )
    .await?;
    let sent = send(core, &txn, row, link).await?;
    txn.commit().await?;
    Ok(sent)
}

/// Writes an invitation; returns it with its link.
pub(super) async fn make(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    public_url: &str,
    scope: Scope,
    by: &Actor,
    new: &NewInvitation,
) -> ApiResult<(invitation::Model, String)> {
    let mut faults = Vec::new();
    let email = check_email(&new.email).unwrap_or_else(|fault| {
        faults.push(fault);
        String::new()
    });
    if !(1..=MOST_DAYS).contains(&new.expires_in_days) {
        let text = format!("1 to {MOST_DAYS} days");
        faults.push(error("expires_in_days", "out_of_range", text));
    }
    if permissions_of(txn, scope.workspace(), &new.role)
        .await?
        .is_none()
    {
        faults.push(error("role", "unknown_role", "there is no such role"));
    }
    ApiError::refuse(faults)?;
    if let Some(user) = user_of(txn, &email).await?
        && is_member(txn, scope, user.id).await?
    {
        return Err(ApiError::new(Code::Conflict).detail("This person is a member already."));
    }
    let known = invitation::Entity::find()
        .filter(invitation::Column::WorkspaceId.eq(scope.workspace()))
        .filter(invitation::Column::Email.eq(&email))
        .one(txn)
        .await?;
    if known.is_some() {
        return Err(ApiError::new(Code::Conflict)
            .detail("This person is invited already; send it again, or take it back."));
    }
    let now = clock.now_ms();
    let token = make_link_token();
    let row = invitation::Model {
        id: ids::new(clock),
        workspace_id: scope.workspace(),
        email,
        role: new.role.clone(),
        token_hash: digest(&token),
        invited_by: by.name().to_owned(),
        created_at: now,
        expires_at: now + i64::from(new.expires_in_days) * DAY_MS,
        revision: 1,
    };
    invitation::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(txn)
        .await?;
    let shown = (
        Value::Null,
        json!({ "role": row.role, "expires_at": from_ms(row.expires_at) }),
    );
    note(txn, clock, by, "invitation.create", &row, shown).await?;
    Ok((row, invitation_link(public_url, &token)))
}

/// Makes somebody a member, unless they are one.
pub(super) async fn make_member(
    txn: &impl ConnectionTrait,
    scope: Scope,
    user: Uuid,
    role: &str,
    now: i64,
) -> ApiResult<()> {
    if is_member(txn, scope, user).await? {
        return Ok(());
    }
    room_for(txn, scope, Counted::Members).await?;
    member::Entity::insert(member::ActiveModel {
        workspace_id: Set(scope.workspace()),
        user_id: Set(user),
        role: Set(role.to_owned()),
        created_at: Set(now),
        ..Default::default()
    })
    .exec_without_returning(txn)
    .await?;
    Ok(())
}

async fn is_member(db: &impl ConnectionTrait, scope: Scope, user: Uuid) -> ApiResult<bool> {
    let row = member::Entity::find_by_id((scope.workspace(), user))
        .one(db)
        .await?;
    Ok(row.is_some())
}

/// Mails the link; where there is no mail, it is for the caller to hand on.
async fn send(
    core: &Core,
    txn: &impl ConnectionTrait,
    row: invitation::Model,
    link: String,
) -> ApiResult<InvitationSent> {
    let workspace = workspace::Entity::find_by_id(row.workspace_id)
        .one(txn)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let letter = Letter::Invitation {
        to: &row.email,
        workspace: &workspace,
        by: &row.invited_by,
        link: &link,
    };
    let mailed = post::send(core, txn, letter).await?;
    Ok(InvitationSent {
        invitation: to_wire(row, core.clock.now_ms()),
        mailed,
        link: (!mailed).then_some(link),
    })
}

async fn find(db: &impl ConnectionTrait, scope: Scope, id: Uuid) -> ApiResult<invitation::Model> {
    invitation::Entity::find_by_id(id)
        .filter(invitation::Column::WorkspaceId.eq(scope.workspace()))
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// Makes a new link for an invitation, as long as the first; the old one is worth nothing.
///
/// # Errors
/// 403 for a role that the caller may not hand out, 404.
pub async fn resend(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<InvitationSent> {
    let txn = core.db.begin().await?;
    let before = find(&txn, caller.scope, id).await?;
    may_give(&txn, caller, &before.role).await?;
    let now = core.clock.now_ms();
    let token = make_link_token();
    let row = invitation::Model {
        token_hash: digest(&token),
        created_at: now,
        expires_at: now + (before.expires_at - before.created_at),
        revision: before.revision + 1,
        ..before
    };
    invitation::Entity::update(row.clone().into_active_model().reset_all())
        .exec(&txn)
        .await?;
    let by = Actor::of(caller);
    let shown = (
        Value::Null,
        json!({ "expires_at": from_ms(row.expires_at) }),
    );
    note(&txn, &core.clock, &by, "invitation.resend", &row, shown).await?;
    let link = invitation_link(&core.settings.public_url, &token);
    let sent = send(core, &txn, row, link).await?;
    txn.commit().await?;
    Ok(sent)
}

/// Takes an invitation back; its link is worth nothing.
///
/// # Errors
/// 404, 412.
pub async fn revoke(core: &Core, caller: &Caller, id: Uuid, revision: IfMatch) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let row = find(&txn, caller.scope, id).await?;
    revision.check(row.revision)?;
    invitation::Entity::delete_by_id(id).exec(&txn).await?;
    let by = Actor::of(caller);
    let shown = (json!({ "role": row.role }), Value::Null);
    note(&txn, &core.clock, &by, "invitation.revoke", &row, shown).await?;
    Ok(txn.commit().await?)
}

async fn note(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    by: &Actor,
    action: &'static str,
    row: &invitation::Model,
    shown: (Value, Value),
) -> ApiResult<()> {
    let act = Act {
        action,
        kind: "invitation",
        id: Some(row.id),
        name: &row.email,
        before: shown.0,
        after: shown.1,
    };
    audit::note(txn, clock, Scope::granted(row.workspace_id), by, act).await?;
    Ok(())
}

/// The invitation of a token that is still good.
async fn of_token(
    core: &Core,
    token: &str,
) -> ApiResult<Option<(invitation::Model, workspace::Model)>> {
    let db = core.db.read();
    let row = invitation::Entity::find()
        .filter(invitation::Column::TokenHash.eq(digest(token)))
        .one(db)
        .await?;
    let Some(row) = row.filter(|row| core.clock.now_ms() < row.expires_at) else {
        return Ok(None);
    };
    if permissions_of(db, row.workspace_id, &row.role)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let workspace = workspace::Entity::find_by_id(row.workspace_id)
        .one(db)
        .await?;
    Ok(workspace.map(|workspace| (row, workspace)))
}

async fn good(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    token: &str,
) -> ApiResult<(invitation::Model, workspace::Model)> {
    let look = of_token(core, token);
    authenticator.by_link(req, GONE, look).await
}

const GONE: &str = "It was used, has ended or was taken back. Ask for a new invitation.";

/// What the invitation of a link is for.
///
/// # Errors
/// 404 for a link that is no good.
pub async fn show_invitation(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    token: &str,
) -> ApiResult<InvitationShown> {
    let (row, workspace) = good(core, authenticator, req, token).await?;
    Ok(InvitationShown {
        workspace: workspace.name,
        email: row.email,
        role: row.role,
        expires_at: from_ms(row.expires_at),
    })
}

/// Makes the account of somebody who is new, and the membership.
///
/// # Errors
/// 404 for a link that is no good, 409 when there is an account, 422 for faults.
pub async fn accept_as_new(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    wanted: AcceptInvitation,
) -> ApiResult<user::Model> {
    let (row, _) = good(core, authenticator, req, &wanted.token).await?;
    let mut faults = Vec::new();
    check_name(&mut faults, "name", &wanted.name, 100);
    ApiError::refuse(faults)?;
    check_password("password", &wanted.password, &[&row.email, &wanted.name]).await?;
    if user_of(core.db.read(), &row.email).await?.is_some() {
        return Err(ApiError::new(Code::Conflict)
            .detail("There is an account of this address. Sign in, then open the link again."));
    }
    // Slow on purpose, so before the transaction.
    let password_hash = hash_password(&wanted.password).await?;
    let now = core.clock.now_ms();
    let user = user::Model {
        id: ids::new(&core.clock),
        email: row.email.clone(),
        name: wanted.name,
        password_hash,
        created_at: now,
        password_at: now,
        disabled_at: None,
        totp_at: None,
        totp_step: 0,
    };
    let txn = core.db.begin().await?;
    user::Entity::insert(user.clone().into_active_model())
        .exec_without_returning(&txn)
        .await?;
    let by = Actor::person(&user.email, authenticator.address(req));
    join(core, &txn, &by, &row, user.id).await?;
    txn.commit().await?;
    Ok(user)
}

/// Makes somebody who has an account a member.
///
/// # Errors
/// 404 for a link that is no good, 409 for somebody else's.
pub async fn accept_as_person(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    person: &Person,
    token: &str,
) -> ApiResult<()> {
    let (row, _) = good(core, authenticator, req, token).await?;
    let user = &person.signed_in.user;
    if row.email != user.email {
        return Err(ApiError::new(Code::Conflict)
            .detail("The invitation is for another address. Sign in with that one."));
    }
    let txn = core.db.begin().await?;
    let by = Actor::person(&user.email, person.address);
    join(core, &txn, &by, &row, user.id).await?;
    Ok(txn.commit().await?)
}

/// Uses the invitation up and writes the membership; of two who do it at once, one is refused.
async fn join(
    core: &Core,
    txn: &impl ConnectionTrait,
    by: &Actor,
    row: &invitation::Model,
    user: Uuid,
) -> ApiResult<()> {
    let used = invitation::Entity::delete_many()
        .filter(invitation::Column::Id.eq(row.id))
        .filter(invitation::Column::TokenHash.eq(&row.token_hash))
        .exec(txn)
        .await?;
    if used.rows_affected != 1 {
        return Err(ApiError::new(Code::LinkInvalid).detail(GONE));
    }
    let scope = Scope::granted(row.workspace_id);
    let now = core.clock.now_ms();
    make_member(txn, scope, user, &row.role, now).await?;
    let shown = (Value::Null, json!({ "role": row.role }));
    note(txn, &core.clock, by, "invitation.accept", row, shown).await
}
