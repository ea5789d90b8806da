//! People who ask to join a workspace without being invited.
//!
//! Invariant: nobody is let ask unless the workspace's policy says so and names the domain of the
//! address; what an admin sees has been shown to be the person's address by a mailed link, which
//! works once, for a day; and nobody becomes a member but by the answer of somebody who may, or by a
//! policy that says that nobody has to. Whoever asks gets the same answer in the same time whatever
//! the address: all that looks is done after it, and what there is to tell goes to the mailbox.
//!
//! What nobody confirms is forgotten after a day, what nobody answers after thirty. A crash between
//! the answer and the mail sends none, and the person asks again. Whoever is refused is not told;
//! the same address may ask again.

use actix_web::HttpRequest;
use entity::{registration, self_registration, user, workspace};
use openapi::people::{
    ApproveRegistration, Register, Registered, Registration, RegistrationOffer, RegistrationShown,
    SelfRegistration,
};
use openapi::problem::Code;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::check_email;
use super::invitations::make_member;
use super::policy::{has_role, to_wire as policy_of};
use super::post::{self, Letter};
use super::rights::may_give;
use crate::auth::{
    Authenticator, Caller, check_password, digest, hash_password, make_link_token, user_of,
};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::mail::EmailAddress;
use crate::request;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::validate::check_name;

/// Nobody has shown that the address is theirs.
const ASKED: &str = "asked";
/// It waits for an answer.
const PENDING: &str = "pending";

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long nobody has to answer.
const WAITS_MS: i64 = 30 * DAY_MS;
/// Rows of one workspace; what comes on top of them is left out, and that is logged.
const MOST: u64 = 1000;

/// Links that are made at once.
static AT_ONCE: Semaphore = Semaphore::const_new(32);

/// Whether anybody can ask anywhere.
///
/// # Errors
/// The database failed.
pub async fn registration_offer(core: &Core) -> ApiResult<RegistrationOffer> {
    if !post::can_send(core) {
        return Ok(RegistrationOffer { open: false });
    }
    let db = core.db.read();
    let enabled = self_registration::Entity::find()
        .filter(self_registration::Column::Enabled.eq(true))
        .all(db)
        .await?;
    let home = workspace::Entity::find()
        .filter(workspace::Column::Id.is_in(enabled.iter().map(|row| row.workspace_id)))
        .filter(workspace::Column::DeletingAt.is_null())
        .one(db)
        .await?;
    let open = home.is_some();
    Ok(RegistrationOffer { open })
}

/// Mails a link to register with, if a workspace takes the address.
///
/// # Errors
/// 404 where nobody can ask, 422 for what is no address, 429 after too many.
pub async fn ask_to_join(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    email: &str,
    slug: Option<String>,
) -> ApiResult<()> {
    if !registration_offer(core).await?.open {
        return Err(ApiError::not_found().detail("Nobody registers here without an invitation."));
    }
    let email = check_email(email)
        .map_err(|fault| ApiError::invalid("email", "bad_email", fault.message))?;
    let address = authenticator.address(req);
    authenticator.may_ask_for_link(address, &email).await?;
    let Ok(turn) = AT_ONCE.try_acquire() else {
        tracing::warn!("Too many registrations at once; one is left out.");
        return Ok(());
    };
    let core = core.clone();
    let work = async move {
        if let Err(error) = send(&core, &email, slug.as_deref()).await {
            tracing::warn!(%error, "A link to register with could not be sent.");
        }
        drop(turn);
    };
    tokio::spawn(request::within(request::id(), work));
    Ok(())
}

