//! What people do about signing in, for the audit log of every workspace they belong to.
//!
//! Nothing is written about an address that has no account: it is counted with all other refusals,
//! so that neither the log nor the numbers tell which accounts exist.

use std::net::IpAddr;

use entity::{member, user};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::auth::Shown;
use crate::clock::Clock;
use crate::core::Core;
use crate::request;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};

/// Lines about refusals that are being written at once; more are left out, and that is logged.
static LATER: Semaphore = Semaphore::const_new(32);

/// What was done.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// Signed in: by what, and what stood for the second factor.
    SignedIn(&'static str, Option<Shown>),
    /// Was not let in: at which step.
    SignInRefused(&'static str),
    /// Could not confirm who it is.
    ConfirmRefused(&'static str),
    /// Signed out.
    SignedOut,
    /// Ended this many sessions.
    SessionsEnded(u64),
    /// Asked for a link to a new password.
    ResetAsked,
    /// Asked for a link to a new address.
    EmailAsked,
    /// Set a new password: by what.
    PasswordSet(&'static str),
    /// Has a second factor from now on.
    FactorOn,
    /// Has none from now on.
    FactorOff,
    /// Has new recovery codes.
    RecoveryCodesMade,
    /// Is let in nowhere.
    Disabled,
    /// Is let in again.
    Enabled,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Self::SignedIn(..) => "sign_in",
            Self::SignInRefused(_) => "sign_in.refused",
            Self::ConfirmRefused(_) => "confirm.refused",
            Self::SignedOut => "sign_out",
            Self::SessionsEnded(_) => "session.end",
            Self::ResetAsked => "password.reset_asked",
            Self::EmailAsked => "account.email_asked",
            Self::PasswordSet(_) => "password.set",
            Self::FactorOn => "second_factor.on",
            Self::FactorOff => "second_factor.off",
            Self::RecoveryCodesMade => "second_factor.codes",
            Self::Disabled => "account.disable",
            Self::Enabled => "account.enable",
        }
    }

    fn details(self) -> Value {
        match self {
            Self::SignedIn(how, shown) => json!({
                "by": how,
                "code": shown.map(|shown| match shown {
                    Shown::App => "app",
                    Shown::RecoveryCode => "recovery",
                }),
            }),
            Self::SignInRefused(step) | Self::ConfirmRefused(step) => json!({ "at": step }),
            Self::SessionsEnded(sessions) => json!({ "sessions": sessions }),
            Self::PasswordSet(how) => json!({ "by": how }),
            _ => Value::Null,
        }
    }
}

/// Notes what a person did.
///
/// # Errors
/// A statement failed.
pub async fn note(
    core: &Core,
    txn: &impl ConnectionTrait,
    user: &user::Model,
    address: IpAddr,
    deed: Deed,
) -> Result<(), DbErr> {
    let by = Actor::person(&user.email, address);
    note_by(txn, &core.clock, &by, user, deed).await
}

/// Notes what was done about a person.
///
/// # Errors
/// A statement failed.
pub async fn note_by(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    by: &Actor,
    user: &user::Model,
    deed: Deed,
) -> Result<(), DbErr> {
    let shown = (Value::Null, deed.details());
    note_change(txn, clock, by, user, (deed.word(), shown)).await
}

/// Notes a change of an account, before and after, in every workspace of the person.
///
/// # Errors
/// A statement failed.
pub(super) async fn note_change(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    by: &Actor,
    user: &user::Model,
    (action, (before, after)): (&'static str, (Value, Value)),
) -> Result<(), DbErr> {
    let workspaces = member::Entity::find()
        .filter(member::Column::UserId.eq(user.id))
        .all(txn)
        .await?;
    for member in workspaces {
        let act = Act {
            action,
            kind: "person",
            id: Some(user.id),
            name: &user.email,
            before: before.clone(),
            after: after.clone(),
        };
        let scope = Scope::granted(member.workspace_id);
        audit::note(txn, clock, scope, by, act).await?;
    }
    Ok(())
}

/// Notes a refusal after its answer, so that the answer takes as long as if there were no such
/// account.
pub fn note_later(core: &Core, user: Option<user::Model>, address: IpAddr, deed: Deed) {
    let Some(user) = user else { return };
    let Ok(turn) = LATER.try_acquire() else {
        tracing::warn!("Too many refused sign-ins at once; one is not in the audit log.");
        return;
    };
    let core = core.clone();
    let work = async move {
        let written = async {
            let txn = core.db.begin().await?;
            note(&core, &txn, &user, address, deed).await?;
            txn.commit().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "A refused sign-in could not be noted.");
        }
        drop(turn);
    };
    tokio::spawn(request::within(request::id(), work));
}
