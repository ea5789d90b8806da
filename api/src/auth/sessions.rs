//! Signed-in browsers.
//!
//! The cookie holds 256 random bits; the database holds their hash. The token that writes must carry
//! is derived from the cookie, so a page that is loaded anew gets the same one, and nobody without
//! the cookie can make it. When a session may do more than before (its person confirmed who it is,
//! or changed how to sign in), it gets a new token, and the old one is worth nothing.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::{session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::digest;
use crate::core::Core;
use crate::ids;

/// The cookie over plain HTTP.
pub const COOKIE: &str = "signalbox_session";
/// The cookie over HTTPS: the browser binds it to this very host.
pub const SECURE_COOKIE: &str = "__Host-signalbox_session";
/// The header that carries the token of a write.
pub const CSRF_HEADER: &str = "x-csrf-token";

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// The person of the session has not shown who it is yet.
const NEVER_PROVED: i64 = -1;

/// A person who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The person.
    pub user: user::Model,
    /// Hash of the cookie's token: the key of the session.
    pub token_hash: String,
    /// What writes must carry.
    pub csrf_token: String,
    /// When the person last showed who it is, in milliseconds since 1970.
    pub proved_at: i64,
    /// Whether two factors were shown, whatever the account has here: a passkey, or a provider's.
    pub strong: bool,
}

