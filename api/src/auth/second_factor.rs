//! The second factor: codes of an app (RFC 6238: SHA-1, six digits, thirty seconds, one step of
//! tolerance to either side), and recovery codes that stand in for it.
//!
//! Invariant: a code works once. The newest time step that was used is raised in one statement that
//! finds it lower, a recovery code is deleted in one that finds it there; of two requests with the
//! same code, on whatever nodes, one wins. The secret lies sealed, bound to its owner; the recovery
//! codes, 80 random bits each, lie as hashes.

use engine::secret::constant_time_eq;
use entity::{recovery_code, sealed_secret, user};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _,
};
use totp_rs::{Builder, Secret as Base32, Totp};
use uuid::Uuid;

use super::digest;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::secrets::Secret;
use crate::services::sealed::place_of;

/// Whose secret it is, in the table of sealed secrets.
pub const OWNER: &str = "user";
/// What it is called there.
pub const NAME: &str = "totp";
/// The one that is in use.
pub const IN_USE: i32 = 0;
/// The one that is being set up.
pub const BEING_SET_UP: i32 = 1;
/// Recovery codes that are made at once.
const CODES: usize = 10;
/// Letters and digits of a recovery code that cannot be taken for each other.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A code of the app.
    App,
    /// A recovery code, which is gone now.
    RecoveryCode,
}

/// A new secret of 160 random bits, in base 32.
pub fn make_totp_secret() -> Secret {
    Secret::new(Base32::from(ids::random::<20>()).to_base32())
}

/// What apps read from a picture.
pub fn totp_uri(secret: &Secret, email: &str) -> String {
    let account = percent_encoding::utf8_percent_encode(email, percent_encoding::NON_ALPHANUMERIC);
    format!(
        "otpauth://totp/Signalbox:{account}?secret={}&issuer=Signalbox",
        secret.reveal()
    )
}

fn totp(secret: &Secret) -> ApiResult<Totp> {
    let raw = Base32::try_from_base32(secret.reveal())
        .map_err(|error| ApiError::internal("second factor", &error))?;
    Builder::new()
        .with_secret(raw)
        .build()
        .map_err(|error| ApiError::internal("second factor", &error))
}

/// The time step whose code this is, near `now` in milliseconds since 1970.
fn step_of(secret: &Secret, code: &str, now: i64) -> ApiResult<Option<i64>> {
    let totp = totp(secret)?;
    let seconds = u64::try_from(now.div_euclid(1000)).unwrap_or_default();
    let step = seconds / 30;
    // All three are compared, whichever fits.
    let mut found = None;
    for step in [step.saturating_sub(1), step, step + 1] {
        let wanted = totp.generate(step * 30).to_string();
        if constant_time_eq(wanted.as_bytes(), code.as_bytes()) {
            found = i64::try_from(step).ok();
        }
    }
    Ok(found)
}

/// The sealed secret of a person in a slot, opened.
///
/// # Errors
/// The database or the key ring failed.
pub async fn totp_secret(
    core: &Core,
    db: &impl ConnectionTrait,
    user: Uuid,
    slot: i32,
) -> ApiResult<Option<Secret>> {
    let row = sealed_secret::Entity::find()
        .filter(sealed_secret::Column::OwnerKind.eq(OWNER))
        .filter(sealed_secret::Column::OwnerId.eq(user))
        .filter(sealed_secret::Column::Name.eq(NAME))
        .filter(sealed_secret::Column::Slot.eq(slot))
        .one(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(core.keyring.open(
        &place_of(&row),
        &row.key_id,
        &row.sealed,
    )?))
}

/// Uses a code. None: it is wrong, or was used before.
///
/// # Errors
/// The database or the key ring failed.
pub async fn use_code(
    core: &Core,
    txn: &impl ConnectionTrait,
    user: &user::Model,
    code: &str,
) -> ApiResult<Option<Shown>> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if user.totp_at.is_none() {
        return Ok(None);
    }
    if code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()) {
        let fits = use_app_code(core, txn, user.id, &code, IN_USE).await?;
        return Ok(fits.then_some(Shown::App));
    }
    let used = recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(user.id))
        .filter(recovery_code::Column::CodeHash.eq(recovery_hash(user.id, &code)))
        .exec(txn)
        .await?;
    Ok((used.rows_affected == 1).then_some(Shown::RecoveryCode))
}

