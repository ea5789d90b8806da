//! Maintenance: windows and the switch.

mod write;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use engine::window::{Schedule, Window};
use entity::{maintenance_switch, maintenance_window};
use openapi::maintenance::{Maintenance, MaintenanceWindow, OpenWindow, WindowMode, WindowScope};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use super::names;
use super::sources::stored;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql;
use crate::scope::Scope;

pub use write::{change, create, delete, turn};

/// All windows of the workspace, by name.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, scope: Scope) -> ApiResult<Vec<MaintenanceWindow>> {
    let rows = maintenance_window::Entity::find()
        .filter(maintenance_window::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(maintenance_window::Column::Name)
        .all(core.db.read())
        .await?;
    to_wire(core, scope, rows).await
}

/// One window.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<MaintenanceWindow> {
    let row = find(core.db.read(), scope, id).await?;
    to_wire(core, scope, vec![row])
        .await?
        .pop()
        .ok_or_else(ApiError::not_found)
}

/// What holds now.
///
/// # Errors
/// The database failed.
pub async fn now(core: &Core, scope: Scope) -> ApiResult<Maintenance> {
    let now = core.clock.now_ms();
    let row = maintenance_switch::Entity::find_by_id(scope.workspace())
        .one(core.db.read())
        .await?;
    let on = row
        .as_ref()
        .is_some_and(|row| row.active && row.until.is_none_or(|until| now < until));
    let snapshot = core.snapshots.current();
    let windows = snapshot
        .workspace(scope.workspace())
        .into_iter()
        .flat_map(|workspace| workspace.maintenance.open(now))
        .map(|(window, until)| OpenWindow {
            id: window.id,
            name: window.name.clone(),
            mode: window.mode,
            until,
        })
        .collect();
    Ok(Maintenance {
        on,
        until: row
            .as_ref()
            .filter(|_| on)
            .and_then(|row| row.until)
            .map(from_ms),
        windows,
        waiting: waiting(core, scope).await?,
        revision: row.map_or(0, |row| row.revision),
    })
}

/// The state stands in the text, so that the index of open deliveries is used.
async fn waiting(core: &Core, scope: Scope) -> ApiResult<i64> {
    let query = "SELECT COUNT(*) AS n FROM connection c JOIN delivery d ON d.connection_id = c.id \
                 WHERE c.workspace_id = $1 AND d.state = 'windowed'";
    let rows = sql::rows(core.db.read(), query, vec![scope.workspace().into()]).await?;
    match rows.first() {
        Some(row) => Ok(row.try_get("", "n")?),
        None => Ok(0),
    }
}

async fn find(
    db: &impl ConnectionTrait,
    scope: Scope,
    id: Uuid,
) -> ApiResult<maintenance_window::Model> {
    maintenance_window::Entity::find_by_id(id)
        .filter(maintenance_window::Column::WorkspaceId.eq(scope.workspace()))
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)
}

async fn to_wire(
    core: &Core,
    scope: Scope,
    rows: Vec<maintenance_window::Model>,
) -> ApiResult<Vec<MaintenanceWindow>> {
    let names = Names::load(core.db.read(), scope).await?;
    let now = core.clock.now();
    rows.into_iter()
        .map(|row| {
            let schedule: Schedule = stored("maintenance_window.schedule", &row.schedule)?;
            let calendar = Calendar::of(&row, &schedule, now);
            Ok(MaintenanceWindow {
                id: row.id,
                enabled: row.enabled,
                mode: mode(&row.mode),
                scope: names.scope(&row.scope, &members(&row)?),
                name: row.name,
                zone: row.zone,
                schedule,
                open: calendar.open,
                open_until: calendar.until,
                next_opening: calendar.next,
                next_change_local: calendar.local,
                revision: row.revision,
                created_at: from_ms(row.created_at),
                updated_at: from_ms(row.updated_at),
            })
        })
        .collect()
}

fn members(row: &maintenance_window::Model) -> ApiResult<Vec<Uuid>> {
    stored("maintenance_window.members", &row.members)
}

/// A window's place in time; empty for one that is switched off or cannot be compiled any more.
#[derive(Default)]
struct Calendar {
    open: bool,
    until: Option<DateTime<Utc>>,
    next: Option<DateTime<Utc>>,
    local: Option<String>,
}

impl Calendar {
    fn of(row: &maintenance_window::Model, schedule: &Schedule, now: DateTime<Utc>) -> Self {
        let Some(window) = Window::compile(&row.zone, schedule)
            .ok()
            .filter(|_| row.enabled)
        else {
            return Self::default();
        };
        let phase = window.phase(now);
        let until = phase.until.filter(|_| phase.open);
        let next = window.next_opening(now);
        Self {
            open: phase.open,
            until,
            next,
            local: until.or(next).map(|at| window.local(at)),
        }
    }
}

/// The mode of a word in the database.
pub fn mode(word: &str) -> WindowMode {
    if word == WindowMode::Skip.word() {
        WindowMode::Skip
    } else {
        WindowMode::Queue
    }
}

/// What windows are about, by id and by name.
pub struct Names {
    sources: HashMap<Uuid, String>,
    connections: HashMap<Uuid, String>,
}

impl Names {
    async fn load(db: &impl ConnectionTrait, scope: Scope) -> ApiResult<Self> {
        let connections = names::connections(db, scope).await?;
        Ok(Self::of(
            names::sources(db, scope).await?,
            connections
                .into_iter()
                .map(|(id, (name, _))| (id, name))
                .collect(),
        ))
    }

    /// Slugs of the sources and names of the connections of a workspace.
    pub const fn of(sources: HashMap<Uuid, String>, connections: HashMap<Uuid, String>) -> Self {
        Self {
            sources,
            connections,
        }
    }

    /// What stands in the columns, by name. What was deleted since is left out.
    pub fn scope(&self, kind: &str, ids: &[Uuid]) -> WindowScope {
        let named = |all: &HashMap<Uuid, String>| {
            let mut names: Vec<String> = ids.iter().filter_map(|id| all.get(id).cloned()).collect();
            names.sort();
            names
        };
        match kind {
            "workspace" => WindowScope::Workspace,
            "sources" => WindowScope::Sources {
                sources: named(&self.sources),
            },
            _ => WindowScope::Connections {
                connections: named(&self.connections),
            },
        }
    }

    /// The form of the columns: the kind, and the ids of what is known by these names.
    pub fn members(&self, scope: &WindowScope) -> (&'static str, Vec<Uuid>) {
        let ids = |all: &HashMap<Uuid, String>, names: &[String]| {
            let mut ids: Vec<Uuid> = all
                .iter()
                .filter(|(_, name)| names.contains(name))
                .map(|(id, _)| *id)
                .collect();
            ids.sort();
            ids
        };
        match scope {
            WindowScope::Workspace => ("workspace", Vec::new()),
            WindowScope::Sources { sources } => ("sources", ids(&self.sources, sources)),
            WindowScope::Connections { connections } => {
                ("connections", ids(&self.connections, connections))
            }
        }
    }
}
