//! Things that are begun and ended once, a short time later: a sign-in with a provider, the use of a
//! passkey, a new address of an account.
//!
//! Invariant: what was begun is a row under the hash of a random token, so that it ends on whatever
//! node; it is taken by the statement that deletes it, so that of two ends one wins. Whose it is
//! stands in that statement too: who holds a token of somebody else ends nothing with it.
//!
//! Links to a password and the time between the two steps of a sign-in work once too and have a
//! table of their own (see [`super::tokens`]): while servers are updated one after the other, those
//! of the version before look for them there and nowhere else, and what one server makes the other
//! must find. What is new comes here.

use entity::ceremony;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::digest;
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
    /// A new address of an account, to be shown to be the person's.
    NewEmail,
}

impl Begun {
    const fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::NewPasskey => "new_passkey",
            Self::Passkey => "passkey",
            Self::OwnPasskey => "own_passkey",
            Self::NewEmail => "new_email",
        }
    }

    const fn lasts_ms(self) -> i64 {
        match self {
            Self::Provider => 10 * 60_000,
            Self::NewEmail => 60 * 60_000,
            _ => 5 * 60_000,
        }
    }
}

/// Whose it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Nobody's who is known yet.
    Nobodys,
    /// That person's.
    Of(Uuid),
    /// Anybody's: the token itself is the proof.
    Anybodys,
}

impl From<Option<Uuid>> for Whose {
    fn from(user: Option<Uuid>) -> Self {
        user.map_or(Self::Nobodys, Self::Of)
    }
}

/// Notes what was begun under a token, for a person or for somebody who is not known yet.
///
/// # Errors
/// A statement failed.
pub async fn begin(
    db: &impl ConnectionTrait,
    now: i64,
    (what, user): (Begun, Option<Uuid>),
    token: &str,
    data: String,
) -> Result<(), DbErr> {
    ceremony::Entity::delete_many()
        .filter(ceremony::Column::ExpiresAt.lte(now))
        .exec(db)
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
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Takes what was begun; none: nothing, too late, taken before, or somebody else's, which stays.
///
/// # Errors
/// A statement failed.
pub async fn take(
    db: &impl ConnectionTrait,
    now: i64,
    (what, whose): (Begun, Whose),
    token: &str,
) -> Result<Option<ceremony::Model>, DbErr> {
    let hash = digest(token);
    let mut values = vec![hash.clone().into(), what.word().into(), now.into()];
    let owner = match whose {
        Whose::Anybodys => "",
        Whose::Nobodys => "AND user_id IS NULL",
        Whose::Of(user) => {
            values.push(user.into());
            "AND user_id = $4"
        }
    };
    let query = format!(
        "DELETE FROM ceremony WHERE token_hash = $1 AND kind = $2 AND expires_at > $3 {owner} \
         RETURNING user_id, data, created_at, expires_at"
    );
    let rows = sql::rows(db, query, values).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(ceremony::Model {
        token_hash: hash,
        kind: what.word().to_owned(),
        user_id: row.try_get("", "user_id")?,
        data: row.try_get("", "data")?,
        created_at: row.try_get("", "created_at")?,
        expires_at: row.try_get("", "expires_at")?,
    }))
}

/// Forgets what a person began and has not ended.
///
/// # Errors
/// A statement failed.
pub async fn forget(db: &impl ConnectionTrait, what: Begun, user: Uuid) -> Result<(), DbErr> {
    ceremony::Entity::delete_many()
        .filter(ceremony::Column::Kind.eq(what.word()))
        .filter(ceremony::Column::UserId.eq(user))
        .exec(db)
        .await?;
    Ok(())
}