/// Uses a code of the app whose secret lies in this slot.
///
/// # Errors
/// The database or the key ring failed.
pub async fn use_app_code(
    core: &Core,
    txn: &impl ConnectionTrait,
    user: Uuid,
    code: &str,
    slot: i32,
) -> ApiResult<bool> {
    let Some(secret) = totp_secret(core, txn, user, slot).await? else {
        return Ok(false);
    };
    let Some(step) = step_of(&secret, code.trim(), core.clock.now_ms())? else {
        return Ok(false);
    };
    let raised = user::Entity::update_many()
        .col_expr(user::Column::TotpStep, Expr::value(step))
        .filter(user::Column::Id.eq(user))
        .filter(Expr::col(user::Column::TotpStep).lt(step))
        .exec(txn)
        .await?;
    Ok(raised.rows_affected == 1)
}

/// Makes new recovery codes in place of all that were there.
///
/// # Errors
/// The database failed.
pub async fn make_recovery_codes(txn: &impl ConnectionTrait, user: Uuid) -> ApiResult<Vec<String>> {
    forget_recovery_codes(txn, user).await?;
    let codes: Vec<String> = (0..CODES).map(|_| recovery_code()).collect();
    let rows = codes.iter().map(|code| recovery_code::ActiveModel {
        user_id: Set(user),
        code_hash: Set(recovery_hash(user, code)),
    });
    recovery_code::Entity::insert_many(rows)
        .exec_without_returning(txn)
        .await?;
    Ok(codes)
}

/// Makes all recovery codes of a person worthless.
///
/// # Errors
/// The database failed.
pub async fn forget_recovery_codes(txn: &impl ConnectionTrait, user: Uuid) -> ApiResult<()> {
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(user))
        .exec(txn)
        .await?;
    Ok(())
}

/// How many recovery codes of a person are left.
///
/// # Errors
/// The database failed.
pub async fn recovery_codes_left(db: &impl ConnectionTrait, user: Uuid) -> ApiResult<u32> {
    let left = recovery_code::Entity::find()
        .filter(recovery_code::Column::UserId.eq(user))
        .count(db)
        .await?;
    Ok(u32::try_from(left).unwrap_or(u32::MAX))
}

/// Sixteen letters in groups of four.
fn recovery_code() -> String {
    let mut code = String::with_capacity(19);
    for (n, byte) in ids::random::<16>().into_iter().enumerate() {
        if n > 0 && n % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    }
    code
}

/// How a recovery code is stored; however it is typed.
fn recovery_hash(user: Uuid, code: &str) -> String {
    let code: String = code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    digest(&format!("signalbox recovery {user} {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn rfc() -> Secret {
        Secret::new(Base32::from(*b"12345678901234567890").to_base32())
    }

    #[test]
    fn the_vectors_of_the_standard_fit() {
        // The last six of the eight digits there.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            let found = step_of(&rfc(), code, seconds * 1000).unwrap();
            assert_eq!(found, Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_its_neighbours() {
        let fits = |seconds: i64| step_of(&rfc(), "287082", seconds * 1000).unwrap();
        assert_eq!(fits(29), Some(1));
        assert_eq!(fits(89), Some(1));
        assert_eq!(fits(119), None);
        assert_eq!(step_of(&rfc(), "287083", 59_000).unwrap(), None);
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        let code = recovery_code();
        assert_eq!(code.len(), 19);
        let user = Uuid::from_u128(7);
        let typed = code.replace('-', " ").to_uppercase();
        assert_eq!(recovery_hash(user, &code), recovery_hash(user, &typed));
        assert_ne!(
            recovery_hash(user, &code),
            recovery_hash(Uuid::from_u128(8), &code)
        );
    }

    #[test]
    fn apps_can_read_the_address() {
        let uri = totp_uri(&rfc(), "ada+box@example.com");
        assert_eq!(
            uri,
            "otpauth://totp/Signalbox:ada%2Bbox%40example%2Ecom\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Signalbox"
        );
    }
}
