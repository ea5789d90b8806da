//! What waits for a connection, and when it is tried next.
//!
//! Every count reads the index of open deliveries, never the table.

use entity::delivery;
use openapi::connections::{NextAttempt, ParkedCause, Waiting};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::find;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::journal::{OPEN_STATES, UNDER_WAY, open_states};
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
            // A lane that is being set aside waits for nobody.
            .add(delivery::Column::DueAt.ne(UNDER_WAY))
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
        parked_causes: causes(core, &open).await?,
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

/// Why lanes wait for a person. Those that are being set aside do not.
async fn causes(core: &Core, open: &Condition) -> ApiResult<Vec<ParkedCause>> {
    let rows: Vec<(Option<String>, i64)> = delivery::Entity::find()
        .filter(open.clone())
        .filter(delivery::Column::State.eq("parked"))
        .filter(delivery::Column::DueAt.ne(UNDER_WAY))
        .filter(delivery::Column::LaneParked.eq(true))
        .filter(delivery::Column::Behind.eq(false))
        .select_only()
        .column(delivery::Column::ErrorCode)
        .column_as(delivery::Column::Id.count(), "count")
        .group_by(delivery::Column::ErrorCode)
        .into_tuple()
        .all(core.db.read())
        .await?;
    let mut causes: Vec<ParkedCause> = rows
        .into_iter()
        .map(|(code, count)| ParkedCause {
            error_code: code.unwrap_or_default(),
            count,
        })
        .collect();
    causes.sort_by(|a, b| (b.count, &a.error_code).cmp(&(a.count, &b.error_code)));
    Ok(causes)
}
