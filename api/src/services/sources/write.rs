//! Making, changing and deleting sources.

use entity::{rule, source};
use ipnet::IpNet;
use openapi::problem::Code;
use openapi::sources::{ChangeSource, NewSource, SourceCreated};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::{get, heartbeat, match_word, secret, store};
use crate::core::Core;
use crate::heartbeat as silence;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;
use crate::services::audit::{self, Actor};
use crate::services::change::Change;
use crate::services::names;
use crate::services::quotas::{Counted, room_for};
use crate::services::sealed::SOURCE_SECRET;
use crate::services::validate::{Kinds, SourceInput, validate_source, validate_source_secret};

/// Makes a source. A secret that the scheme needs and the caller did not bring is generated and
/// shown this once.
///
/// # Errors
/// 409 for a taken name or slug, 422 for faults.
pub async fn create(
    core: &Core,
    scope: Scope,
    by: &Actor,
    new: NewSource,
) -> ApiResult<SourceCreated> {
    let change = Change::begin(core).await?;
    room_for(&change.txn, scope, Counted::Sources).await?;
    let kinds = names::kinds(&change.txn, scope).await?;
    check(core, &kinds, &new)?;
    let generated = match (&new.secret, new.auth.secret_key()) {
        (Some(_), _) | (None, None) => None,
        (None, Some(_)) => Some(secret::generate(&new.auth)),
    };
    let id = ids::new(&core.clock);
    let row = source::Model {
        id,
        workspace_id: scope.workspace(),
        name: new.name,
        slug: new.slug,
        kind: "webhook".to_owned(),
        enabled: new.enabled,
        auth: store(&new.auth)?,
        allow_cidrs: networks(&new.allow_cidrs)?,
        rate_per_minute: number(new.rate_per_minute),
        body_limit: number(new.body_limit),
        retention_days: number(new.retention_days),
        match_mode: match_word(new.match_mode).to_owned(),
        on_no_match: store(&new.on_no_match)?,
        event_id_path: new.event_id_path,
        split: new.split.as_ref().map(store).transpose()?,
        silent_after: new.heartbeat.map(|h| i64::from(h.after)),
        heartbeat_since: new.heartbeat.map(|_| change.now),
        rotate_days: number(new.rotate_days),
        old_secret_until: None,
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
    };
    source::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    let given = new.secret.as_ref().or(generated.as_ref());
    if let Some(given) = given {
        secret::put(core, &change, scope, id, given).await?;
    }
    if new.heartbeat.is_some() {
        silence::look_soon(&change.txn, id, change.now).await?;
    }
    let rows = (None, Some(&row));
    note(core, &change, scope, by, rows, touched(given.is_some())).await?;
    change.commit().await?;
    Ok(SourceCreated {
        source: get(core, scope, id).await?,
        secret: generated,
    })
}

/// Changes a source that was read at a revision.
///
/// # Errors
/// 404, 409, 412, 422.
pub async fn change(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeSource,
) -> ApiResult<openapi::sources::Source> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    let merged = merge(&row, wanted)?;
    let kinds = names::kinds(&change.txn, scope).await?;
    check(core, &kinds, &merged)?;
    if merged.secret.is_none()
        && merged.auth.secret_key().is_some()
        && !secret::has(&change, id).await?
    {
        return Err(ApiError::invalid(
            "secret",
            "required",
            "This kind of authentication needs a secret.",
        ));
    }
    if merged.auth.secret_key().is_none() {
        secret::remove(&change, id).await?;
    } else if let Some(given) = &merged.secret {
        secret::put(core, &change, scope, id, given).await?;
    }
    // What is stored now has no other beside it.
    let replaced = merged.secret.is_some() || merged.auth.secret_key().is_none();
    let silent_after = merged.heartbeat.map(|h| i64::from(h.after));
    let beats_anew = silent_after != row.silent_after || merged.enabled != row.enabled;
    if beats_anew {
        silence::look_soon(&change.txn, id, change.now).await?;
    }
    let changed = source::Model {
        name: merged.name,
        slug: merged.slug,
        enabled: merged.enabled,
        auth: store(&merged.auth)?,
        allow_cidrs: networks(&merged.allow_cidrs)?,
        rate_per_minute: number(merged.rate_per_minute),
        body_limit: number(merged.body_limit),
        retention_days: number(merged.retention_days),
        match_mode: match_word(merged.match_mode).to_owned(),
        on_no_match: store(&merged.on_no_match)?,
        event_id_path: merged.event_id_path,
        split: merged.split.as_ref().map(store).transpose()?,
        silent_after,
        heartbeat_since: if beats_anew {
            silent_after.map(|_| change.now)
        } else {
            row.heartbeat_since
        },
        rotate_days: number(merged.rotate_days),
        old_secret_until: row.old_secret_until.filter(|_| !replaced),
        revision: row.revision + 1,
        updated_at: change.now,
        ..row.clone()
    };
    source::Entity::update(changed.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    let rows = (Some(&row), Some(&changed));
    note(
        core,
        &change,
        scope,
        by,
        rows,
        touched(merged.secret.is_some()),
    )
    .await?;
    change.commit().await?;
    get(core, scope, id).await
}