/// The workspace that takes an address: the one that is named, or the oldest.
async fn home_of(
    db: &impl ConnectionTrait,
    email: &EmailAddress,
    slug: Option<&str>,
) -> ApiResult<Option<workspace::Model>> {
    let open: Vec<Uuid> = self_registration::Entity::find()
        .filter(self_registration::Column::Enabled.eq(true))
        .all(db)
        .await?
        .into_iter()
        .filter(|row| takes(&policy_of(row.clone()), email))
        .map(|row| row.workspace_id)
        .collect();
    let mut query = workspace::Entity::find()
        .filter(workspace::Column::Id.is_in(open))
        .filter(workspace::Column::DeletingAt.is_null())
        .order_by_asc(workspace::Column::Id);
    if let Some(slug) = slug {
        query = query.filter(workspace::Column::Slug.eq(slug));
    }
    Ok(query.one(db).await?)
}

fn takes(policy: &SelfRegistration, email: &EmailAddress) -> bool {
    let domain = email.domain();
    policy.enabled && policy.email_domains.iter().any(|one| one == domain)
}

async fn send(core: &Core, email: &str, slug: Option<&str>) -> ApiResult<()> {
    let Ok(address) = EmailAddress::parse(email) else {
        return Ok(());
    };
    let txn = core.db.begin().await?;
    let Some(home) = home_of(&txn, &address, slug).await? else {
        return Ok(());
    };
    if user_of(&txn, email).await?.is_some() {
        let letter = Letter::Known {
            to: email,
            link: &core.settings.public_url,
        };
        post::send(core, &txn, letter).await?;
        return Ok(txn.commit().await?);
    }
    let now = core.clock.now_ms();
    tidy(&txn, now).await?;
    let known = registration::Entity::find()
        .filter(registration::Column::WorkspaceId.eq(home.id))
        .filter(registration::Column::Email.eq(email))
        .one(&txn)
        .await?;
    // What waits for an answer goes on waiting, with what was shown and chosen.
    if known.as_ref().is_some_and(|row| row.state == PENDING) {
        return Ok(());
    }
    let count = registration::Entity::find()
        .filter(registration::Column::WorkspaceId.eq(home.id))
        .count(&txn)
        .await?;
    if known.is_none() && count >= MOST {
        tracing::warn!(workspace = %home.slug, "Too many registrations wait; one is left out.");
        return Ok(());
    }
    if let Some(row) = known {
        registration::Entity::delete_by_id(row.id)
            .exec(&txn)
            .await?;
    }
    let token = make_link_token();
    let row = registration::Model {
        id: ids::new(&core.clock),
        workspace_id: home.id,
        state: ASKED.to_owned(),
        email: email.to_owned(),
        name: String::new(),
        password_hash: String::new(),
        token_hash: digest(&token),
        created_at: now,
        expires_at: now + DAY_MS,
    };
    registration::Entity::insert(row.into_active_model())
        .exec_without_returning(&txn)
        .await?;
    let link = format!("{}/register#{token}", core.settings.public_url);
    let letter = Letter::Registration {
        to: email,
        workspace: &home,
        link: &link,
    };
    post::send(core, &txn, letter).await?;
    Ok(txn.commit().await?)
}

/// Forgets what nobody confirmed or answered.
async fn tidy(txn: &impl ConnectionTrait, now: i64) -> ApiResult<()> {
    registration::Entity::delete_many()
        .filter(registration::Column::ExpiresAt.lte(now))
        .exec(txn)
        .await?;
    Ok(())
}

/// The registration of a link that is still good, with its workspace and the policy of now.
async fn of_token(
    core: &Core,
    token: &str,
) -> ApiResult<Option<(registration::Model, workspace::Model, SelfRegistration)>> {
    let db = core.db.read();
    let row = registration::Entity::find()
        .filter(registration::Column::TokenHash.eq(digest(token)))
        .filter(registration::Column::State.eq(ASKED))
        .one(db)
        .await?;
    let Some(row) = row.filter(|row| core.clock.now_ms() < row.expires_at) else {
        return Ok(None);
    };
    let home = workspace::Entity::find_by_id(row.workspace_id)
        .filter(workspace::Column::DeletingAt.is_null())
        .one(db)
        .await?;
    let policy = self_registration::Entity::find_by_id(row.workspace_id)
        .one(db)
        .await?
        .map(policy_of);
    let (Some(home), Some(policy)) = (home, policy) else {
        return Ok(None);
    };
    let address = EmailAddress::parse(&row.email);
    let still = address.is_ok_and(|address| takes(&policy, &address));
    Ok(still.then_some((row, home, policy)))
}

