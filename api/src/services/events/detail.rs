//! One event with all that became of it.

use entity::{delivery, event};
use openapi::events::EventDetail;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::ingest;
use crate::mask;
use crate::scope::Scope;
use crate::services::sources::stored;
use crate::services::{deliveries, names};

/// The trace of an event: from the request to the upstream records.
///
/// # Errors
/// 404.
pub async fn detail(core: &Core, scope: Scope, id: Uuid) -> ApiResult<EventDetail> {
    let row = find(core, scope, id).await?;
    let slugs = names::sources(core.db.read(), scope).await?;
    let rows = delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::EventId.eq(id))
        // Messages about it are no part of its way.
        .filter(delivery::Column::Operation.ne(crate::lifecycle::MESSAGE))
        .order_by_asc(delivery::Column::Id)
        .all(core.db.read())
        .await?;
    let payload = ingest::parse_payload(&row.method, &row.content_type, &row.query, &row.body);
    let headers: Vec<(String, String)> = stored("event.headers", &row.headers)?;
    let line = (
        row.id,
        row.source_id,
        row.received_at,
        row.correlation_id,
        row.disposition,
        row.reason,
        row.matched,
        row.title,
        i64::try_from(row.body.len()).unwrap_or(i64::MAX),
        row.test,
    );
    Ok(EventDetail {
        summary: super::summary(line, &slugs)?,
        method: row.method,
        query: mask::query(&row.query),
        content_type: row.content_type,
        remote_addr: row.remote_addr,
        idempotency_key: row.idempotency_key,
        headers: mask::headers(headers),
        payload: payload.ok().map(mask::value),
        deliveries: deliveries::with_attempts(core, scope, rows).await?,
    })
}

/// The bytes as they were received.
///
/// # Errors
/// 404.
pub async fn body(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Vec<u8>> {
    Ok(find(core, scope, id).await?.body)
}

pub(in crate::services) async fn find(
    core: &Core,
    scope: Scope,
    id: Uuid,
) -> ApiResult<event::Model> {
    event::Entity::find_by_id(id)
        .filter(event::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?
        .ok_or_else(ApiError::not_found)
}
