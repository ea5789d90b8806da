//! What wants the attention of whoever looks at the console.

use entity::{connection, source, source_silence};
use openapi::notices::Notice;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use super::{credentials, maintenance};
use crate::auth::{Caller, Permission};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::scope::Scope;

/// Everything that wants attention now, the worst first.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, caller: &Caller) -> ApiResult<Vec<Notice>> {
    let scope = caller.scope;
    let mut notices = connections(core, scope).await?;
    notices.extend(sources(core, scope).await?);
    if core.redis.answers().await == Some(false) {
        notices.push(Notice {
            kind: "redis".to_owned(),
            colour: "red".to_owned(),
            id: None,
            name: "Redis".to_owned(),
            text: "Redis does not answer: limits are counted on each server by itself, and signed \
                   calls are refused."
                .to_owned(),
            since: None,
        });
    }
    notices.extend(rotations(core, scope).await?);
    if caller.permissions.contains(&Permission::CredentialsRead) {
        notices.extend(credentials::notices(core, scope).await?);
    }
    notices.extend(maintenance_now(core, scope).await?);
    Ok(notices)
}

async fn connections(core: &Core, scope: Scope) -> ApiResult<Vec<Notice>> {
    let rows = connection::Entity::find()
        .filter(connection::Column::WorkspaceId.eq(scope.workspace()))
        .filter(in_trouble())
        .order_by_asc(connection::Column::Name)
        .all(core.db.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Notice {
            kind: "connection".to_owned(),
            colour: "red".to_owned(),
            id: Some(row.id),
            text: row
                .state_reason
                .filter(|reason| !reason.is_empty())
                .unwrap_or_else(|| "The upstream refuses its credentials.".to_owned()),
            name: row.name,
            since: Some(from_ms(row.state_at)),
        })
        .collect())
}

/// Those that need attention, and those that were switched off for a reason.
fn in_trouble() -> Condition {
    let (enabled, state) = (connection::Column::Enabled, connection::Column::State);
    let attention = Condition::all().add(enabled.eq(true)).add(state.ne("ok"));
    let off = Condition::all()
        .add(enabled.eq(false))
        .add(state.eq("ok"))
        .add(connection::Column::StateReason.is_not_null());
    Condition::any().add(attention).add(off)
}

/// Whether the server switched a connection off: only then is there a reason for it.
pub(super) fn off_by_server(row: &connection::Model) -> bool {
    !row.enabled && row.state == "ok" && row.state_reason.is_some()
}

/// Sources whose silence has raised its alert.
pub(super) async fn sources(core: &Core, scope: Scope) -> ApiResult<Vec<Notice>> {
    let rows = source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .filter(source::Column::SilentAfter.is_not_null())
        .order_by_asc(source::Column::Name)
        .all(core.db.read())
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let silent = source_silence::Entity::find()
        .filter(source_silence::Column::SourceId.is_in(rows.iter().map(|row| row.id)))
        .all(core.db.read())
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let silence = silent.iter().find(|s| s.source_id == row.id)?;
            Some(Notice {
                kind: "source".to_owned(),
                colour: "red".to_owned(),
                id: Some(row.id),
                name: row.name,
                text: "Nothing comes from this source any more.".to_owned(),
                since: Some(from_ms(silence.since)),
            })
        })
        .collect())
}

/// Sources whose secret is to be replaced.
async fn rotations(core: &Core, scope: Scope) -> ApiResult<Vec<Notice>> {
    let now = core.clock.now_ms();
    let due = super::sources::due_soon(core, scope).await?;
    Ok(due
        .into_iter()
        .map(|(row, at)| {
            let word = if at <= now { "was" } else { "is" };
            let day = from_ms(at).format("%Y-%m-%d");
            Notice {
                kind: "source".to_owned(),
                colour: "amber".to_owned(),
                id: Some(row.id),
                name: row.name,
                text: format!(
                    "A new secret {word} due on {day}. Make one, and give it to the sender."
                ),
                since: None,
            }
        })
        .collect())
}

async fn maintenance_now(core: &Core, scope: Scope) -> ApiResult<Vec<Notice>> {
    let now = maintenance::now(core, scope).await?;
    let waiting = match now.waiting {
        0 => String::new(),
        1 => " One delivery waits.".to_owned(),
        n => format!(" {n} deliveries wait."),
    };
    let notice = |id, name: String, text: String| Notice {
        kind: "maintenance".to_owned(),
        colour: "amber".to_owned(),
        id,
        name,
        text: text + &waiting,
        since: None,
    };
    let switch = now.on.then(|| {
        let end = now.until.map_or_else(String::new, |end| {
            format!(" It goes off at {} UTC.", end.format("%Y-%m-%d %H:%M"))
        });
        let text = "Maintenance is switched on: events are taken, deliveries wait.";
        notice(None, "Maintenance".to_owned(), text.to_owned() + &end)
    });
    let windows = now.windows.into_iter().map(|window| {
        let text = match window.mode {
            openapi::maintenance::WindowMode::Queue => "The window is open: deliveries wait.",
            openapi::maintenance::WindowMode::Skip => {
                "The window is open: deliveries are discarded, closes wait."
            }
        };
        notice(Some(window.id), window.name, text.to_owned())
    });
    Ok(switch.into_iter().chain(windows).collect())
}
