//! What the command line does about people: also about those that are in several workspaces, and
//! without mail.

use entity::{member, sealed_secret, user, workspace};
use openapi::people::NewInvitation;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use serde::Serialize;

use super::account::store_password;
use super::deed::{Deed, note_by};
use super::{check_email, emails, has_second_factor, invitations, reset_page};
use crate::auth::{
    Purpose, end_all, forget_recovery_codes, generate_password, hash_password, make_token, user_of,
};
use crate::clock::Clock;
use crate::db::{Db, Transaction, bump_configuration};
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::audit::Actor;

/// Who the command line is, in the audit log.
pub fn by_hand() -> Actor {
    Actor::system("command line")
}

/// An account, as the command line lists it.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Address.
    pub email: String,
    /// Name for people.
    pub name: String,
    /// Workspace and role of each membership; one that is switched off says so.
    pub workspaces: Vec<String>,
    /// Whether a second factor is asked for.
    pub second_factor: bool,
    /// Whether the account is let in nowhere.
    pub disabled: bool,
}

/// All accounts, by address.
///
/// # Errors
/// The database failed.
pub async fn list_by_hand(db: &Db) -> ApiResult<Vec<Listed>> {
    let workspaces = workspace::Entity::find().all(db.read()).await?;
    let members = member::Entity::find().all(db.read()).await?;
    let users = user::Entity::find()
        .order_by_asc(user::Column::Email)
        .all(db.read())
        .await?;
    Ok(users
        .into_iter()
        .map(|user| {
            let own = members.iter().filter(|member| member.user_id == user.id);
            let mut workspaces: Vec<String> = own
                .filter_map(|member| {
                    let workspace = workspaces.iter().find(|w| w.id == member.workspace_id)?;
                    let off = if member.enabled { "" } else { " (off)" };
                    Some(format!("{}:{}{off}", workspace.slug, member.role))
                })
                .collect();
            workspaces.sort();
            Listed {
                second_factor: has_second_factor(&user),
                disabled: user.disabled_at.is_some(),
                email: user.email,
                name: user.name,
                workspaces,
            }
        })
        .collect())
}

/// Invites somebody; returns the link.
///
/// # Errors
/// See [`super::invite`]; of roles the command line may hand out all.
pub async fn invite_by_hand(
    db: &Db,
    clock: &Clock,
    public_url: &str,
    scope: Scope,
    new: &NewInvitation,
) -> ApiResult<String> {
    let txn = db.begin().await?;
    let (_, link) = invitations::make(&txn, clock, public_url, scope, &by_hand(), new).await?;
    txn.commit().await?;
    Ok(link)
}

async fn account(txn: &Transaction, email: &str) -> ApiResult<user::Model> {
    user_of(txn, &email.trim().to_lowercase())
        .await?
        .ok_or_else(|| ApiError::not_found().detail("There is no such account."))
}

/// Gives a person a new password, which is returned, and ends all sessions.
///
/// # Errors
/// There is no such account, or the database failed.
pub async fn set_password(db: &Db, clock: &Clock, email: &str) -> ApiResult<String> {
    let password = generate_password();
    let hash = hash_password(&password).await?;
    let txn = db.begin().await?;
    let user = account(&txn, email).await?;
    store_password(&txn, user.id, hash, clock.now_ms()).await?;
    end_all(&txn, user.id, None).await?;
    let deed = Deed::PasswordSet("command line");
    note_by(&txn, clock, &by_hand(), &user, deed).await?;
    txn.commit().await?;
    Ok(password)
}

/// Makes a link by which a person sets a new password; returns it.
///
/// # Errors
/// There is no such account, or the database failed.
pub async fn reset_link(
    db: &Db,
    clock: &Clock,
    public_url: &str,
    email: &str,
) -> ApiResult<String> {
    let txn = db.begin().await?;
    let user = account(&txn, email).await?;
    let token = make_token(&txn, user.id, Purpose::PasswordReset, clock.now_ms()).await?;
    note_by(&txn, clock, &by_hand(), &user, Deed::ResetAsked).await?;
    txn.commit().await?;
    Ok(reset_page(public_url, &token))
}

/// Gives an account another address and ends all sessions.
///
/// # Errors
/// There is no such account, the address is none or has an account, or the database failed.
pub async fn change_email_by_hand(
    db: &Db,
    clock: &Clock,
    email: &str,
    new: &str,
) -> ApiResult<String> {
    let new =
        check_email(new).map_err(|fault| ApiError::invalid("email", "bad_email", fault.message))?;
    let txn = db.begin().await?;
    let user = account(&txn, email).await?;
    emails::store(&txn, clock, &by_hand(), &user, &new).await?;
    end_all(&txn, user.id, None).await?;
    txn.commit().await?;
    Ok(new)
}

/// Turns the second factor of a person off and ends all sessions.
///
/// # Errors
/// There is no such account, or the database failed.
pub async fn reset_second_factor(db: &Db, clock: &Clock, email: &str) -> ApiResult<()> {
    let txn = db.begin().await?;
    let user = account(&txn, email).await?;
    sealed_secret::Entity::delete_many()
        .filter(sealed_secret::Column::OwnerKind.eq("user"))
        .filter(sealed_secret::Column::OwnerId.eq(user.id))
        .exec(&txn)
        .await?;
    forget_recovery_codes(&txn, user.id).await?;
    user::Entity::update_many()
        .col_expr(user::Column::TotpAt, Expr::value(None::<i64>))
        .col_expr(user::Column::TotpStep, Expr::value(0))
        .filter(user::Column::Id.eq(user.id))
        .exec(&txn)
        .await?;
    end_all(&txn, user.id, None).await?;
    note_by(&txn, clock, &by_hand(), &user, Deed::FactorOff).await?;
    Ok(txn.commit().await?)
}

/// Lets a person in nowhere and ends all sessions.
///
/// # Errors
/// There is no such account, or the database failed.
pub async fn disable(db: &Db, clock: &Clock, email: &str) -> ApiResult<()> {
    switch(db, clock, email, Some(clock.now_ms()), Deed::Disabled).await
}

/// Lets a person in again.
///
/// # Errors
/// There is no such account, or the database failed.
pub async fn enable(db: &Db, clock: &Clock, email: &str) -> ApiResult<()> {
    switch(db, clock, email, None, Deed::Enabled).await
}

async fn switch(db: &Db, clock: &Clock, email: &str, at: Option<i64>, deed: Deed) -> ApiResult<()> {
    let txn = db.begin().await?;
    // Open streams look again when the configuration moves.
    bump_configuration(&txn).await?;
    let user = account(&txn, email).await?;
    user::Entity::update_many()
        .col_expr(user::Column::DisabledAt, Expr::value(at))
        .filter(user::Column::Id.eq(user.id))
        .exec(&txn)
        .await?;
    end_all(&txn, user.id, None).await?;
    note_by(&txn, clock, &by_hand(), &user, deed).await?;
    Ok(txn.commit().await?)
}
