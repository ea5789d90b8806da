//! The secret of a source: making, replacing, and the time in which two are valid.
//!
//! Invariant: slot 0 holds the secret of today; slot 1, while it is there, the one before, until
//! `old_secret_until`. A timer takes it away then. If no server runs at that time, it goes with the
//! next look at the timers. Asana tells the secret it signs with in a handshake; that one lies under
//! a name of its own, and the source's own secret is the token of its address.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use engine::signature::{Scheme, SecretEncoding};
use entity::{sealed_secret, source};
use openapi::problem::Code;
use openapi::sources::{RotateSourceSecret, Source, SourceCreated};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::write::{find, note};
use super::{get, stored};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::schedule::{self, Due, Next, Task};
use crate::scope::Scope;
use crate::secrets::Secret;
use crate::services::audit::Actor;
use crate::services::change::Change;
use crate::services::sealed::{self, HANDSHAKE_SECRET, Owner, SOURCE_SECRET, place_of};

/// The kind of the timers of old secrets.
const KIND: &str = "source_secret";
/// How long the old secret stays valid unless somebody says otherwise, in seconds.
const OVERLAP: u32 = 24 * 3600;
/// Longest overlap: 31 days.
const LONGEST: u32 = 31 * 24 * 3600;

/// Generates a new secret, valid at once, and shows it this once. The old one stays valid beside it
/// for the overlap; one from before that ends now.
///
/// # Errors
/// 404, 409 for an open source, 412, 422 for too long an overlap.
pub async fn rotate(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
    wanted: RotateSourceSecret,
) -> ApiResult<SourceCreated> {
    let overlap = wanted.overlap_seconds.unwrap_or(OVERLAP);
    if overlap > LONGEST {
        return Err(ApiError::invalid(
            "overlap_seconds",
            "out_of_range",
            "At most 2678400 seconds (31 days) are expected.",
        ));
    }
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    let auth: Scheme = stored("source.auth", &row.auth)?;
    if auth.secret_key().is_none() {
        return Err(ApiError::new(Code::Conflict).detail("An open source has no secret."));
    }
    // The address of a handshake is used once; there is nothing to overlap.
    let overlap = if matches!(auth, Scheme::Asana(_)) {
        0
    } else {
        overlap
    };
    let old = if overlap > 0 {
        current(core, &change, id).await?
    } else {
        None
    };
    let new = generate(&auth);
    put(core, &change, scope, id, &new).await?;
    let mut until = None;
    if let Some(old) = old {
        let end = change.now + i64::from(overlap) * 1000;
        let place = (SOURCE_SECRET, 1);
        sealed::put_in(core, &change, scope, Owner::source(id), place, &old).await?;
        schedule::set(&change.txn, KIND, &id.to_string(), end).await?;
        until = Some(end);
    }
    touch(core, change, scope, by, row, (until, SOURCE_SECRET)).await?;
    Ok(SourceCreated {
        source: get(core, scope, id).await?,
        secret: Some(new),
    })
}

/// Ends the old secret now.
///
/// # Errors
/// 404, 409 when there is none, 412.
pub async fn retire(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<Source> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    if row.old_secret_until.is_none() {
        return Err(ApiError::new(Code::Conflict).detail("There is no old secret."));
    }
    forget_old(&change, id).await?;
    touch(core, change, scope, by, row, (None, SOURCE_SECRET)).await?;
    get(core, scope, id).await
}

/// Stores what the sender told in its handshake; false: it has told its secret before.
///
/// # Errors
/// The key ring or the database failed.
pub async fn learn(core: &Core, scope: Scope, id: Uuid, secret: &str) -> ApiResult<bool> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    let owner = Owner::source(id);
    if count(&change, id, HANDSHAKE_SECRET).await? > 0 {
        return Ok(false);
    }
    let secret = Secret::new(secret);
    sealed::put(core, &change, scope, owner, HANDSHAKE_SECRET, &secret).await?;
    let by = Actor::system("handshake");
    let until = row.old_secret_until;
    touch(core, change, scope, &by, row, (until, HANDSHAKE_SECRET)).await?;
    Ok(true)
}

