//! Names by id, for lists that show them.

use std::collections::HashMap;

use entity::{connection, source};
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::validate::Kinds;
use crate::http::problem::ApiResult;
use crate::scope::Scope;

/// What is shown for something that was deleted since.
pub const DELETED: &str = "(deleted)";

/// Which of these is meant by a filter, that names it or gives its id.
pub fn meant<'a>(
    known: impl IntoIterator<Item = (&'a Uuid, &'a String)>,
    wanted: &str,
) -> Option<Uuid> {
    known
        .into_iter()
        .find(|(id, name)| *name == wanted || id.to_string() == wanted)
        .map(|(id, _)| *id)
}

/// Name and connector of each connection of the workspace.
///
/// # Errors
/// The database failed.
pub async fn connections(
    db: &impl ConnectionTrait,
    scope: Scope,
) -> ApiResult<HashMap<Uuid, (String, String)>> {
    let rows = connection::Entity::find()
        .filter(connection::Column::WorkspaceId.eq(scope.workspace()))
        .all(db)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, (row.name, row.connector)))
        .collect())
}

/// The connector of each connection of the workspace, by the connection's name.
///
/// # Errors
/// The database failed.
pub async fn kinds(db: &impl ConnectionTrait, scope: Scope) -> ApiResult<Kinds> {
    Ok(connections(db, scope).await?.into_values().collect())
}

/// Slug of each source of the workspace.
///
/// # Errors
/// The database failed.
pub async fn sources(db: &impl ConnectionTrait, scope: Scope) -> ApiResult<HashMap<Uuid, String>> {
    let rows = source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.slug)).collect())
}
