//! The second factor of one's own account: set up, confirmed by a code, turned off.

use entity::user;
use openapi::account::NewSecondFactor;
use openapi::problem::Code;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::deed::{Deed, note};
use super::has_second_factor;
use crate::auth::{
    Authenticator, BEING_SET_UP, IN_USE, Person, TOTP_NAME, end_all, forget_recovery_codes,
    make_recovery_codes, make_totp_secret, renew, totp_secret, totp_uri, use_app_code,
};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::change::Change;
use crate::services::sealed::{self, Owner};

/// A person belongs to no workspace.
const NOWHERE: Scope = Scope::granted(Uuid::nil());
/// Pixels around the picture, in modules.
const QUIET: i32 = 4;

/// Makes a secret for an app. It counts once a code of it was shown.
///
/// # Errors
/// 409 when there is a second factor.
pub async fn begin_setup(core: &Core, person: &Person) -> ApiResult<NewSecondFactor> {
    let user = &person.signed_in.user;
    if has_second_factor(user) {
        return Err(ApiError::new(Code::Conflict)
            .detail("There is a second factor. Turn it off before you set up another."));
    }
    let secret = make_totp_secret();
    let uri = totp_uri(&secret, &user.email);
    let qr_svg = picture(&uri)?;
    let change = Change::begin(core).await?;
    let owner = Owner::user(user.id);
    sealed::remove(&change, owner, None).await?;
    let place = (TOTP_NAME, BEING_SET_UP);
    sealed::put_in(core, &change, NOWHERE, owner, place, &secret).await?;
    change.commit().await?;
    Ok(NewSecondFactor {
        secret: secret.reveal().to_owned(),
        uri,
        qr_svg,
    })
}

/// Takes the first code of the app: from now on it is asked for. All other sessions end; returns
/// the recovery codes and the new token of this one.
///
/// # Errors
/// 401 for a wrong code, 409 when nothing is being set up.
pub async fn finish_setup(
    core: &Core,
    authenticator: &Authenticator,
    person: &Person,
    code: &str,
) -> ApiResult<(Vec<String>, String)> {
    let user = &person.signed_in.user;
    authenticator.may_try_code(person.address, user).await?;
    let change = Change::begin(core).await?;
    let txn = &change.txn;
    let Some(secret) = totp_secret(core, txn, user.id, BEING_SET_UP).await? else {
        return Err(ApiError::new(Code::Conflict).detail("No second factor is being set up."));
    };
    if !use_app_code(core, txn, user.id, code, BEING_SET_UP).await? {
        drop(change);
        authenticator.code_failed(person.address, user).await;
        return Err(ApiError::new(Code::CodeInvalid)
            .detail("The code is not the one of the app now. Is the phone's clock right?"));
    }
    let owner = Owner::user(user.id);
    sealed::remove(&change, owner, None).await?;
    sealed::put_in(core, &change, NOWHERE, owner, (TOTP_NAME, IN_USE), &secret).await?;
    let codes = make_recovery_codes(txn, user.id).await?;
    set_totp_at(txn, user.id, Some(change.now)).await?;
    end_all(txn, user.id, Some(&person.signed_in.token_hash)).await?;
    let token = renew(core, txn, &person.signed_in.token_hash).await?;
    note(core, txn, user, person.address, Deed::FactorOn).await?;
    change.commit().await?;
    let token = token.ok_or_else(|| ApiError::new(Code::Unauthenticated))?;
    Ok((codes, token))
}

async fn set_totp_at(txn: &impl ConnectionTrait, user: Uuid, at: Option<i64>) -> ApiResult<()> {
    let mut update = user::Entity::update_many().col_expr(user::Column::TotpAt, Expr::value(at));
    if at.is_none() {
        // The codes of the next app are others.
        update = update.col_expr(user::Column::TotpStep, Expr::value(0));
    }
    update.filter(user::Column::Id.eq(user)).exec(txn).await?;
    Ok(())
}

/// Takes secret and recovery codes of a person away.
pub(super) async fn forget(change: &Change<'_>, user: Uuid) -> ApiResult<()> {
    sealed::remove(change, Owner::user(user), None).await?;
    forget_recovery_codes(&change.txn, user).await?;
    set_totp_at(&change.txn, user, None).await
}

/// Turns the second factor off; returns the new token of the session.
///
/// # Errors
/// 409 when there is none.
pub async fn turn_off(core: &Core, person: &Person) -> ApiResult<String> {
    let user = &person.signed_in.user;
    must_have(user)?;
    let change = Change::begin(core).await?;
    forget(&change, user.id).await?;
    let token = renew(core, &change.txn, &person.signed_in.token_hash).await?;
    note(core, &change.txn, user, person.address, Deed::FactorOff).await?;
    change.commit().await?;
    token.ok_or_else(|| ApiError::new(Code::Unauthenticated))
}

/// Makes new recovery codes; the old ones are worth nothing.
///
/// # Errors
/// 409 when there is no second factor.
pub async fn new_recovery_codes(core: &Core, person: &Person) -> ApiResult<Vec<String>> {
    let user = &person.signed_in.user;
    must_have(user)?;
    let txn = core.db.begin().await?;
    let codes = make_recovery_codes(&txn, user.id).await?;
    note(core, &txn, user, person.address, Deed::RecoveryCodesMade).await?;
    txn.commit().await?;
    Ok(codes)
}

fn must_have(user: &user::Model) -> ApiResult<()> {
    if has_second_factor(user) {
        return Ok(());
    }
    Err(ApiError::new(Code::Conflict).detail("There is no second factor."))
}

/// The address as a picture that a phone reads.
fn picture(text: &str) -> ApiResult<String> {
    let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium)
        .map_err(|error| ApiError::internal("picture", &error))?;
    let size = code.size() + 2 * QUIET;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in 0..code.size() {
            if code.get_module(x, y) {
                path.push_str(&format!("M{},{}h1v1h-1z", x + QUIET, y + QUIET));
            }
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0,0h{size}v{size}h-{size}z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_a_quiet_border() {
        let svg = picture("otpauth://totp/x?secret=GEZDGNBV").unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        assert!(svg.contains("M4,4h1v1h-1z"), "the corner of a finder");
        assert!(!svg.contains("M0,1h1") && !svg.contains("M3,4h1"));
    }
}