/// Writes the row at its next revision, with what became of the old secret and the name of the one
/// that was written, and commits.
async fn touch(
    core: &Core,
    change: Change<'_>,
    scope: Scope,
    by: &Actor,
    row: source::Model,
    (old_secret_until, written): (Option<i64>, &str),
) -> ApiResult<()> {
    let changed = source::Model {
        old_secret_until,
        revision: row.revision + 1,
        updated_at: change.now,
        ..row.clone()
    };
    source::Entity::update(changed.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    let rows = (Some(&row), Some(&changed));
    note(core, &change, scope, by, rows, &[written]).await?;
    change.commit().await
}

/// 256 random bits in the form that the scheme reads.
pub(super) fn generate(auth: &Scheme) -> String {
    let bytes = ids::random::<32>();
    let coded = auth
        .hmac()
        .is_some_and(|scheme| scheme.secret_encoding == SecretEncoding::Base64);
    if coded {
        format!("whsec_{}", STANDARD.encode(bytes))
    } else {
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Stores the secret in place of every one that is there, told in a handshake or old.
pub(super) async fn put(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    id: Uuid,
    secret: &str,
) -> ApiResult<()> {
    let owner = Owner::source(id);
    forget_old(change, id).await?;
    sealed::remove(change, owner, Some(HANDSHAKE_SECRET)).await?;
    let secret = Secret::new(secret);
    sealed::put(core, change, scope, owner, SOURCE_SECRET, &secret).await
}

/// Removes all secrets.
pub(super) async fn remove(change: &Change<'_>, id: Uuid) -> ApiResult<()> {
    sealed::remove(change, Owner::source(id), None).await?;
    Ok(schedule::cancel(&change.txn, KIND, &id.to_string()).await?)
}

/// Whether it has a secret of its own.
pub(super) async fn has(change: &Change<'_>, id: Uuid) -> ApiResult<bool> {
    Ok(count(change, id, SOURCE_SECRET).await? > 0)
}

async fn count(change: &Change<'_>, id: Uuid, name: &str) -> ApiResult<u64> {
    Ok(sealed_secret::Entity::find()
        .filter(sealed_secret::Column::OwnerKind.eq("source"))
        .filter(sealed_secret::Column::OwnerId.eq(id))
        .filter(sealed_secret::Column::Name.eq(name))
        .count(&change.txn)
        .await?)
}

async fn forget_old(change: &Change<'_>, id: Uuid) -> ApiResult<()> {
    sealed::remove_slot(change, Owner::source(id), 1).await?;
    Ok(schedule::cancel(&change.txn, KIND, &id.to_string()).await?)
}

/// The secret of today, opened.
async fn current(core: &Core, change: &Change<'_>, id: Uuid) -> ApiResult<Option<Secret>> {
    let row = sealed_secret::Entity::find()
        .filter(sealed_secret::Column::OwnerKind.eq("source"))
        .filter(sealed_secret::Column::OwnerId.eq(id))
        .filter(sealed_secret::Column::Name.eq(SOURCE_SECRET))
        .filter(sealed_secret::Column::Slot.eq(0))
        .one(&change.txn)
        .await?;
    let opened = row.map(|row| core.keyring.open(&place_of(&row), &row.key_id, &row.sealed));
    Ok(opened.transpose()?)
}

/// Takes away old secrets whose time is over.
#[derive(Clone, Copy, Debug)]
pub struct OldSecrets;

#[async_trait::async_trait]
impl Task for OldSecrets {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let Ok(id) = due.key.parse::<Uuid>() else {
            return Ok(Next::Done);
        };
        end_of(core, id)
            .await
            .map_err(|error| DbErr::Custom(error.to_string()))
    }
}

async fn end_of(core: &Core, id: Uuid) -> ApiResult<Next> {
    let change = Change::begin(core).await?;
    let Some(row) = source::Entity::find_by_id(id).one(&change.txn).await? else {
        return Ok(Next::Done);
    };
    let Some(end) = row.old_secret_until else {
        return Ok(Next::Done);
    };
    if change.now < end {
        return Ok(Next::At(end));
    }
    sealed::remove_slot(&change, Owner::source(id), 1).await?;
    let scope = Scope::granted(row.workspace_id);
    touch(
        core,
        change,
        scope,
        &Actor::system("rotation"),
        row,
        (None, SOURCE_SECRET),
    )
    .await?;
    Ok(Next::Done)
}
