//! Signed-in browsers.
//!
//! The cookie holds 256 random bits; the database holds their hash. The token that writes must carry
//! is derived from the cookie, so a page that is loaded anew gets the same one, and nobody without
//! the cookie can make it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::{session, user};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use sha2::{Digest as _, Sha256};

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

/// A person who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The person.
    pub user: user::Model,
    /// Hash of the cookie's token: the key of the session.
    pub token_hash: String,
    /// What writes must carry.
    pub csrf_token: String,
}

/// The token that writes of this session must carry.
pub fn csrf_token(token: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"signalbox csrf ");
    hash.update(token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Starts a session and returns the token for the cookie.
pub(super) async fn start(
    core: &Core,
    user: &user::Model,
    address: IpAddr,
    agent: &str,
) -> Result<String, DbErr> {
    let now = core.clock.now_ms();
    session::Entity::delete_many()
        .filter(session::Column::ExpiresAt.lte(now))
        .exec(core.db.write())
        .await?;
    let token = URL_SAFE_NO_PAD.encode(ids::random::<32>());
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
    };
    session::Entity::insert(row)
        .exec_without_returning(core.db.write())
        .await?;
    Ok(token)
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
    let idle = i64::from(core.settings.session_idle_minutes) * MINUTE_MS;
    if now >= row.expires_at || now >= row.seen_at + idle {
        end(core, &hash).await?;
        return Ok(None);
    }
    let Some(user) = user::Entity::find_by_id(row.user_id)
        .one(core.db.read())
        .await?
    else {
        return Ok(None);
    };
    if now - row.seen_at >= MINUTE_MS {
        session::Entity::update_many()
            .set(session::ActiveModel {
                seen_at: Set(now),
                ..Default::default()
            })
            .filter(session::Column::TokenHash.eq(&hash))
            .exec(core.db.write())
            .await?;
    }
    Ok(Some(SignedIn {
        user,
        token_hash: hash,
        csrf_token: csrf_token(token),
    }))
}

/// Ends a session at once, on every node.
pub(super) async fn end(core: &Core, token_hash: &str) -> Result<(), DbErr> {
    session::Entity::delete_by_id(token_hash.to_owned())
        .exec(core.db.write())
        .await?;
    Ok(())
}
