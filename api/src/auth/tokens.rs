//! Tokens that are good for one thing, once: a link to a new password, the time between password
//! and second factor. Stored as hashes. Why not with the rest that works once: see [`super::once`].

use entity::user_token;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::digest;
use super::sessions::make_link_token;

const MINUTE_MS: i64 = 60_000;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new password.
    PasswordReset,
    /// The second step of a sign-in.
    SecondFactor,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::SecondFactor => "second_factor",
        }
    }

    /// How long a token is good.
    pub const fn minutes(self) -> i64 {
        match self {
            Self::PasswordReset => 60,
            Self::SecondFactor => 5,
        }
    }
}

/// Makes a token for a person, and tidies up what has ended. A new link to a password ends the one
/// before it.
///
/// # Errors
/// A statement failed.
pub async fn make_token(
    txn: &impl ConnectionTrait,
    user: Uuid,
    purpose: Purpose,
    now: i64,
) -> Result<String, DbErr> {
    user_token::Entity::delete_many()
        .filter(user_token::Column::ExpiresAt.lte(now))
        .exec(txn)
        .await?;
    if purpose == Purpose::PasswordReset {
        forget_tokens(txn, user, purpose).await?;
    }
    let token = make_link_token();
    let row = user_token::ActiveModel {
        token_hash: Set(digest(&token)),
        user_id: Set(user),
        purpose: Set(purpose.word().to_owned()),
        created_at: Set(now),
        expires_at: Set(now + purpose.minutes() * MINUTE_MS),
    };
    user_token::Entity::insert(row)
        .exec_without_returning(txn)
        .await?;
    Ok(token)
}

/// Whose token it is, if it is good for this now.
///
/// # Errors
/// A statement failed.
pub async fn token_owner(
    db: &impl ConnectionTrait,
    token: &str,
    purpose: Purpose,
    now: i64,
) -> Result<Option<Uuid>, DbErr> {
    let row = user_token::Entity::find_by_id(digest(token))
        .one(db)
        .await?;
    Ok(row
        .filter(|row| row.purpose == purpose.word() && now < row.expires_at)
        .map(|row| row.user_id))
}

/// Uses a token up. False: somebody else just did.
///
/// # Errors
/// A statement failed.
pub async fn spend_token(txn: &impl ConnectionTrait, token: &str) -> Result<bool, DbErr> {
    let spent = user_token::Entity::delete_by_id(digest(token))
        .exec(txn)
        .await?;
    Ok(spent.rows_affected == 1)
}

/// Makes all tokens of a person for this worthless.
///
/// # Errors
/// A statement failed.
pub async fn forget_tokens(
    txn: &impl ConnectionTrait,
    user: Uuid,
    purpose: Purpose,
) -> Result<(), DbErr> {
    user_token::Entity::delete_many()
        .filter(user_token::Column::UserId.eq(user))
        .filter(user_token::Column::Purpose.eq(purpose.word()))
        .exec(txn)
        .await?;
    Ok(())
}
