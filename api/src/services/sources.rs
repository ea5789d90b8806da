//! Sources: where events come from.

mod samples;
mod write;

use std::collections::{HashMap, HashSet};

use engine::model::MatchMode;
use entity::{event, refusal, source, workspace};
use openapi::page::Page;
use openapi::sources::{Refusal, Source};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::cursor::Window;
use super::sealed;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

pub use samples::{SAMPLES, sample};
pub use write::{change, create, delete, rotate_secret};

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
    let with_secret: HashSet<Uuid> = sealed::names(core, scope, "source")
        .await?
        .into_iter()
        .map(|(owner, _)| owner)
        .collect();
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
    rows.into_iter()
        .map(|row| {
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
                auth: stored("source.auth", &row.auth)?,
                has_secret: with_secret.contains(&row.id),
                allow_cidrs: stored("source.allow_cidrs", &row.allow_cidrs)?,
                rate_per_minute: row.rate_per_minute.and_then(|n| u32::try_from(n).ok()),
                body_limit: row.body_limit.and_then(|n| u32::try_from(n).ok()),
                retention_days: row.retention_days.and_then(|n| u32::try_from(n).ok()),
                match_mode: match_mode(&row.match_mode),
                on_no_match: stored("source.on_no_match", &row.on_no_match)?,
                event_id_path: row.event_id_path,
                last_event_at: last.get(&row.id).copied().flatten().map(from_ms),
                revision: row.revision,
                created_at: from_ms(row.created_at),
                updated_at: from_ms(row.updated_at),
            })
        })
        .collect()
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
