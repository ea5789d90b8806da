//! Making, changing and deleting windows; turning the switch.
//!
//! Each change has what waits looked at soon: an early end lets it go.

use std::collections::BTreeSet;

use entity::{maintenance_switch, maintenance_window};
use openapi::maintenance::{
    ChangeMaintenance, ChangeMaintenanceWindow, Maintenance, MaintenanceWindow,
    NewMaintenanceWindow,
};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _};
use uuid::Uuid;

use super::{Names, find, get, members, mode};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::maintenance::look_soon;
use crate::scope::Scope;
use crate::services::audit::{self, Actor};
use crate::services::change::Change;
use crate::services::names;
use crate::services::sources::{store, stored};
use crate::services::validate::validate_window;

/// Makes a window.
///
/// # Errors
/// 409 for a taken name, 422 for faults.
pub async fn create(
    core: &Core,
    scope: Scope,
    by: &Actor,
    new: NewMaintenanceWindow,
) -> ApiResult<MaintenanceWindow> {
    let change = Change::begin(core).await?;
    let row = maintenance_window::Model {
        id: ids::new(&core.clock),
        workspace_id: scope.workspace(),
        name: String::new(),
        enabled: true,
        mode: String::new(),
        zone: String::new(),
        schedule: String::new(),
        scope: String::new(),
        members: String::new(),
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
    };
    let row = filled(&change, scope, row, new).await?;
    let id = row.id;
    note(&change, core, scope, by, (None, Some(&row))).await?;
    maintenance_window::Entity::insert(row.into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    look_soon(&change.txn, change.now).await?;
    change.commit().await?;
    get(core, scope, id).await
}

/// Changes a window that was read at a revision.
///
/// # Errors
/// 404, 409, 412, 422.
pub async fn change(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeMaintenanceWindow,
) -> ApiResult<MaintenanceWindow> {
    let change = Change::begin(core).await?;
    let row = find(&change.txn, scope, id).await?;
    revision.check(row.revision)?;
    let merged = merge(&change, scope, &row, wanted).await?;
    let before = row.clone();
    let row = maintenance_window::Model {
        revision: row.revision + 1,
        updated_at: change.now,
        ..row
    };
    let row = filled(&change, scope, row, merged).await?;
    note(&change, core, scope, by, (Some(&before), Some(&row))).await?;
    maintenance_window::Entity::update(row.into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    look_soon(&change.txn, change.now).await?;
    change.commit().await?;
    get(core, scope, id).await
}

/// Deletes a window. What waits for it goes on.
///
/// # Errors
/// 404, 412.
pub async fn delete(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<()> {
    let change = Change::begin(core).await?;
    let row = find(&change.txn, scope, id).await?;
    revision.check(row.revision)?;
    note(&change, core, scope, by, (Some(&row), None)).await?;
    maintenance_window::Entity::delete_by_id(id)
        .exec(&change.txn)
        .await?;
    look_soon(&change.txn, change.now).await?;
    change.commit().await
}

/// Turns the switch that was read at a revision.
///
/// # Errors
/// 412, 422.
pub async fn turn(
    core: &Core,
    scope: Scope,
    by: &Actor,
    revision: IfMatch,
    wanted: ChangeMaintenance,
) -> ApiResult<Maintenance> {
    let change = Change::begin(core).await?;
    let stored = maintenance_switch::Entity::find_by_id(scope.workspace())
        .one(&change.txn)
        .await?;
    revision.check(stored.as_ref().map_or(0, |row| row.revision))?;
    let was_on = stored
        .as_ref()
        .is_some_and(|row| row.active && row.until.is_none_or(|until| change.now < until));
    let on = wanted.on.unwrap_or(was_on);
    let until = match wanted.until {
        Some(until) => until.map(|at| at.timestamp_millis()),
        // An end belongs to the turn that it was given with.
        None if was_on => stored.as_ref().and_then(|row| row.until),
        None => None,
    };
    if wanted.until.is_some() && on && until.is_some_and(|until| until <= change.now) {
        return Err(ApiError::invalid(
            "until",
            "in_the_past",
            "The end lies in the past.",
        ));
    }
    let row = maintenance_switch::Model {
        workspace_id: scope.workspace(),
        active: on,
        until: until.filter(|_| on),
        revision: stored.as_ref().map_or(0, |row| row.revision) + 1,
        updated_at: change.now,
    };
    let act = (stored.as_ref(), Some(&row));
    let subject = (scope.workspace(), "switch");
    audit::note_row(&change.txn, &core.clock, scope, by, subject, act, &[]).await?;
    let active = row.into_active_model();
    if stored.is_some() {
        maintenance_switch::Entity::update(active.reset_all())
            .exec(&change.txn)
            .await?;
    } else {
        maintenance_switch::Entity::insert(active)
            .exec_without_returning(&change.txn)
            .await?;
    }
    look_soon(&change.txn, change.now).await?;
    change.commit().await?;
    super::now(core, scope).await
}

/// Writes the line of the audit log.
async fn note(
    change: &Change<'_>,
    core: &Core,
    scope: Scope,
    by: &Actor,
    rows: (
        Option<&maintenance_window::Model>,
        Option<&maintenance_window::Model>,
    ),
) -> ApiResult<()> {
    if let Some(row) = rows.1.or(rows.0) {
        let subject = (row.id, row.name.as_str());
        audit::note_row(&change.txn, &core.clock, scope, by, subject, rows, &[]).await?;
    }
    Ok(())
}

/// The window as it would be, with what was not named as it is.
async fn merge(
    change: &Change<'_>,
    scope: Scope,
    row: &maintenance_window::Model,
    wanted: ChangeMaintenanceWindow,
) -> ApiResult<NewMaintenanceWindow> {
    Ok(NewMaintenanceWindow {
        name: wanted.name.unwrap_or_else(|| row.name.clone()),
        enabled: wanted.enabled.unwrap_or(row.enabled),
        mode: wanted.mode.unwrap_or_else(|| mode(&row.mode)),
        zone: wanted.zone.unwrap_or_else(|| row.zone.clone()),
        schedule: match wanted.schedule {
            Some(schedule) => schedule,
            None => stored("maintenance_window.schedule", &row.schedule)?,
        },
        scope: match wanted.scope {
            Some(wanted) => wanted,
            None => Names::load(&change.txn, scope)
                .await?
                .scope(&row.scope, &members(row)?),
        },
    })
}

/// Checks, and puts what was written into the row.
async fn filled(
    change: &Change<'_>,
    scope: Scope,
    row: maintenance_window::Model,
    new: NewMaintenanceWindow,
) -> ApiResult<maintenance_window::Model> {
    let kinds = names::kinds(&change.txn, scope).await?;
    let sources = names::sources(&change.txn, scope).await?;
    let slugs: BTreeSet<String> = sources.into_values().collect();
    ApiError::refuse(validate_window(
        &new.name,
        &new.zone,
        &new.schedule,
        &new.scope,
        &slugs,
        &kinds,
    ))?;
    let (kind, members) = Names::load(&change.txn, scope).await?.members(&new.scope);
    Ok(maintenance_window::Model {
        name: new.name,
        enabled: new.enabled,
        mode: new.mode.word().to_owned(),
        zone: new.zone,
        schedule: store(&new.schedule)?,
        scope: kind.to_owned(),
        members: store(&members)?,
        ..row
    })
}
