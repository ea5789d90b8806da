//! A new password by a link, for those who have forgotten the old one.

use std::net::IpAddr;

use actix_web::HttpRequest;
use entity::user;
use openapi::account::ResetPassword;
use openapi::problem::Code;
use sea_orm::EntityTrait as _;
use tokio::sync::Semaphore;

use super::account::store_password;
use super::deed::{Deed, note};
use super::post::{self, Letter};
use super::reset_page;
use crate::auth::{
    Authenticator, Purpose, check_password, end_all, hash_password, make_token, spend_token,
    token_owner, user_of,
};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::request;

/// Links that are made at once; what comes on top of them is left out, and that is logged.
static AT_ONCE: Semaphore = Semaphore::const_new(32);

/// Mails a link, if there is such an account. It is done after the answer, which is therefore the
/// same and takes the same time whatever the address.
///
/// # Errors
/// A problem where the server sends no mail, 429 after too many requests.
pub async fn ask_for_reset(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    email: &str,
) -> ApiResult<()> {
    let email = email.trim().to_lowercase();
    authenticator.may_ask_for_reset(req, &email).await?;
    if !post::can_send(core) {
        return Err(ApiError::new(Code::MailNotConfigured).detail(
            "This server sends no mail. Whoever looks after it can make a link: \
             signalbox users reset-password --link",
        ));
    }
    let Ok(turn) = AT_ONCE.try_acquire() else {
        tracing::warn!("Too many requests for a new password at once; one is left out.");
        return Ok(());
    };
    let (core, address) = (core.clone(), authenticator.address(req));
    let work = async move {
        if let Err(error) = send(&core, &email, address).await {
            tracing::warn!(%error, "A link to a new password could not be sent.");
        }
        drop(turn);
    };
    tokio::spawn(request::within(request::id(), work));
    Ok(())
}

async fn send(core: &Core, email: &str, address: IpAddr) -> ApiResult<()> {
    let found = user_of(core.db.read(), email).await?;
    let Some(user) = found.filter(|user| user.disabled_at.is_none()) else {
        return Ok(());
    };
    let txn = core.db.begin().await?;
    let now = core.clock.now_ms();
    let token = make_token(&txn, user.id, Purpose::PasswordReset, now).await?;
    let link = reset_page(&core.settings.public_url, &token);
    let letter = Letter::Reset {
        to: &user.email,
        link: &link,
    };
    post::send(core, &txn, letter).await?;
    note(core, &txn, &user, address, Deed::ResetAsked).await?;
    Ok(txn.commit().await?)
}

/// Sets a new password by a link and ends all sessions. The second factor stays.
///
/// # Errors
/// 404 for a link that is no good, 422 for a weak password, 429 after too many failures.
pub async fn reset_by_link(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    wanted: ResetPassword,
) -> ApiResult<()> {
    let db = core.db.read();
    let now = core.clock.now_ms();
    let look = async {
        let owner = token_owner(db, &wanted.token, Purpose::PasswordReset, now).await?;
        let user = match owner {
            None => None,
            Some(id) => user::Entity::find_by_id(id).one(db).await?,
        };
        Ok(user.filter(|user| user.disabled_at.is_none()))
    };
    let user = authenticator.by_link(req, GONE, look).await?;
    check_password("password", &wanted.password, &[&user.email, &user.name]).await?;
    // Slow on purpose, so before the transaction.
    let hash = hash_password(&wanted.password).await?;
    let txn = core.db.begin().await?;
    if !spend_token(&txn, &wanted.token).await? {
        return Err(ApiError::new(Code::LinkInvalid).detail(GONE));
    }
    store_password(&txn, user.id, hash, now).await?;
    end_all(&txn, user.id, None).await?;
    let address = authenticator.address(req);
    note(core, &txn, &user, address, Deed::PasswordSet("link")).await?;
    Ok(txn.commit().await?)
}

const GONE: &str = "It was used or has ended. Ask for a new one.";
