//! Making, changing and deleting sources.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use engine::signature::{Scheme, SecretEncoding};
use entity::{rule, sealed_secret, source};
use ipnet::IpNet;
use openapi::problem::Code;
use openapi::sources::{ChangeSource, NewSource, SourceCreated};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::{get, match_word, store};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;
use crate::secrets::Secret;
use crate::services::change::Change;
use crate::services::names;
use crate::services::sealed::{self, Owner, SOURCE_SECRET};
use crate::services::validate::{Kinds, SourceInput, validate_source, validate_source_secret};

/// Makes a source. A secret that the scheme needs and the caller did not bring is generated and
/// shown this once.
///
/// # Errors
/// 409 for a taken name or slug, 422 for faults.
pub async fn create(core: &Core, scope: Scope, new: NewSource) -> ApiResult<SourceCreated> {
    let change = Change::begin(core).await?;
    let kinds = names::kinds(&change.txn, scope).await?;
    check(core, &kinds, &new)?;
    let generated = match (&new.secret, new.auth.secret_key()) {
        (Some(_), _) | (None, None) => None,
        (None, Some(_)) => Some(generate_secret(&new.auth)),
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
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
    };
    source::Entity::insert(row.into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    if let Some(secret) = new.secret.as_ref().or(generated.as_ref()) {
        put_secret(core, &change, scope, id, secret).await?;
    }
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
        && !has_secret(&change, id).await?
    {
        return Err(ApiError::invalid(
            "secret",
            "required",
            "This kind of authentication needs a secret.",
        ));
    }
    if merged.auth.secret_key().is_none() {
        sealed::remove(&change, Owner::source(id), None).await?;
    } else if let Some(secret) = &merged.secret {
        put_secret(core, &change, scope, id, secret).await?;
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
        revision: row.revision + 1,
        updated_at: change.now,
        ..row
    };
    source::Entity::update(changed.into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    change.commit().await?;
    get(core, scope, id).await
}

/// Generates a new secret, valid at once in place of the old one, and shows it this once.
///
/// # Errors
/// 404, 409 for an open source, 412.
pub async fn rotate_secret(
    core: &Core,
    scope: Scope,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<SourceCreated> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    let auth: Scheme = super::stored("source.auth", &row.auth)?;
    if auth.secret_key().is_none() {
        return Err(ApiError::new(Code::Conflict).detail("An open source has no secret."));
    }
    let secret = generate_secret(&auth);
    put_secret(core, &change, scope, id, &secret).await?;
    let changed = source::Model {
        revision: row.revision + 1,
        updated_at: change.now,
        ..row
    };
    source::Entity::update(changed.into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    change.commit().await?;
    Ok(SourceCreated {
        source: get(core, scope, id).await?,
        secret: Some(secret),
    })
}

/// Deletes a source. Its events stay.
///
/// # Errors
/// 404, 409 while a rule listens to it, 412.
pub async fn delete(core: &Core, scope: Scope, id: Uuid, revision: IfMatch) -> ApiResult<()> {
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
    sealed::remove(&change, Owner::source(id), None).await?;
    source::Entity::delete_by_id(id).exec(&change.txn).await?;
    change.commit().await
}

async fn find(change: &Change<'_>, scope: Scope, id: Uuid) -> ApiResult<source::Model> {
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
        },
    );
    if let Some(secret) = &source.secret {
        faults.extend(validate_source_secret(&source.auth, secret));
    }
    ApiError::refuse(faults)
}

fn is_base64(auth: &Scheme) -> bool {
    auth.hmac()
        .is_some_and(|scheme| scheme.secret_encoding == SecretEncoding::Base64)
}

/// 256 random bits in the form that the scheme reads.
fn generate_secret(auth: &Scheme) -> String {
    let bytes = ids::random::<32>();
    if is_base64(auth) {
        format!("whsec_{}", STANDARD.encode(bytes))
    } else {
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

async fn put_secret(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    id: Uuid,
    secret: &str,
) -> ApiResult<()> {
    let secret = Secret::new(secret);
    sealed::put(
        core,
        change,
        scope,
        Owner::source(id),
        SOURCE_SECRET,
        &secret,
    )
    .await
}

async fn has_secret(change: &Change<'_>, id: Uuid) -> ApiResult<bool> {
    Ok(sealed_secret::Entity::find()
        .filter(sealed_secret::Column::OwnerKind.eq("source"))
        .filter(sealed_secret::Column::OwnerId.eq(id))
        .count(&change.txn)
        .await?
        > 0)
}

fn networks(texts: &[String]) -> ApiResult<String> {
    let all: Vec<IpNet> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    store(&all)
}

fn number(n: Option<u32>) -> Option<i32> {
    n.and_then(|n| i32::try_from(n).ok())
}