async fn good(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    token: &str,
) -> ApiResult<(registration::Model, workspace::Model, SelfRegistration)> {
    let look = of_token(core, token);
    authenticator.by_link(req, GONE, look).await
}

const GONE: &str = "It was used or has ended. Ask for a new one.";

/// What a link is for.
///
/// # Errors
/// 404 for a link that is no good.
pub async fn show_registration(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    token: &str,
) -> ApiResult<RegistrationShown> {
    let (row, home, _) = good(core, authenticator, req, token).await?;
    Ok(RegistrationShown {
        workspace: home.name,
        email: row.email,
        expires_at: from_ms(row.expires_at),
    })
}

/// Takes name and password of somebody whose address a link has shown to be theirs.
///
/// # Errors
/// 404 for a link that is no good, 409 when there is an account by now, 422 for faults.
pub async fn register(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    wanted: Register,
) -> ApiResult<Registered> {
    let (row, _, policy) = good(core, authenticator, req, &wanted.token).await?;
    let mut faults = Vec::new();
    check_name(&mut faults, "name", &wanted.name, 100);
    ApiError::refuse(faults)?;
    check_password("password", &wanted.password, &[&row.email, &wanted.name]).await?;
    // Slow on purpose, so before the transaction.
    let password_hash = hash_password(&wanted.password).await?;
    let address = authenticator.address(req);
    let txn = core.db.begin().await?;
    if user_of(&txn, &row.email).await?.is_some() {
        return Err(ApiError::new(Code::Conflict)
            .detail("There is an account of this address by now. Sign in with it."));
    }
    let now = core.clock.now_ms();
    let change = registration::ActiveModel {
        state: Set(PENDING.to_owned()),
        name: Set(wanted.name.clone()),
        password_hash: Set(password_hash.clone()),
        token_hash: Set(String::new()),
        created_at: Set(now),
        expires_at: Set(now + WAITS_MS),
        ..Default::default()
    };
    let used = registration::Entity::update_many()
        .set(change)
        .filter(registration::Column::Id.eq(row.id))
        .filter(registration::Column::State.eq(ASKED))
        .filter(registration::Column::TokenHash.eq(&row.token_hash))
        .exec(&txn)
        .await?;
    if used.rows_affected != 1 {
        return Err(ApiError::new(Code::LinkInvalid).detail(GONE));
    }
    let row = registration::Model {
        name: wanted.name,
        password_hash,
        ..row
    };
    let by = Actor::person(&row.email, address);
    note(core, &txn, &by, "registration.create", &row, Value::Null).await?;
    let scope = Scope::granted(row.workspace_id);
    let approved = policy.automatic && has_role(&txn, scope, &policy).await?;
    if approved {
        let by = Actor::system("member policy");
        let_in(core, &txn, &by, &row, &policy.role).await?;
    }
    txn.commit().await?;
    Ok(Registered { approved })
}

