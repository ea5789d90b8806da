//! Making, changing, revoking and deleting credentials.
//!
//! Nobody makes or widens a credential that may do more than they may themselves.

use entity::{credential, credential_secret};
use openapi::credentials::{
    ChangeCredential, Credential, CredentialKind, CredentialRevealed, NewCredential, Rotation,
};
use openapi::problem::{Code, FieldError};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};
use uuid::Uuid;

use super::secrets::{Fresh, cancel_timer, store};
use super::{DAY_MS, Held, find, note};
use crate::auth::{Caller, Permission, make_client_id};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::services::audit::Actor;
use crate::services::change::Change;
use crate::services::quotas::{Counted, room_for};
use crate::services::sealed::{self, Owner};
use crate::services::validate::{check_name, check_networks, error};

/// Days of the longest rotation.
const MOST_DAYS: u32 = 3_650;
/// Requests a minute of the highest rate.
const MOST_CALLS: i32 = 1_000_000;

/// Makes a credential and shows its secret, once.
///
/// # Errors
/// 403 for a scope that the caller lacks, 422 for faults.
pub async fn create(
    core: &Core,
    caller: &Caller,
    new: NewCredential,
) -> ApiResult<CredentialRevealed> {
    // Slow on purpose, so before the transaction; and only for what is worth it.
    let now = core.clock.now_ms();
    let mut row = credential::Model {
        id: ids::new(&core.clock),
        workspace_id: caller.scope.workspace(),
        client_id: make_client_id(),
        name: new.name,
        kind: new.kind.word().to_owned(),
        scopes: String::new(),
        secret_hash: String::new(),
        allow_cidrs: String::new(),
        enabled: true,
        created_at: now,
        expires_at: new.expires_at.map(|at| at.timestamp_millis()),
        last_used_at: None,
        legacy: new.legacy,
        revoked_at: None,
        revision: 1,
        updated_at: now,
        rotate_days: None,
        overlap_days: 7,
        last_used_addr: None,
        rate_per_minute: column(new.rate_per_minute),
    };
    let mut faults = Vec::new();
    fill_rotation(&mut row, new.rotation.as_ref(), &mut faults);
    fill_lists(&mut row, new.scopes, new.allow_cidrs, caller, &mut faults)?;
    check(&row, new.kind, now, true, &mut faults);
    ApiError::refuse(faults)?;
    let fresh = Fresh::make(new.kind, &row.client_id).await?;
    row.secret_hash.clone_from(&fresh.hash);

    let change = Change::begin(core).await?;
    room_for(&change.txn, caller.scope, Counted::Credentials).await?;
    credential::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    let secret = store(core, &change, &row, 0, true, &fresh).await?;
    let held = Held {
        row,
        secrets: vec![secret],
    };
    let by = Actor::of(caller);
    note(&change, core, &by, "credential.create", None, Some(&held)).await?;
    change.commit().await?;
    Ok(CredentialRevealed {
        credential: held.to_wire(core.clock.now_ms())?,
        secret: fresh.reveal(),
    })
}

