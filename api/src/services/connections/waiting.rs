//! What waits for a connection, and when it is tried next.
//!
//! Every count reads the index of open deliveries, never the table.

use entity::delivery;
use openapi::connections::{NextAttempt, Waiting};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::find;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::journal::{OPEN_STATES, open_states};
use crate::scope::Scope;

/// How many of the next attempts are named.
const NAMED: u64 = 10;

/// What waits for a connection.
///
/// # Errors
/// 404.
pub async fn waiting(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Waiting> {
    find(core, scope, id).await?;
    let open = Condition::all()
        .add(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .add(delivery::Column::ConnectionId.eq(id))
        .add(open_states());
    let of = |condition: Condition| {
        delivery::Entity::find()
            .filter(open.clone())
            .filter(condition)
    };
    let count = async |states: &[&str], behind: bool| {
        let states = Condition::all()
            .add(delivery::Column::State.is_in(states.iter().copied()))
            .add(delivery::Column::Behind.eq(behind));
        let n = of(states).count(core.db.read()).await?;
        ApiResult::Ok(i64::try_from(n).unwrap_or(i64::MAX))
    };
    let oldest: Option<i64> = of(Condition::all())
        .select_only()
        .column_as(delivery::Column::CreatedAt.min(), "oldest")
        .into_tuple()
        .one(core.db.read())
        .await?
        .flatten();
    let next = of(Condition::all()
        .add(delivery::Column::State.eq("retrying"))
        .add(delivery::Column::Behind.eq(false)))
    .order_by_asc(delivery::Column::DueAt)
    .limit(NAMED)
    .all(core.db.read())
    .await?;
    Ok(Waiting {
        ready: count(&["ready", "leased"], false).await?,
        behind: count(&OPEN_STATES, true).await?,
        retrying: count(&["retrying"], false).await?,
        paused: count(&["paused"], false).await?,
        parked: count(&["parked"], false).await?,
        oldest_at: oldest.map(from_ms),
        next: next
            .into_iter()
            .map(|row| NextAttempt {
                delivery_id: row.id,
                key: row.lane,
                attempts: row.attempts,
                at: from_ms(row.due_at),
                error_code: row.error_code,
            })
            .collect(),
    })
}