/// Makes the account and the membership, and forgets the registration.
async fn let_in(
    core: &Core,
    txn: &impl ConnectionTrait,
    by: &Actor,
    row: &registration::Model,
    role: &str,
) -> ApiResult<()> {
    let gone = registration::Entity::delete_by_id(row.id).exec(txn).await?;
    if gone.rows_affected != 1 {
        return Err(ApiError::not_found());
    }
    let now = core.clock.now_ms();
    let id = match user_of(txn, &row.email).await? {
        // Invited elsewhere in the meantime: the account is theirs, as the address is.
        Some(user) => user.id,
        None => {
            let user = user::Model {
                id: ids::new(&core.clock),
                email: row.email.clone(),
                name: row.name.clone(),
                password_hash: row.password_hash.clone(),
                created_at: now,
                password_at: now,
                disabled_at: None,
                totp_at: None,
                totp_step: 0,
            };
            user::Entity::insert(user.clone().into_active_model())
                .exec_without_returning(txn)
                .await?;
            user.id
        }
    };
    let scope = Scope::granted(row.workspace_id);
    make_member(txn, scope, id, role, now).await?;
    note(
        core,
        txn,
        by,
        "registration.approve",
        row,
        json!({ "role": role }),
    )
    .await
}

async fn note(
    core: &Core,
    txn: &impl ConnectionTrait,
    by: &Actor,
    action: &'static str,
    row: &registration::Model,
    after: Value,
) -> ApiResult<()> {
    let act = Act {
        action,
        kind: "registration",
        id: Some(row.id),
        name: &row.email,
        before: Value::Null,
        after,
    };
    let scope = Scope::granted(row.workspace_id);
    audit::note(txn, &core.clock, scope, by, act).await?;
    Ok(())
}

/// Those who have shown that the address is theirs and wait for an answer, newest first.
///
/// # Errors
/// The database failed.
pub async fn registrations(core: &Core, scope: Scope) -> ApiResult<Vec<Registration>> {
    let rows = registration::Entity::find()
        .filter(registration::Column::WorkspaceId.eq(scope.workspace()))
        .filter(registration::Column::State.eq(PENDING))
        .filter(registration::Column::ExpiresAt.gt(core.clock.now_ms()))
        .order_by_desc(registration::Column::CreatedAt)
        .all(core.db.read())
        .await?;
    let to_wire = |row: registration::Model| Registration {
        id: row.id,
        email: row.email,
        name: row.name,
        asked_at: from_ms(row.created_at),
        expires_at: from_ms(row.expires_at),
    };
    Ok(rows.into_iter().map(to_wire).collect())
}

async fn find(
    core: &Core,
    txn: &impl ConnectionTrait,
    scope: Scope,
    id: Uuid,
) -> ApiResult<registration::Model> {
    registration::Entity::find_by_id(id)
        .filter(registration::Column::WorkspaceId.eq(scope.workspace()))
        .filter(registration::Column::State.eq(PENDING))
        .filter(registration::Column::ExpiresAt.gt(core.clock.now_ms()))
        .one(txn)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// Lets somebody in, and tells them by mail.
///
/// # Errors
/// 403 for a role that the caller may not hand out, 404, 422 for a role that is not there.
pub async fn approve(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    wanted: ApproveRegistration,
) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let row = find(core, &txn, caller.scope, id).await?;
    let role = match wanted.role {
        Some(role) => role,
        None => {
            let policy = self_registration::Entity::find_by_id(row.workspace_id)
                .one(&txn)
                .await?;
            policy.map(policy_of).unwrap_or_default().role
        }
    };
    may_give(&txn, caller, &role).await?;
    let by = Actor::of(caller);
    let_in(core, &txn, &by, &row, &role).await?;
    let home = workspace::Entity::find_by_id(row.workspace_id)
        .one(&txn)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let letter = Letter::Approved {
        to: &row.email,
        workspace: &home,
        link: &core.settings.public_url,
    };
    post::send(core, &txn, letter).await?;
    Ok(txn.commit().await?)
}

/// Refuses somebody, who is not told.
///
/// # Errors
/// 404.
pub async fn refuse(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let row = find(core, &txn, caller.scope, id).await?;
    let gone = registration::Entity::delete_by_id(id).exec(&txn).await?;
    if gone.rows_affected != 1 {
        return Err(ApiError::not_found());
    }
    let by = Actor::of(caller);
    note(core, &txn, &by, "registration.refuse", &row, Value::Null).await?;
    Ok(txn.commit().await?)
}