/// Changes a credential that was read at a revision.
///
/// # Errors
/// 403 when it may do, or would, what the caller may not; 404, 409, 412, 422.
pub async fn change(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeCredential,
) -> ApiResult<Credential> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    revision.check(before.row.revision)?;
    before.must_live()?;
    before.must_be_within(caller)?;
    let mut row = credential::Model {
        revision: before.row.revision + 1,
        updated_at: change.now,
        ..before.row.clone()
    };
    row.name = wanted.name.unwrap_or(row.name);
    row.enabled = wanted.enabled.unwrap_or(row.enabled);
    row.legacy = wanted.legacy.unwrap_or(row.legacy);
    if let Some(end) = wanted.expires_at {
        row.expires_at = end.map(|at| at.timestamp_millis());
    }
    let mut faults = Vec::new();
    if let Some(rate) = wanted.rate_per_minute {
        row.rate_per_minute = column(rate);
    }
    if let Some(rotation) = &wanted.rotation {
        fill_rotation(&mut row, rotation.as_ref(), &mut faults);
    }
    let scopes = match wanted.scopes {
        Some(scopes) => scopes,
        None => before.scopes()?,
    };
    let networks = match wanted.allow_cidrs {
        Some(networks) => networks,
        None => before.networks()?,
    };
    fill_lists(&mut row, scopes, networks, caller, &mut faults)?;
    let new_end = wanted.expires_at.is_some();
    check(&row, before.kind(), change.now, new_end, &mut faults);
    ApiError::refuse(faults)?;
    let after = Held {
        row,
        secrets: before.secrets.clone(),
    };
    save(&change, &after).await?;
    let by = Actor::of(caller);
    let action = "credential.change";
    note(&change, core, &by, action, Some(&before), Some(&after)).await?;
    change.commit().await?;
    after.to_wire(core.clock.now_ms())
}

/// Refuses a credential for good and destroys its secrets. Done again, it changes nothing.
///
/// # Errors
/// 404.
pub async fn revoke(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<Credential> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    if before.row.revoked_at.is_some() {
        return before.to_wire(change.now);
    }
    let after = Held {
        row: credential::Model {
            enabled: false,
            revoked_at: Some(change.now),
            secret_hash: String::new(),
            revision: before.row.revision + 1,
            updated_at: change.now,
            ..before.row.clone()
        },
        secrets: Vec::new(),
    };
    save(&change, &after).await?;
    forget_secrets(&change, id).await?;
    let by = Actor::of(caller);
    let action = "credential.revoke";
    note(&change, core, &by, action, Some(&before), Some(&after)).await?;
    change.commit().await?;
    after.to_wire(core.clock.now_ms())
}

/// Takes a credential that may not be used any more off the list. The audit log keeps it.
///
/// # Errors
/// 404, 409 while it is not revoked, 412.
pub async fn delete(core: &Core, caller: &Caller, id: Uuid, revision: IfMatch) -> ApiResult<()> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    revision.check(before.row.revision)?;
    if before.row.revoked_at.is_none() {
        return Err(ApiError::new(Code::Conflict).detail("Revoke it first."));
    }
    forget_secrets(&change, id).await?;
    credential::Entity::delete_by_id(id)
        .exec(&change.txn)
        .await?;
    let by = Actor::of(caller);
    note(&change, core, &by, "credential.delete", Some(&before), None).await?;
    change.commit().await
}

async fn forget_secrets(change: &Change<'_>, id: Uuid) -> ApiResult<()> {
    credential_secret::Entity::delete_many()
        .filter(credential_secret::Column::CredentialId.eq(id))
        .exec(&change.txn)
        .await?;
    sealed::remove(change, Owner::credential(id), None).await?;
    cancel_timer(change, id).await
}

/// Writes the row, but not its last use, which is written beside.
pub(super) async fn save(change: &Change<'_>, held: &Held) -> ApiResult<()> {
    let mut row = held.row.clone().into_active_model().reset_all();
    row.not_set(credential::Column::LastUsedAt);
    row.not_set(credential::Column::LastUsedAddr);
    credential::Entity::update(row).exec(&change.txn).await?;
    Ok(())
}

impl Held {
    /// Refuses what cannot be done to a revoked credential.
    pub(super) fn must_live(&self) -> ApiResult<()> {
        if self.row.revoked_at.is_none() {
            return Ok(());
        }
        Err(ApiError::new(Code::Conflict).detail("The credential is revoked; make another."))
    }

