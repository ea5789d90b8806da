//! Another address for one's own account.
//!
//! Invariant: an address becomes that of an account only when somebody has opened a link that was
//! mailed to it, and an address has one account. Who asks has just shown who it is; the link alone is
//! the proof of the address, so it works in whatever browser, once, for an hour. Whether an address
//! has an account is told to its mailbox and to nobody else: all that looks is done after the
//! answer. A crash between the answer and the mail sends none, and the person asks again.
//!
//! With the change all sessions end but that of the browser in which the link was opened, if it is
//! the person's, and so do links to a new password, which were mailed to the old address. Password,
//! second factor, passkeys and providers stay.

use std::net::IpAddr;

use actix_web::HttpRequest;
use entity::user;
use openapi::problem::Code;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use serde_json::json;
use tokio::sync::Semaphore;

use super::check_email;
use super::deed::{Deed, note, note_change};
use super::post::{self, Letter};
use crate::auth::{
    Authenticator, Begun, Person, Purpose, Whose, begin_once, end_all, forget_once, forget_tokens,
    make_link_token, take_once, user_of,
};
use crate::clock::Clock;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::mail::EmailAddress;
use crate::request;
use crate::services::audit::Actor;

/// Links that are made at once; what comes on top of them is left out, and that is logged.
static AT_ONCE: Semaphore = Semaphore::const_new(32);

/// Mails a link to the new address.
///
/// # Errors
/// 409 where the server sends no mail, 422 for what is no address or the one of now, 429 after too
/// many.
pub async fn ask_for_email(
    core: &Core,
    authenticator: &Authenticator,
    person: &Person,
    email: &str,
) -> ApiResult<()> {
    let email = check_email(email)
        .map_err(|fault| ApiError::invalid("email", "bad_email", fault.message))?;
    let user = person.signed_in.user.clone();
    // What cannot be mailed to would never be confirmed.
    if EmailAddress::parse(&email).is_err() {
        return Err(ApiError::invalid(
            "email",
            "bad_email",
            "an address that mails can go to",
        ));
    }
    if email == user.email {
        return Err(ApiError::invalid(
            "email",
            "unchanged",
            "another address than that of now",
        ));
    }
    if !post::can_send(core) {
        return Err(ApiError::new(Code::MailNotConfigured).detail(
            "This server sends no mail. Whoever looks after it can change the address: \
             signalbox users change-email",
        ));
    }
    authenticator
        .may_ask_for_link(person.address, &email)
        .await?;
    let Ok(turn) = AT_ONCE.try_acquire() else {
        tracing::warn!("Too many requests for a new address at once; one is left out.");
        return Ok(());
    };
    let (core, address) = (core.clone(), person.address);
    let work = async move {
        if let Err(error) = send(&core, &user, &email, address).await {
            tracing::warn!(%error, "A link to a new address could not be sent.");
        }
        drop(turn);
    };
    tokio::spawn(request::within(request::id(), work));
    Ok(())
}

async fn send(core: &Core, user: &user::Model, email: &str, address: IpAddr) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let home = &core.settings.public_url;
    if user_of(&txn, email).await?.is_some() {
        let letter = Letter::Known {
            to: email,
            link: home,
        };
        post::send(core, &txn, letter).await?;
    } else {
        let token = make_link_token();
        let begun = (Begun::NewEmail, Some(user.id));
        // The newest link counts.
        forget_once(&txn, Begun::NewEmail, user.id).await?;
        begin_once(&txn, core.clock.now_ms(), begun, &token, email.to_owned()).await?;
        let link = format!("{home}/new-email#{token}");
        let letter = Letter::NewAddress {
            to: email,
            link: &link,
        };
        post::send(core, &txn, letter).await?;
    }
    note(core, &txn, user, address, Deed::EmailAsked).await?;
    Ok(txn.commit().await?)
}

/// Makes the address of a link that of its account.
///
/// # Errors
/// 404 for a link that is no good, 409 when the address has got an account, 429 after too many
/// failures.
pub async fn change_email(
    core: &Core,
    authenticator: &Authenticator,
    req: &HttpRequest,
    token: &str,
) -> ApiResult<()> {
    const GONE: &str = "It was used or has ended. Ask for a new one in your profile.";
    let now = core.clock.now_ms();
    let look = async {
        let txn = core.db.begin().await?;
        let what = (Begun::NewEmail, Whose::Anybodys);
        let begun = take_once(&txn, now, what, token).await?;
        let found = match begun.as_ref().and_then(|begun| begun.user_id) {
            None => None,
            Some(id) => user::Entity::find_by_id(id).one(&txn).await?,
        };
        let user = found.filter(|user| user.disabled_at.is_none());
        Ok(begun.zip(user).map(|(begun, user)| (txn, begun, user)))
    };
    let (txn, begun, user) = authenticator.by_link(req, GONE, look).await?;
    let by = Actor::person(&user.email, authenticator.address(req));
    let own = authenticator.session_of_browser(req);
    store(&txn, &core.clock, &by, &user, &begun.data).await?;
    end_all(&txn, user.id, own.as_deref()).await?;
    let letter = Letter::AddressChanged {
        to: &user.email,
        new: &begun.data,
    };
    post::send(core, &txn, letter).await?;
    Ok(txn.commit().await?)
}

/// Writes an address, and makes the links worthless that stood on the old one.
///
/// # Errors
/// 409 when another account has the address, or the database failed.
pub(super) async fn store(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    by: &Actor,
    user: &user::Model,
    email: &str,
) -> ApiResult<()> {
    if user_of(txn, email).await?.is_some() {
        return Err(
            ApiError::new(Code::Conflict).detail("There is an account of this address by now.")
        );
    }
    user::Entity::update_many()
        .col_expr(user::Column::Email, Expr::value(email))
        .filter(user::Column::Id.eq(user.id))
        .exec(txn)
        .await?;
    forget_tokens(txn, user.id, Purpose::PasswordReset).await?;
    forget_tokens(txn, user.id, Purpose::SecondFactor).await?;
    forget_once(txn, Begun::NewEmail, user.id).await?;
    let shown = (json!({ "email": user.email }), json!({ "email": email }));
    note_change(txn, clock, by, user, ("account.email", shown)).await?;
    Ok(())
}
