//! Making, changing and deleting connections.

use std::collections::{BTreeMap, BTreeSet};

use engine::lane::OnFailure;
use entity::{breaker, connection, sealed_secret};
use openapi::connections::{ChangeConnection, Connection, ConnectionCreated, NewConnection};
use openapi::problem::Code;
use openapi::webhooks::NewSigningSecret;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::{get, usage};
use crate::connectors::webhook;
use crate::core::Core;
use crate::dispatch;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult, field_error};
use crate::ids;
use crate::scope::Scope;
use crate::secrets::Secret;
use crate::services::audit::{self, Actor};
use crate::services::change::Change;
use crate::services::quotas::{Counted, room_for};
use crate::services::sealed::{self, Owner};
use crate::services::sources::{store, stored};
use crate::services::validate::{ConnectionInput, validate_connection};

/// Longest secret.
const SECRET: usize = 16 * 1024;

/// Makes a connection. A secret that we choose and the caller did not bring is generated and shown
/// this once.
///
/// # Errors
/// 409 for a taken name, 422 for faults.
pub async fn create(
    core: &Core,
    scope: Scope,
    by: &Actor,
    mut new: NewConnection,
) -> ApiResult<ConnectionCreated> {
    let generated = core
        .registry
        .get(&new.connector)
        .and_then(|connector| connector.new_secret())
        .filter(|(name, _)| !new.secrets.contains_key(*name));
    if let Some((name, secret)) = &generated {
        new.secrets.insert((*name).to_owned(), secret.clone());
    }
    let names: Vec<&str> = new.secrets.keys().map(String::as_str).collect();
    check(core, &new, &names)?;
    let change = Change::begin(core).await?;
    room_for(&change.txn, scope, Counted::Connections).await?;
    let id = ids::new(&core.clock);
    let row = connection::Model {
        id,
        workspace_id: scope.workspace(),
        name: new.name,
        connector: new.connector,
        settings: store(&new.settings)?,
        allow_private: new.allow_private,
        enabled: new.enabled,
        concurrency: number(new.concurrency),
        rate_per_minute: number(new.rate_per_minute),
        retry: store(&new.retry)?,
        state: "ok".to_owned(),
        state_reason: None,
        state_at: change.now,
        failing_since: None,
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
        on_failure: new.on_failure.as_str().to_owned(),
        coalesce: new.coalesce,
        state_code: None,
    };
    connection::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    let names: Vec<&str> = new.secrets.keys().map(String::as_str).collect();
    note(core, &change, scope, by, (None, Some(&row)), &names).await?;
    for (name, secret) in new.secrets {
        put(core, &change, scope, id, &name, secret).await?;
    }
    change.commit().await?;
    Ok(ConnectionCreated {
        connection: get(core, scope, id).await?,
        generated: generated
            .into_iter()
            .map(|(name, secret)| (name.to_owned(), secret))
            .collect(),
    })
}

/// Changes a connection that was read at a revision. Rules follow a new name. New settings or
/// secrets are taken for the repair of one that needs attention: what waits is tried again.
///
/// # Errors
/// 404, 409, 412, 422.
pub async fn change(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeConnection,
) -> ApiResult<Connection> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    let repaired = wanted.settings.is_some() || wanted.secrets.is_some();
    let switched_on = wanted.enabled == Some(true) && !row.enabled;
    // Why it was switched off is over when a person switches it on.
    let stays = !switched_on || row.state != "ok";
    let secrets = wanted.secrets.clone().unwrap_or_default();
    let merged = merge(&row, wanted)?;
    let names = secrets_after(&change, id, &secrets).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(core, &merged, &names)?;
    if merged.name != row.name {
        let names = (row.name.as_str(), merged.name.as_str());
        usage::rename(core, &change, scope, by, names).await?;
    }
    let touched: Vec<String> = secrets.keys().cloned().collect();
    for (name, secret) in secrets {
        match secret {
            Some(secret) => put(core, &change, scope, id, &name, secret).await?,
            None => sealed::remove(&change, Owner::connection(id), Some(&name)).await?,
        }
    }
    let changed = connection::Model {
        name: merged.name,
        settings: store(&merged.settings)?,
        allow_private: merged.allow_private,
        enabled: merged.enabled,
        concurrency: number(merged.concurrency),
        rate_per_minute: number(merged.rate_per_minute),
        retry: store(&merged.retry)?,
        on_failure: merged.on_failure.as_str().to_owned(),
        coalesce: merged.coalesce,
        // Switched on by hand, it begins anew.
        failing_since: row.failing_since.filter(|_| !switched_on),
        state_reason: row.state_reason.clone().filter(|_| stays),
        state_code: row.state_code.clone().filter(|_| stays),
        state_at: if switched_on && row.state == "ok" {
            change.now
        } else {
            row.state_at
        },
        revision: row.revision + 1,
        updated_at: change.now,
        ..row.clone()
    };
    connection::Entity::update(changed.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
    let rows = (Some(&row), Some(&changed));
    note(core, &change, scope, by, rows, &touched).await?;
    change.commit().await?;
    if repaired {
        dispatch::resume(core, scope, id, None).await?;
        core.snapshots.refresh().await?;
    }
    core.dispatch.announce(id);
    get(core, scope, id).await
}

