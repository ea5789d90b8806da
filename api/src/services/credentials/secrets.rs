//! The secrets of a credential: a second one, which is primary, and when one ends.
//!
//! Rotation without a gap: a second secret is added and shown once; clients move, which the last use
//! of each secret shows; the old one is retired, at once or at its date. A date is looked at with
//! every request, so it holds to the second on every node; the timer only tidies up after it: the
//! row and the sealed secret go, the other secret becomes primary, the audit log says so. Run twice,
//! it finds nothing to do.

use entity::{credential, credential_secret};
use openapi::credentials::{
    Credential, CredentialKind, CredentialRevealed, NewCredentialSecret, RetireCredentialSecret,
    SecretSlot,
};
use openapi::problem::Code;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};
use uuid::Uuid;

use super::write::save;
use super::{DAY_MS, Held, find, note};
use crate::auth::{Caller, hash_password, make_bearer_of, make_secret};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::schedule::{self, Due, Next, Task};
use crate::scope::Scope;
use crate::secrets::Secret;
use crate::services::audit::Actor;
use crate::services::change::Change;
use crate::services::sealed::{self, Owner};

/// Kind of the timers that tidy up.
const KIND: &str = "credential";

/// A secret that was just made.
pub(super) struct Fresh {
    secret: Secret,
    /// Hash of a token; empty for a secret to sign with.
    pub hash: String,
}

impl Fresh {
    /// Slow for a token, on purpose: not within a transaction.
    pub async fn make(kind: CredentialKind, client_id: &str) -> ApiResult<Self> {
        Ok(match kind {
            CredentialKind::Hmac => Self {
                secret: make_secret(),
                hash: String::new(),
            },
            CredentialKind::Bearer => {
                let token = make_bearer_of(client_id.to_owned()).token;
                Self {
                    hash: hash_password(&token).await?,
                    secret: Secret::new(token),
                }
            }
        })
    }

    /// The secret itself, for the one answer that shows it.
    pub fn reveal(&self) -> String {
        self.secret.reveal().to_owned()
    }
}

/// Stores a secret in a slot.
pub(super) async fn store(
    core: &Core,
    change: &Change<'_>,
    row: &credential::Model,
    slot: i32,
    is_primary: bool,
    fresh: &Fresh,
) -> ApiResult<credential_secret::Model> {
    let secret = credential_secret::Model {
        credential_id: row.id,
        slot,
        is_primary,
        hash: fresh.hash.clone(),
        created_at: change.now,
        retire_at: None,
        last_used_at: None,
        last_used_addr: None,
    };
    credential_secret::Entity::insert(secret.clone().into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    if row.kind == CredentialKind::Hmac.word() {
        let scope = Scope::granted(row.workspace_id);
        let owner = Owner::credential(row.id);
        let place = (row.client_id.as_str(), slot);
        sealed::put_in(core, change, scope, owner, place, &fresh.secret).await?;
    }
    Ok(secret)
}

/// Adds a second secret and shows it, once.
///
/// # Errors
/// 403 when the credential may do what the caller may not, 404, 409 when there are two or it is
/// revoked, 422 for a date in the past.
pub async fn add(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    wanted: NewCredentialSecret,
) -> ApiResult<CredentialRevealed> {
    let seen = find(core.db.read(), caller.scope, id).await?;
    seen.must_live()?;
    seen.must_be_within(caller)?;
    let fresh = Fresh::make(seen.kind(), &seen.row.client_id).await?;

    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    before.must_live()?;
    before.must_be_within(caller)?;
    let [old] = before.secrets.as_slice() else {
        return Err(ApiError::new(Code::Conflict)
            .detail("It has two live secrets already; retire one of them first."));
    };
    let end = match wanted.retire_old_at {
        Some(given) => given.map(|at| at.timestamp_millis()),
        None => before
            .rotation()
            .map(|rotation| change.now + i64::from(rotation.overlap_days) * DAY_MS),
    };
    if wanted.retire_old_at.is_some() && end.is_some_and(|end| end <= change.now) {
        return Err(ApiError::invalid(
            "retire_old_at",
            "in_the_past",
            "The date lies in the past.",
        ));
    }
    let slot = i32::from(old.slot == 0);
    let second = store(core, &change, &before.row, slot, false, &fresh).await?;
    let mut after = before.touched(change.now);
    after.secrets.push(second);
    if let Some(old) = after.secrets.first_mut() {
        old.retire_at = end;
    }
    after.save(&change).await?;
    let by = Actor::of(caller);
    let action = "credential.secret_add";
    note(&change, core, &by, action, Some(&before), Some(&after)).await?;
    change.commit().await?;
    Ok(CredentialRevealed {
        credential: after.to_wire(core.clock.now_ms())?,
        secret: fresh.reveal(),
    })
}

/// Makes the second secret the primary one; the other stays valid.
///
/// # Errors
/// 404, 409 when there is no second one.
pub async fn promote(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<Credential> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    before.must_live()?;
    if before.secrets.len() != 2 {
        return Err(no_second());
    }
    let mut after = before.touched(change.now);
    for secret in &mut after.secrets {
        secret.is_primary = !secret.is_primary;
        // The one that clients are to use has no end.
        if secret.is_primary {
            secret.retire_at = None;
        }
    }
    after.save(&change).await?;
    let by = Actor::of(caller);
    let action = "credential.promote";
    note(&change, core, &by, action, Some(&before), Some(&after)).await?;
    change.commit().await?;
    after.to_wire(core.clock.now_ms())
}

/// Ends one of two secrets, now or at a time. When the primary one goes, the other takes its place.
///
/// # Errors
/// 404, 409 when there is no second one, 422 for a date in the past.
pub async fn retire(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    wanted: RetireCredentialSecret,
) -> ApiResult<Credential> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    before.must_live()?;
    if before.secrets.len() != 2 {
        return Err(no_second());
    }
    let is_primary = wanted.slot == SecretSlot::Primary;
    let end = match wanted.at {
        None => Some(change.now),
        Some(given) => given.map(|at| at.timestamp_millis()),
    };
    if wanted.at.is_some() && end.is_some_and(|end| end <= change.now) {
        return Err(ApiError::invalid(
            "at",
            "in_the_past",
            "The date lies in the past; leave it out for now.",
        ));
    }
    let mut after = before.touched(change.now);
    for secret in &mut after.secrets {
        if secret.is_primary == is_primary {
            secret.retire_at = end;
        } else if end.is_some() {
            // One stays, whatever was planned before.
            secret.retire_at = None;
        }
    }
    after.end_due(change.now);
    after.save(&change).await?;
    let by = Actor::of(caller);
    let action = "credential.retire";
    note(&change, core, &by, action, Some(&before), Some(&after)).await?;
    change.commit().await?;
    after.to_wire(core.clock.now_ms())
}

