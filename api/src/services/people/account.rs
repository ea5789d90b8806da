//! One's own account: name, password, sessions.

use entity::user;
use openapi::account::{ChangePassword, OwnSession, Profile};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use serde_json::json;
use uuid::Uuid;

use super::deed::{Deed, note, note_change};
use crate::auth::{
    Authenticator, Person, Purpose, check_password, end, end_all, forget_tokens, hash_password,
    recovery_codes_left, renew, session_id, sessions_of,
};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::services::audit::Actor;
use crate::services::validate::check_name;

/// The account of a person.
///
/// # Errors
/// The database failed.
pub async fn profile(core: &Core, user: &user::Model) -> ApiResult<Profile> {
    Ok(Profile {
        user: openapi::auth::User {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
        },
        created_at: from_ms(user.created_at),
        has_password: !user.password_hash.is_empty(),
        password_changed_at: (user.password_at > 0).then(|| from_ms(user.password_at)),
        second_factor_since: user.totp_at.map(from_ms),
        recovery_codes_left: recovery_codes_left(core.db.read(), user.id).await?,
    })
}

/// Changes the name.
///
/// # Errors
/// 422 for a bad name.
pub async fn rename(core: &Core, person: &Person, name: String) -> ApiResult<Profile> {
    let mut faults = Vec::new();
    check_name(&mut faults, "name", &name, 100);
    ApiError::refuse(faults)?;
    let before = &person.signed_in.user;
    if before.name == name {
        return profile(core, before).await;
    }
    let user = user::Model {
        name,
        ..before.clone()
    };
    let txn = core.db.begin().await?;
    user::Entity::update_many()
        .col_expr(user::Column::Name, Expr::value(user.name.clone()))
        .filter(user::Column::Id.eq(user.id))
        .exec(&txn)
        .await?;
    let by = Actor::person(&user.email, person.address);
    let shown = (json!({ "name": before.name }), json!({ "name": user.name }));
    note_change(&txn, &core.clock, &by, &user, ("account.rename", shown)).await?;
    txn.commit().await?;
    profile(core, &user).await
}

/// Changes the password, ends all other sessions and gives this one a new token, which is returned.
///
/// # Errors
/// 401 for a wrong password, 422 for a weak new one, 429 after too many failures.
pub async fn change_password(
    core: &Core,
    authenticator: &Authenticator,
    person: &Person,
    wanted: ChangePassword,
) -> ApiResult<String> {
    let user = &person.signed_in.user;
    if !user.password_hash.is_empty() {
        let Some(current) = &wanted.current_password else {
            let text = "the password until now";
            return Err(ApiError::invalid("current_password", "required", text));
        };
        authenticator
            .own_password(person.address, user, current)
            .await?;
    }
    check_password(
        "new_password",
        &wanted.new_password,
        &[&user.email, &user.name],
    )
    .await?;
    // Slow on purpose, so before the transaction.
    let hash = hash_password(&wanted.new_password).await?;
    let txn = core.db.begin().await?;
    store_password(&txn, user.id, hash, core.clock.now_ms()).await?;
    end_all(&txn, user.id, Some(&person.signed_in.token_hash)).await?;
    let token = renew(core, &txn, &person.signed_in.token_hash).await?;
    note(
        core,
        &txn,
        user,
        person.address,
        Deed::PasswordSet("change"),
    )
    .await?;
    txn.commit().await?;
    token.ok_or_else(|| ApiError::new(openapi::problem::Code::Unauthenticated))
}

/// Writes a password, and makes the links and steps worthless that stood on the old one.
pub(super) async fn store_password(
    txn: &impl ConnectionTrait,
    user: Uuid,
    hash: String,
    now: i64,
) -> ApiResult<()> {
    user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(hash))
        .col_expr(user::Column::PasswordAt, Expr::value(now))
        .filter(user::Column::Id.eq(user))
        .exec(txn)
        .await?;
    forget_tokens(txn, user, Purpose::PasswordReset).await?;
    forget_tokens(txn, user, Purpose::SecondFactor).await?;
    Ok(())
}

/// The browsers in which a person is signed in, the newest first.
///
/// # Errors
/// The database failed.
pub async fn own_sessions(core: &Core, person: &Person) -> ApiResult<Vec<OwnSession>> {
    let rows = sessions_of(core, person.signed_in.user.id).await?;
    Ok(rows
        .into_iter()
        .map(|row| OwnSession {
            id: session_id(&row.token_hash),
            current: row.token_hash == person.signed_in.token_hash,
            remote_addr: row.remote_addr,
            user_agent: row.user_agent,
            started_at: from_ms(row.created_at),
            last_seen_at: from_ms(row.seen_at),
            expires_at: from_ms(row.expires_at),
        })
        .collect())
}

/// Ends one of the own sessions, on every node at once.
///
/// # Errors
/// 404.
pub async fn end_session(core: &Core, person: &Person, id: Uuid) -> ApiResult<()> {
    let user = &person.signed_in.user;
    let rows = sessions_of(core, user.id).await?;
    let row = rows
        .into_iter()
        .find(|row| session_id(&row.token_hash) == id)
        .ok_or_else(ApiError::not_found)?;
    let txn = core.db.begin().await?;
    end(&txn, &row.token_hash).await?;
    note(core, &txn, user, person.address, Deed::SessionsEnded(1)).await?;
    Ok(txn.commit().await?)
}

/// Ends all own sessions but the one that asks.
///
/// # Errors
/// The database failed.
pub async fn end_other_sessions(core: &Core, person: &Person) -> ApiResult<()> {
    let user = &person.signed_in.user;
    let txn = core.db.begin().await?;
    let ended = end_all(&txn, user.id, Some(&person.signed_in.token_hash)).await?;
    note(core, &txn, user, person.address, Deed::SessionsEnded(ended)).await?;
    Ok(txn.commit().await?)
}