/// The token that writes of this session must carry.
pub fn csrf_token(token: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"signalbox csrf ");
    hash.update(token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// What a session is called where it is listed: nothing that could be signed in with.
pub fn session_id(token_hash: &str) -> Uuid {
    let hash = Sha256::digest(format!("signalbox session {token_hash}"));
    let mut id = [0_u8; 16];
    id.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// A random token of 256 bits, for a cookie or a link.
pub fn make_link_token() -> String {
    URL_SAFE_NO_PAD.encode(ids::random::<32>())
}

/// Starts a session and returns the token for the cookie.
pub(super) async fn start(
    core: &Core,
    txn: &impl ConnectionTrait,
    user: &user::Model,
    address: IpAddr,
    agent: &str,
) -> Result<String, DbErr> {
    let now = core.clock.now_ms();
    session::Entity::delete_many()
        .filter(session::Column::ExpiresAt.lte(now))
        .exec(txn)
        .await?;
    let token = make_link_token();
    let row = session::ActiveModel {
        token_hash: Set(digest(&token)),
        user_id: Set(user.id),
        csrf_hash: Set(digest(&csrf_token(&token))),
        remote_addr: Set(address.to_string()),
        user_agent: Set(agent
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect()),
        created_at: Set(now),
        seen_at: Set(now),
        expires_at: Set(now + i64::from(core.settings.session_days) * DAY_MS),
        proved_at: Set(now),
        strong: Set(false),
    };
    session::Entity::insert(row)
        .exec_without_returning(txn)
        .await?;
    Ok(token)
}

/// Notes that two factors were shown.
pub(super) async fn mark_strong(db: &impl ConnectionTrait, token_hash: &str) -> Result<(), DbErr> {
    session::Entity::update_many()
        .col_expr(session::Column::Strong, Expr::value(true))
        .filter(session::Column::TokenHash.eq(token_hash))
        .exec(db)
        .await?;
    Ok(())
}

/// Notes that the person did not show who it is: somebody else says so, and not when it was asked.
/// What is dangerous is confirmed first.
pub(super) async fn mark_unproved(
    db: &impl ConnectionTrait,
    token_hash: &str,
) -> Result<(), DbErr> {
    session::Entity::update_many()
        .col_expr(session::Column::ProvedAt, Expr::value(NEVER_PROVED))
        .filter(session::Column::TokenHash.eq(token_hash))
        .exec(db)
        .await?;
    Ok(())
}

/// Gives a session a new token, since its person has shown who it is; the old one is refused from
/// now on. None: the session has ended.
///
/// # Errors
/// The statement failed.
pub async fn renew(
    core: &Core,
    txn: &impl ConnectionTrait,
    token_hash: &str,
) -> Result<Option<String>, DbErr> {
    let token = make_link_token();
    let renewed = session::Entity::update_many()
        .set(session::ActiveModel {
            token_hash: Set(digest(&token)),
            csrf_hash: Set(digest(&csrf_token(&token))),
            proved_at: Set(core.clock.now_ms()),
            ..Default::default()
        })
        .filter(session::Column::TokenHash.eq(token_hash))
        .exec(txn)
        .await?;
    Ok((renewed.rows_affected == 1).then_some(token))
}

/// The session of a token, if it is alive.
pub(super) async fn find(core: &Core, token: &str) -> Result<Option<SignedIn>, DbErr> {
    let hash = digest(token);
    let Some(row) = session::Entity::find_by_id(hash.clone())
        .one(core.db.read())
        .await?
    else {
        return Ok(None);
    };
    let now = core.clock.now_ms();
    if !is_alive(core, &row, now) {
        end(core.db.write(), &hash).await?;
        return Ok(None);
    }
    let Some(user) = user::Entity::find_by_id(row.user_id)
        .one(core.db.read())
        .await?
        .filter(|user| user.disabled_at.is_none())
    else {
        return Ok(None);
    };
    if now - row.seen_at >= MINUTE_MS {
        session::Entity::update_many()
            .col_expr(session::Column::SeenAt, Expr::value(now))
            .filter(session::Column::TokenHash.eq(&hash))
            .exec(core.db.write())
            .await?;
    }
    Ok(Some(SignedIn {
        user,
        token_hash: hash,
        csrf_token: csrf_token(token),
        // A server of the version before notes no confirmation.
        proved_at: match row.proved_at {
            NEVER_PROVED => 0,
            at => at.max(row.created_at),
        },
        strong: row.strong,
    }))
}

fn is_alive(core: &Core, row: &session::Model, now: i64) -> bool {
    let idle = i64::from(core.settings.session_idle_minutes) * MINUTE_MS;
    now < row.expires_at && now < row.seen_at + idle
}

/// Whether a session that was found goes on.
pub(super) async fn goes_on(core: &Core, token_hash: &str) -> Result<bool, DbErr> {
    let row = session::Entity::find_by_id(token_hash.to_owned())
        .one(core.db.read())
        .await?;
    let now = core.clock.now_ms();
    Ok(row.is_some_and(|row| is_alive(core, &row, now)))
}

/// The living sessions of a person, the newest first.
///
/// # Errors
/// The statement failed.
pub async fn sessions_of(core: &Core, user: Uuid) -> Result<Vec<session::Model>, DbErr> {
    let now = core.clock.now_ms();
    let mut rows = session::Entity::find()
        .filter(session::Column::UserId.eq(user))
        .order_by_desc(session::Column::CreatedAt)
        .all(core.db.read())
        .await?;
    rows.retain(|row| is_alive(core, row, now));
    Ok(rows)
}

/// Ends a session at once, on every node.
///
/// # Errors
/// The statement failed.
pub async fn end(txn: &impl ConnectionTrait, token_hash: &str) -> Result<(), DbErr> {
    session::Entity::delete_by_id(token_hash.to_owned())
        .exec(txn)
        .await?;
    Ok(())
}

/// Ends all sessions of a person but one, and says how many they were.
///
/// # Errors
/// The statement failed.
pub async fn end_all(
    txn: &impl ConnectionTrait,
    user: Uuid,
    but: Option<&str>,
) -> Result<u64, DbErr> {
    let mut delete = session::Entity::delete_many().filter(session::Column::UserId.eq(user));
    if let Some(hash) = but {
        delete = delete.filter(session::Column::TokenHash.ne(hash));
    }
    Ok(delete.exec(txn).await?.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_session_says_nothing_about_its_token() {
        let (one, other) = (digest("a"), digest("b"));
        assert_eq!(session_id(&one), session_id(&one));
        assert_ne!(session_id(&one), session_id(&other));
        assert!(!one.starts_with(&session_id(&one).simple().to_string()));
    }
}