/// Puts a new signing secret beside the one that is there: messages are signed with both until the
/// old one is retired. The new one is shown this once.
///
/// # Errors
/// 404, 409 for a connection whose secrets are not ours to choose, 412.
pub async fn rotate_secret(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<NewSigningSecret> {
    let (view, connector) = super::view(core, scope, id)?;
    let Some((name, secret)) = connector.new_secret() else {
        return Err(not_ours());
    };
    let old = view.secrets.get(name).map(Secret::reveal);
    let both = webhook::rotated(&secret, old);
    let revision = replace(core, scope, by, (id, revision), (name, both)).await?;
    Ok(NewSigningSecret { secret, revision })
}

/// Ends the use of all signing secrets but the newest.
///
/// # Errors
/// As above.
pub async fn retire_secret(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<Connection> {
    let (view, connector) = super::view(core, scope, id)?;
    let newest = connector.new_secret().and_then(|(name, _)| {
        let all = view.secrets.get(name)?.reveal();
        Some((name, all.split_whitespace().next()?.to_owned()))
    });
    let Some((name, newest)) = newest else {
        return Err(not_ours());
    };
    replace(core, scope, by, (id, revision), (name, newest)).await?;
    get(core, scope, id).await
}

fn not_ours() -> ApiError {
    ApiError::new(Code::Conflict).detail("The secrets of this connector are not made here.")
}

/// Stores a secret in place of the one of this name; returns the new revision.
async fn replace(
    core: &Core,
    scope: Scope,
    by: &Actor,
    (id, revision): (Uuid, IfMatch),
    (name, secret): (&str, String),
) -> ApiResult<i64> {
    let change = Change::begin(core).await?;
    let row = find(&change, scope, id).await?;
    revision.check(row.revision)?;
    put(core, &change, scope, id, name, secret).await?;
    let next = row.revision + 1;
    let changed = connection::Model {
        revision: next,
        updated_at: change.now,
        ..row.clone()
    };
    connection::Entity::update(changed.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    let rows = (Some(&row), Some(&changed));
    note(core, &change, scope, by, rows, &[name]).await?;
    change.commit().await?;
    Ok(next)
}

/// Deletes a connection.
///
/// # Errors
/// 404, 409 while a rule, a source or an open delivery needs it, 412.
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
    let users = usage::users(&change, scope, &row.name).await?;
    if !users.is_empty() {
        let mut error = ApiError::new(Code::InUse)
            .detail("Rules or sources send to this connection; change or delete them first.");
        error.errors = users;
        return Err(error);
    }
    let waiting = usage::open(scope, id).count(&change.txn).await?;
    if waiting > 0 {
        return Err(ApiError::new(Code::InUse).detail(format!(
            "{waiting} deliveries to this connection are open; let them finish, or discard all that \
             wait (POST /api/v1/connections/{id}/discard-waiting)."
        )));
    }
    sealed::remove(&change, Owner::connection(id), None).await?;
    breaker::Entity::delete_by_id(id).exec(&change.txn).await?;
    connection::Entity::delete_by_id(id)
        .exec(&change.txn)
        .await?;
    note(core, &change, scope, by, (Some(&row), None), &[]).await?;
    change.commit().await
}

async fn note(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    by: &Actor,
    rows: (Option<&connection::Model>, Option<&connection::Model>),
    secrets: &[&str],
) -> ApiResult<()> {
    let Some(either) = rows.1.or(rows.0) else {
        return Ok(());
    };
    let subject = (either.id, either.name.as_str());
    audit::note_row(&change.txn, &core.clock, scope, by, subject, rows, secrets).await?;
    Ok(())
}

async fn find(change: &Change<'_>, scope: Scope, id: Uuid) -> ApiResult<connection::Model> {
    connection::Entity::find_by_id(id)
        .filter(connection::Column::WorkspaceId.eq(scope.workspace()))
        .one(&change.txn)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// The names of the secrets that will be stored.
async fn secrets_after(
    change: &Change<'_>,
    id: Uuid,
    wanted: &BTreeMap<String, Option<String>>,
) -> ApiResult<BTreeSet<String>> {
    let mut names: BTreeSet<String> = sealed_secret::Entity::find()
        .filter(sealed_secret::Column::OwnerKind.eq("connection"))
        .filter(sealed_secret::Column::OwnerId.eq(id))
        .all(&change.txn)
        .await?
        .into_iter()
        .map(|row| row.name)
        .collect();
    for (name, secret) in wanted {
        match secret {
            Some(_) => names.insert(name.clone()),
            None => names.remove(name),
        };
    }
    Ok(names)
}

/// The connection as it would be, with what was not named as it is; its secrets are the new ones.
fn merge(row: &connection::Model, wanted: ChangeConnection) -> ApiResult<NewConnection> {
    let unsigned = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
    Ok(NewConnection {
        name: wanted.name.unwrap_or_else(|| row.name.clone()),
        connector: row.connector.clone(),
        settings: match wanted.settings {
            Some(settings) => settings,
            None => stored("connection.settings", &row.settings)?,
        },
        secrets: wanted
            .secrets
            .into_iter()
            .flatten()
            .filter_map(|(name, secret)| Some((name, secret?)))
            .collect(),
        allow_private: wanted.allow_private.unwrap_or(row.allow_private),
        enabled: wanted.enabled.unwrap_or(row.enabled),
        concurrency: wanted
            .concurrency
            .unwrap_or_else(|| unsigned(row.concurrency)),
        rate_per_minute: wanted
            .rate_per_minute
            .unwrap_or_else(|| unsigned(row.rate_per_minute)),
        retry: match wanted.retry {
            Some(retry) => retry,
            None => stored("connection.retry", &row.retry)?,
        },
        on_failure: wanted
            .on_failure
            .unwrap_or_else(|| OnFailure::parse(&row.on_failure).unwrap_or_default()),
        coalesce: wanted.coalesce.unwrap_or(row.coalesce),
    })
}

fn check(core: &Core, connection: &NewConnection, secrets: &[&str]) -> ApiResult<()> {
    let mut faults = validate_connection(
        &core.registry,
        ConnectionInput {
            name: &connection.name,
            connector: &connection.connector,
            settings: &connection.settings,
            secrets,
            concurrency: connection.concurrency,
            rate_per_minute: connection.rate_per_minute,
            retry: &connection.retry,
        },
    );
    for (name, secret) in &connection.secrets {
        if secret.is_empty() || secret.len() > SECRET {
            faults.push(field_error(
                &format!("secrets.{name}"),
                "length",
                format!("1 to {SECRET} bytes are expected."),
            ));
        } else if let Some(connector) = core.registry.get(&connection.connector) {
            faults.extend(connector.validate_secret(name, secret));
        }
    }
    ApiError::refuse(faults)
}

async fn put(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    id: Uuid,
    name: &str,
    secret: String,
) -> ApiResult<()> {
    let secret = Secret::new(secret);
    sealed::put(core, change, scope, Owner::connection(id), name, &secret).await
}

fn number(n: Option<u32>) -> Option<i32> {
    n.and_then(|n| i32::try_from(n).ok())
}
