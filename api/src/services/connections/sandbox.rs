//! What the sandbox would have sent.

use entity::sandbox_record;
use openapi::connections::SandboxRecord;
use openapi::page::Page;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::find;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::scope::Scope;
use crate::services::cursor::Window;
use crate::services::sources::stored;

/// Records of a sandbox connection, newest first.
///
/// # Errors
/// 404.
pub async fn records(
    core: &Core,
    scope: Scope,
    id: Uuid,
    window: Window,
) -> ApiResult<Page<SandboxRecord>> {
    find(core, scope, id).await?;
    let mut query = sandbox_record::Entity::find()
        .filter(sandbox_record::Column::WorkspaceId.eq(scope.workspace()))
        .filter(sandbox_record::Column::ConnectionId.eq(id));
    if let Some(before) = window.before {
        query = query.filter(sandbox_record::Column::Id.lt(before));
    }
    let rows = query
        .order_by_desc(sandbox_record::Column::Id)
        .limit(window.limit + 1)
        .all(core.db.read())
        .await?;
    let page = window.page(rows, |row| row.id, to_wire);
    Ok(Page {
        items: page.items.into_iter().collect::<ApiResult<_>>()?,
        next_cursor: page.next_cursor,
    })
}

fn to_wire(row: sandbox_record::Model) -> ApiResult<SandboxRecord> {
    Ok(SandboxRecord {
        id: row.id,
        connection_id: row.connection_id,
        number: row.number,
        key: row.key,
        operation: row.operation,
        state: row.state,
        title: row.title,
        fields: stored("sandbox_record.fields", &row.fields)?,
        notes: stored("sandbox_record.notes", &row.notes)?,
        created_at: from_ms(row.created_at),
        updated_at: from_ms(row.updated_at),
    })
}