    /// Refuses to widen, or to hand out secrets of, a credential that may do more than the caller.
    pub(super) fn must_be_within(&self, caller: &Caller) -> ApiResult<()> {
        let lacking = self.scopes()?.iter().any(|word| {
            Permission::parse(word).is_some_and(|scope| !caller.permissions.contains(&scope))
        });
        if lacking {
            return Err(ApiError::new(Code::ScopeMissing)
                .detail("The credential may do what you may not; you can only revoke it."));
        }
        Ok(())
    }
}

/// What is too large for the column is out of range too.
fn column(rate: Option<u32>) -> Option<i32> {
    rate.map(|n| i32::try_from(n).unwrap_or(i32::MAX))
}

fn fill_rotation(
    row: &mut credential::Model,
    rotation: Option<&Rotation>,
    faults: &mut Vec<FieldError>,
) {
    let Some(rotation) = rotation else {
        row.rotate_days = None;
        return;
    };
    if !(1..=MOST_DAYS).contains(&rotation.every_days) {
        let text = format!("1 to {MOST_DAYS} days");
        faults.push(error("rotation.every_days", "out_of_range", text));
    }
    if rotation.overlap_days > rotation.every_days {
        let text = "0 to `every_days` days";
        faults.push(error("rotation.overlap_days", "out_of_range", text));
    }
    row.rotate_days = i32::try_from(rotation.every_days).ok();
    row.overlap_days = i32::try_from(rotation.overlap_days).unwrap_or_default();
}

/// Scopes and networks, in their one order.
fn fill_lists(
    row: &mut credential::Model,
    scopes: Vec<String>,
    networks: Vec<String>,
    caller: &Caller,
    faults: &mut Vec<FieldError>,
) -> ApiResult<()> {
    let mut lacking = Vec::new();
    let mut known = Vec::new();
    for (n, word) in scopes.iter().enumerate() {
        let field = format!("scopes[{n}]");
        match Permission::parse(word) {
            None => faults.push(error(&field, "unknown_scope", "there is no such scope")),
            Some(scope) if !caller.permissions.contains(&scope) => {
                lacking.push(error(&field, "not_yours", "you do not have this scope"));
            }
            Some(scope) => known.push(scope),
        }
    }
    if !lacking.is_empty() {
        return Err(ApiError {
            errors: lacking,
            ..ApiError::new(Code::ScopeMissing)
                .detail("Nobody hands out a scope that they do not have.")
        });
    }
    if scopes.is_empty() {
        faults.push(error("scopes", "required", "at least one scope"));
    }
    check_networks(faults, "allow_cidrs", &networks);
    let mut words: Vec<&str> = known.iter().map(|scope| scope.word()).collect();
    words.sort_unstable();
    words.dedup();
    row.scopes = serde_json::to_string(&words)?;
    row.allow_cidrs = serde_json::to_string(&networks)?;
    Ok(())
}

fn check(
    row: &credential::Model,
    kind: CredentialKind,
    now: i64,
    new_end: bool,
    faults: &mut Vec<FieldError>,
) {
    check_name(faults, "name", &row.name, 100);
    if row
        .rate_per_minute
        .is_some_and(|n| !(1..=MOST_CALLS).contains(&n))
    {
        let text = format!("1 to {MOST_CALLS} requests a minute");
        faults.push(error("rate_per_minute", "out_of_range", text));
    }
    if kind == CredentialKind::Bearer {
        if row.allow_cidrs == "[]" {
            faults.push(error(
                "allow_cidrs",
                "required",
                "a bearer credential names its networks; 0.0.0.0/0 and ::/0 are any",
            ));
        }
        if row.legacy {
            let text = "only a credential that signs has a plain form";
            faults.push(error("legacy", "not_hmac", text));
        }
    }
    if new_end && row.expires_at.is_some_and(|end| end <= now) {
        faults.push(error("expires_at", "in_the_past", "lies in the past"));
    }
    if new_end
        && row
            .expires_at
            .is_some_and(|end| end - now > 100 * 366 * DAY_MS)
    {
        faults.push(error("expires_at", "out_of_range", "too far away"));
    }
}