fn no_second() -> ApiError {
    ApiError::new(Code::Conflict)
        .detail("It has one live secret only. Add a second one first, or revoke the credential.")
}

impl Held {
    /// The same at its next revision.
    fn touched(&self, now: i64) -> Self {
        let mut next = self.clone();
        next.row.revision += 1;
        next.row.updated_at = now;
        next
    }

    /// Takes away what has ended; the last one stays, and is primary.
    fn end_due(&mut self, now: i64) {
        if self.secrets.len() > 1 {
            self.secrets
                .retain(|secret| secret.retire_at.is_none_or(|end| now < end));
        }
        if let [only] = self.secrets.as_mut_slice() {
            only.is_primary = true;
            only.retire_at = None;
        }
        self.secrets.sort_by_key(|secret| !secret.is_primary);
    }

    /// Writes the row and its secrets, and sets the timer of the next end.
    async fn save(&mut self, change: &Change<'_>) -> ApiResult<()> {
        self.secrets.sort_by_key(|secret| !secret.is_primary);
        if let Some(primary) = self.secrets.first() {
            self.row.secret_hash.clone_from(&primary.hash);
        }
        save(change, self).await?;
        for slot in 0..=1 {
            match self.secrets.iter().find(|secret| secret.slot == slot) {
                Some(secret) => {
                    let mut row = secret.clone().into_active_model().reset_all();
                    row.not_set(credential_secret::Column::LastUsedAt);
                    row.not_set(credential_secret::Column::LastUsedAddr);
                    credential_secret::Entity::update(row)
                        .exec(&change.txn)
                        .await?;
                }
                None => {
                    credential_secret::Entity::delete_many()
                        .filter(credential_secret::Column::CredentialId.eq(self.row.id))
                        .filter(credential_secret::Column::Slot.eq(slot))
                        .exec(&change.txn)
                        .await?;
                    sealed::remove_slot(change, Owner::credential(self.row.id), slot).await?;
                }
            }
        }
        let key = self.row.id.to_string();
        match self.secrets.iter().filter_map(|s| s.retire_at).min() {
            Some(end) => schedule::set(&change.txn, KIND, &key, end).await?,
            None => schedule::cancel(&change.txn, KIND, &key).await?,
        }
        Ok(())
    }
}

/// Takes the timer of a credential away.
pub(super) async fn cancel_timer(change: &Change<'_>, id: Uuid) -> ApiResult<()> {
    Ok(schedule::cancel(&change.txn, KIND, &id.to_string()).await?)
}

/// Tidies up after secrets whose date has come.
#[derive(Clone, Copy, Debug)]
pub struct Retirement;

#[async_trait::async_trait]
impl Task for Retirement {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let Ok(id) = due.key.parse::<Uuid>() else {
            return Ok(Next::Done);
        };
        let Some(row) = credential::Entity::find_by_id(id)
            .one(core.db.read())
            .await?
        else {
            return Ok(Next::Done);
        };
        let scope = Scope::granted(row.workspace_id);
        end_of(core, scope, id)
            .await
            .map_err(|error| DbErr::Custom(error.to_string()))
    }
}

async fn end_of(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Next> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, scope, id).await?;
    let ends = before.secrets.iter().filter_map(|s| s.retire_at).min();
    match ends {
        None => return Ok(Next::Done),
        Some(end) if change.now < end => return Ok(Next::At(end)),
        Some(_) => {}
    }
    let mut after = before.touched(change.now);
    after.end_due(change.now);
    after.save(&change).await?;
    let by = Actor::system("rotation");
    let action = "credential.retire";
    note(&change, core, &by, action, Some(&before), Some(&after)).await?;
    change.commit().await?;
    Ok(Next::Done)
}
