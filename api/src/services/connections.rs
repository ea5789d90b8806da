//! Connections: credentials and settings for upstreams.

mod discard;
mod sandbox;
mod upstream;
mod usage;
mod waiting;
mod write;

use engine::lane::OnFailure;
use entity::connection;
use openapi::connections::Connection;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::sealed;
use super::sources::stored;
use crate::clock::from_ms;
use crate::core::Core;
use crate::dispatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

pub use discard::{DiscardWaiting, discard_waiting};
pub use sandbox::records;
pub use upstream::{metadata, resume, test, view};
pub use usage::{open as open_query, operations_mut};
pub use waiting::waiting;
pub use write::{change, create, delete, retire_secret, rotate_secret};

/// All connections of the workspace, by name.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, scope: Scope) -> ApiResult<Vec<Connection>> {
    let rows = connection::Entity::find()
        .filter(connection::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(connection::Column::Name)
        .all(core.db.read())
        .await?;
    to_wire(core, scope, rows).await
}

/// One connection.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Connection> {
    let row = find(core, scope, id).await?;
    to_wire(core, scope, vec![row])
        .await?
        .pop()
        .ok_or_else(ApiError::not_found)
}

pub(super) async fn find(core: &Core, scope: Scope, id: Uuid) -> ApiResult<connection::Model> {
    connection::Entity::find_by_id(id)
        .filter(connection::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?
        .ok_or_else(ApiError::not_found)
}

async fn to_wire(
    core: &Core,
    scope: Scope,
    rows: Vec<connection::Model>,
) -> ApiResult<Vec<Connection>> {
    let secrets = sealed::names(core, scope, "connection").await?;
    let breakers = dispatch::breakers(core, scope).await?;
    let closed = dispatch::closed_breaker();
    rows.into_iter()
        .map(|row| {
            let unsigned = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
            Ok(Connection {
                secrets: secrets
                    .iter()
                    .filter(|(owner, _)| *owner == row.id)
                    .map(|(_, name)| name.clone())
                    .collect(),
                id: row.id,
                name: row.name,
                connector: row.connector,
                settings: stored("connection.settings", &row.settings)?,
                allow_private: row.allow_private,
                enabled: row.enabled,
                concurrency: unsigned(row.concurrency),
                rate_per_minute: unsigned(row.rate_per_minute),
                retry: stored("connection.retry", &row.retry)?,
                on_failure: OnFailure::parse(&row.on_failure).unwrap_or_default(),
                coalesce: row.coalesce,
                breaker: breakers.get(&row.id).unwrap_or(&closed).clone(),
                state: row.state,
                state_code: row.state_code,
                state_reason: row.state_reason,
                state_at: from_ms(row.state_at),
                failing_since: row.failing_since.map(from_ms),
                revision: row.revision,
                created_at: from_ms(row.created_at),
                updated_at: from_ms(row.updated_at),
            })
        })
        .collect()
}