/// Deletes a source. Its events stay.
///
/// # Errors
/// 404, 409 while a rule listens to it, 412.
pub async fn delete(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<()> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    let rules = rule::Entity::find()
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .filter(rule::Column::SourceId.eq(id))
        .count(&change.txn)
        .await?;
    if rules > 0 {
        return Err(ApiError::new(Code::InUse).detail(format!(
            "{rules} rules listen to this source; change or delete them first."
        )));
    }
    secret::remove(&change, id).await?;
    silence::forget(&change.txn, id).await?;
    source::Entity::delete_by_id(id).exec(&change.txn).await?;
    note(core, &change, scope, by, (Some(&row), None), &[]).await?;
    change.commit().await
}

/// The name of a secret that was written, for the audit log.
const fn touched(secret: bool) -> &'static [&'static str] {
    if secret { &[SOURCE_SECRET] } else { &[] }
}

pub(super) async fn note(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    by: &Actor,
    rows: (Option<&source::Model>, Option<&source::Model>),
    secrets: &[&str],
) -> ApiResult<()> {
    let Some(either) = rows.1.or(rows.0) else {
        return Ok(());
    };
    let subject = (either.id, either.name.as_str());
    audit::note_row(&change.txn, &core.clock, scope, by, subject, rows, secrets).await?;
    Ok(())
}

pub(super) async fn find(change: &Change<'_>, scope: Scope, id: Uuid) -> ApiResult<source::Model> {
    source::Entity::find_by_id(id)
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .one(&change.txn)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// The source as it would be, with what was not named as it is.
fn merge(row: &source::Model, wanted: ChangeSource) -> ApiResult<NewSource> {
    let unsigned = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
    Ok(NewSource {
        name: wanted.name.unwrap_or_else(|| row.name.clone()),
        slug: wanted.slug.unwrap_or_else(|| row.slug.clone()),
        auth: match wanted.auth {
            Some(auth) => auth,
            None => super::stored("source.auth", &row.auth)?,
        },
        secret: wanted.secret,
        enabled: wanted.enabled.unwrap_or(row.enabled),
        allow_cidrs: match wanted.allow_cidrs {
            Some(networks) => networks,
            None => super::stored("source.allow_cidrs", &row.allow_cidrs)?,
        },
        rate_per_minute: wanted
            .rate_per_minute
            .unwrap_or_else(|| unsigned(row.rate_per_minute)),
        body_limit: wanted
            .body_limit
            .unwrap_or_else(|| unsigned(row.body_limit)),
        retention_days: wanted
            .retention_days
            .unwrap_or_else(|| unsigned(row.retention_days)),
        match_mode: wanted
            .match_mode
            .unwrap_or_else(|| super::match_mode(&row.match_mode)),
        on_no_match: match wanted.on_no_match {
            Some(policy) => policy,
            None => super::stored("source.on_no_match", &row.on_no_match)?,
        },
        event_id_path: wanted
            .event_id_path
            .unwrap_or_else(|| row.event_id_path.clone()),
        split: match wanted.split {
            Some(split) => split,
            None => row
                .split
                .as_deref()
                .map(|text| super::stored("source.split", text))
                .transpose()?,
        },
        heartbeat: wanted
            .heartbeat
            .unwrap_or_else(|| heartbeat(row.silent_after)),
        rotate_days: wanted
            .rotate_days
            .unwrap_or_else(|| unsigned(row.rotate_days)),
    })
}

fn check(core: &Core, kinds: &Kinds, source: &NewSource) -> ApiResult<()> {
    let mut faults = validate_source(
        &core.registry,
        kinds,
        SourceInput {
            name: &source.name,
            slug: &source.slug,
            auth: &source.auth,
            allow_cidrs: &source.allow_cidrs,
            rate_per_minute: source.rate_per_minute,
            body_limit: source.body_limit,
            retention_days: source.retention_days,
            on_no_match: &source.on_no_match,
            event_id_path: source.event_id_path.as_deref(),
            split: source.split.as_ref(),
            heartbeat: source.heartbeat,
            rotate_days: source.rotate_days,
        },
    );
    if let Some(secret) = &source.secret {
        faults.extend(validate_source_secret(&source.auth, secret));
    }
    ApiError::refuse(faults)
}

fn networks(texts: &[String]) -> ApiResult<String> {
    let all: Vec<IpNet> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    store(&all)
}

fn number(n: Option<u32>) -> Option<i32> {
    n.and_then(|n| i32::try_from(n).ok())
}
