//! What people do with lanes that a failure stopped: try the head again, replay the whole lane.
//!
//! Each act is a transaction under the lane's lock. A replay of a lane that is too long for one
//! transaction goes on in the next; until its last dead letter is replayed, what comes in meanwhile
//! joins the end of it, so the order holds.

use entity::delivery;
use openapi::deliveries::{ReplayedDelivery, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use serde_json::json;
use uuid::Uuid;

use super::actions::{changed, find, finish_replay, note, repeat, tell};
use super::audit::Actor;
use super::replay::lane_query;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::{UNDER_WAY, lock_lane, place_of};
use crate::scope::Scope;

/// Dead letters that one transaction takes.
const BATCH: u64 = 200;

/// Tries a delivery again now: the failed head of a lane that waits for a person, or one that waits
/// for its next attempt. The time within which it is given up begins anew. The failed head of a lane
/// that is being set aside waits for nobody: it is replayed with its lane afterwards.
///
/// # Errors
/// It is not there, or does not wait for that.
pub async fn retry(core: &Core, scope: Scope, by: &Actor, id: Uuid) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let row = find(&txn, scope, id).await?;
    let now = core.clock.now_ms();
    let stopped = Condition::all()
        .add(delivery::Column::State.eq(State::Parked.as_str()))
        .add(delivery::Column::LaneParked.eq(true))
        .add(delivery::Column::DueAt.ne(UNDER_WAY));
    let waits = Condition::any()
        .add(stopped)
        .add(delivery::Column::State.eq(State::Retrying.as_str()));
    let result = delivery::Entity::update_many()
        .col_expr(delivery::Column::State, Expr::val(State::Ready.as_str()))
        .col_expr(delivery::Column::LaneParked, Expr::val(false))
        .col_expr(delivery::Column::TriedAt, Expr::val(None::<i64>))
        .col_expr(delivery::Column::DueAt, Expr::val(now))
        .col_expr(delivery::Column::UpdatedAt, Expr::val(now))
        .filter(delivery::Column::Id.eq(id))
        .filter(delivery::Column::Behind.eq(false))
        .filter(waits)
        .exec(&txn)
        .await?;
    changed(result.rows_affected)?;
    let was = json!({ "state": row.state });
    note(core, &txn, by, "delivery.retry", &row, was).await?;
    txn.commit().await?;
    core.dispatch.announce(row.connection_id);
    tell(core, &row, State::Ready);
    Ok(())
}

/// Replays every dead letter of a lane that was set aside whole, oldest first. Returns the new
/// delivery of the one that was asked for, and how many were replayed.
///
/// # Errors
/// Another replay was faster, the lane is still being set aside, or the connection is gone; those that
/// were replayed before stay so.
pub async fn replay_lane(
    core: &Core,
    scope: Scope,
    by: &Actor,
    asked: &delivery::Model,
) -> ApiResult<ReplayedDelivery> {
    let Some(key) = &asked.lane else {
        return Err(ApiError::not_found());
    };
    let lane = (asked.connection_id, key.clone());
    let (mut of_asked, mut count) = (None, 0);
    let mut upto = None;
    loop {
        let txn = core.db.begin().await?;
        lock_lane(&txn, asked.connection_id, key).await?;
        let rows = lane_query(scope, &lane).limit(BATCH).all(&txn).await?;
        // One that was replayed here and failed again has its place, and is not replayed for ever.
        let first = rows.first().and_then(place_of);
        if first.is_none() || first <= upto {
            let delivery_id =
                of_asked.ok_or_else(|| changed(0).err().unwrap_or_else(ApiError::not_found))?;
            return Ok(ReplayedDelivery { delivery_id, count });
        }
        let mut made = Vec::with_capacity(rows.len());
        for row in rows {
            let new = repeat(core, &txn, &row).await?;
            if row.id == asked.id {
                of_asked = Some(new.id);
            }
            upto = place_of(&row);
            count += 1;
            let after = json!({ "delivery_id": new.id });
            note(core, &txn, by, "delivery.replay", &row, after).await?;
            made.push((row, new));
        }
        finish_replay(core, txn, made).await?;
    }
}
