//! Things that a browser begins and ends once, a short time later: a sign-in with a provider, the
//! use of a passkey.
//!
//! Invariant: what was begun is a row under the hash of a random token, so that it ends on whatever
//! node; it is taken by the statement that deletes it, so that of two ends one wins.

use entity::ceremony;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::digest;
use crate::core::Core;
use crate::journal::sql;

/// What was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A sign-in with a provider.
    Provider,
    /// A new passkey.
    NewPasskey,
    /// A sign-in with a passkey.
    Passkey,
    /// A passkey as second factor, or to show once more who one is.
    OwnPasskey,
}

impl Begun {
    const fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::NewPasskey => "new_passkey",
            Self::Passkey => "passkey",
            Self::OwnPasskey => "own_passkey",
        }
    }

    const fn lasts_ms(self) -> i64 {
        match self {
            Self::Provider => 10 * 60_000,
            _ => 5 * 60_000,
        }
    }
}

/// Notes what was begun under a token, for a person or for somebody who is not known yet.
pub(super) async fn begin(
    core: &Core,
    what: Begun,
    token: &str,
    user: Option<Uuid>,
    data: String,
) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    ceremony::Entity::delete_many()
        .filter(ceremony::Column::ExpiresAt.lte(now))
        .exec(core.db.write())
        .await?;
    let row = ceremony::ActiveModel {
        token_hash: Set(digest(token)),
        kind: Set(what.word().to_owned()),
        user_id: Set(user),
        data: Set(data),
        created_at: Set(now),
        expires_at: Set(now + what.lasts_ms()),
    };
    ceremony::Entity::insert(row)
        .exec_without_returning(core.db.write())
        .await?;
    Ok(())
}

/// Takes what was begun; none: nothing, too late, or taken before. With a person, only what that
/// person began.
pub(super) async fn take(
    core: &Core,
    what: Begun,
    token: &str,
    user: Option<Uuid>,
) -> Result<Option<ceremony::Model>, DbErr> {
    let query = "DELETE FROM ceremony WHERE token_hash = $1 AND kind = $2 \
                 RETURNING user_id, data, created_at, expires_at";
    let hash = digest(token);
    let values = vec![hash.clone().into(), what.word().into()];
    let rows = sql::rows(core.db.write(), query, values).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let found = ceremony::Model {
        token_hash: hash,
        kind: what.word().to_owned(),
        user_id: row.try_get("", "user_id")?,
        data: row.try_get("", "data")?,
        created_at: row.try_get("", "created_at")?,
        expires_at: row.try_get("", "expires_at")?,
    };
    let alive = core.clock.now_ms() < found.expires_at && found.user_id == user;
    Ok(alive.then_some(found))
}
