//! Sources: where events come from.

mod samples;
mod secret;
mod write;

use std::collections::HashMap;

use engine::model::MatchMode;
use engine::signature::Scheme;
use entity::{event, refusal, source, source_silence, workspace};
use openapi::page::Page;
use openapi::sources::{Heartbeat, Refusal, Source};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::cursor::Window;
use super::sealed::{self, HANDSHAKE_SECRET, SOURCE_SECRET};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

pub use samples::{SAMPLES, sample};
pub use secret::{OldSecrets, learn, retire, rotate};
pub use write::{change, create, delete};

/// All sources of the workspace, by name.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, scope: Scope) -> ApiResult<Vec<Source>> {
    let rows = source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(source::Column::Name)
        .all(core.db.read())
        .await?;
    to_wire(core, scope, rows).await
}

/// One source.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Source> {
    let row = source::Entity::find_by_id(id)
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?
        .ok_or_else(ApiError::not_found)?;
    to_wire(core, scope, vec![row])
        .await?
        .pop()
        .ok_or_else(ApiError::not_found)
}

/// Refused requests of a source, newest first.
///
/// # Errors
/// 404.
pub async fn refusals(
    core: &Core,
    scope: Scope,
    id: Uuid,
    window: Window,
) -> ApiResult<Page<Refusal>> {
    let known = source::Entity::find_by_id(id)
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?;
    if known.is_none() {
        return Err(ApiError::not_found());
    }
    let mut query = refusal::Entity::find()
        .filter(refusal::Column::WorkspaceId.eq(scope.workspace()))
        .filter(refusal::Column::SourceId.eq(id));
    if let Some(before) = window.before {
        query = query.filter(refusal::Column::Id.lt(before));
    }
    let rows = query
        .order_by_desc(refusal::Column::Id)
        .limit(window.limit + 1)
        .all(core.db.read())
        .await?;
    Ok(window.page(
        rows,
        |row| row.id,
        |row| Refusal {
            id: row.id,
            source_id: row.source_id,
            at: from_ms(row.at),
            status: u16::try_from(row.status).unwrap_or_default(),
            reason: row.reason,
            remote_addr: row.remote_addr,
            content_type: row.content_type,
            size: row.size,
        },
    ))
}

async fn to_wire(core: &Core, scope: Scope, rows: Vec<source::Model>) -> ApiResult<Vec<Source>> {
    let secrets = sealed::made(core, scope, "source").await?;
    let workspace = workspace::Entity::find_by_id(scope.workspace())
        .one(core.db.read())
        .await?
        .ok_or_else(ApiError::not_found)?;
    let mut last = HashMap::new();
    for row in &rows {
        let newest: Option<i64> = event::Entity::find()
            .select_only()
            .column(event::Column::ReceivedAt)
            .filter(event::Column::SourceId.eq(row.id))
            .order_by_desc(event::Column::Id)
            .limit(1)
            .into_tuple()
            .one(core.db.read())
            .await?;
        last.insert(row.id, newest);
    }
    let silent: HashMap<Uuid, i64> = source_silence::Entity::find()
        .filter(source_silence::Column::SourceId.is_in(rows.iter().map(|row| row.id)))
        .all(core.db.read())
        .await?
        .into_iter()
        .map(|row| (row.source_id, row.since))
        .collect();
    rows.into_iter()
        .map(|row| {
            let auth: Scheme = stored("source.auth", &row.auth)?;
            let made_at = |name: &str| {
                let own = secrets.iter().filter(|s| s.owner == row.id);
                own.filter(|s| s.name == name).map(|s| s.at).max()
            };
            let secret_at = made_at(SOURCE_SECRET);
            Ok(Source {
                id: row.id,
                url: format!(
                    "{}/hooks/{}/{}",
                    core.settings.public_url, workspace.slug, row.slug
                ),
                name: row.name,
                slug: row.slug,
                kind: row.kind,
                enabled: row.enabled,
                has_secret: secret_at.is_some(),
                awaits_handshake: matches!(auth, Scheme::Asana(_))
                    && made_at(HANDSHAKE_SECRET).is_none(),
                auth,
                rotation_due_at: rotation_due(row.rotate_days, secret_at).map(from_ms),
                rotate_days: row.rotate_days.and_then(|n| u32::try_from(n).ok()),
                old_secret_until: row.old_secret_until.map(from_ms),
                allow_cidrs: stored("source.allow_cidrs", &row.allow_cidrs)?,
                rate_per_minute: row.rate_per_minute.and_then(|n| u32::try_from(n).ok()),
                body_limit: row.body_limit.and_then(|n| u32::try_from(n).ok()),
                retention_days: row.retention_days.and_then(|n| u32::try_from(n).ok()),
                match_mode: match_mode(&row.match_mode),
                on_no_match: stored("source.on_no_match", &row.on_no_match)?,
                event_id_path: row.event_id_path,
                split: row
                    .split
                    .map(|text| stored("source.split", &text))
                    .transpose()?,
                heartbeat: heartbeat(row.silent_after),
                silent_since: silent.get(&row.id).copied().map(from_ms),
                last_event_at: last.get(&row.id).copied().flatten().map(from_ms),
                revision: row.revision,
                created_at: from_ms(row.created_at),
                updated_at: from_ms(row.updated_at),
            })
        })
        .collect()
}

const DAY_MS: i64 = 24 * 3600 * 1000;

/// When the secret is due to be replaced.
fn rotation_due(days: Option<i32>, secret_at: Option<i64>) -> Option<i64> {
    Some(secret_at? + i64::from(days?) * DAY_MS)
}

/// Sources whose secret is due to be replaced within a week, with the time.
///
/// # Errors
/// The database failed.
pub async fn due_soon(core: &Core, scope: Scope) -> ApiResult<Vec<(source::Model, i64)>> {
    let rows = source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .filter(source::Column::RotateDays.is_not_null())
        .order_by_asc(source::Column::Name)
        .all(core.db.read())
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let secrets = sealed::made(core, scope, "source").await?;
    let soon = core.clock.now_ms() + 7 * DAY_MS;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let own = secrets
                .iter()
                .filter(|s| s.owner == row.id && s.name == SOURCE_SECRET);
            let due = rotation_due(row.rotate_days, own.map(|s| s.at).max())?;
            (due <= soon).then_some((row, due))
        })
        .collect())
}

/// The heartbeat of a column.
pub fn heartbeat(silent_after: Option<i64>) -> Option<Heartbeat> {
    let after = silent_after.and_then(|seconds| u32::try_from(seconds).ok())?;
    Some(Heartbeat { after })
}

/// The word of a match mode in the database.
pub const fn match_word(mode: MatchMode) -> &'static str {
    match mode {
        MatchMode::First => "first",
        MatchMode::All => "all",
    }
}

/// The match mode of a word in the database.
pub fn match_mode(word: &str) -> MatchMode {
    if word == "all" {
        MatchMode::All
    } else {
        MatchMode::First
    }
}

/// Reads a JSON column of ours.
pub(super) fn stored<T: DeserializeOwned>(what: &str, text: &str) -> ApiResult<T> {
    serde_json::from_str(text).map_err(|error| ApiError::internal(what, &error))
}

/// Writes a JSON column of ours.
pub(super) fn store<T: Serialize>(value: &T) -> ApiResult<String> {
    Ok(serde_json::to_string(value)?)
}
