//! What people do with deliveries: release, edit, discard, replay.
//!
//! Each act is one transaction that checks the state it starts from, so that of two people one
//! wins and the other is told. The lane moves on in the same transaction.

use entity::delivery;
use openapi::deliveries::State;
use openapi::problem::Code;
use openapi::stream::{DeliveryMessage, Message};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QuerySelect as _,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::from_ms;
use crate::core::Core;
use crate::db::Transaction;
use crate::dispatch::Placement;
use crate::http::problem::{ApiError, ApiResult, field_error};
use crate::journal::{OPEN_STATES, lock_lane, release_next, repeat_of};
use crate::mask;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::sources::stored;

/// Lets a held delivery go, with other fields if given.
///
/// # Errors
/// It is not there, or not held.
pub async fn release(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    fields: Option<Map<String, Value>>,
) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let mut row = find(&txn, scope, id).await?;
    let now = core.clock.now_ms();
    let mut change = delivery::Entity::update_many()
        .col_expr(delivery::Column::State, Expr::val(State::Ready.as_str()))
        .col_expr(delivery::Column::UpdatedAt, Expr::val(now))
        .filter(delivery::Column::Id.eq(id))
        .filter(delivery::Column::State.eq(State::Held.as_str()));
    if !row.behind {
        change = change.col_expr(delivery::Column::DueAt, Expr::val(now));
    }
    let edited = fields.is_some();
    if let Some(fields) = fields {
        row.fields = edited_fields(&row, fields)?;
        change = change.col_expr(delivery::Column::Fields, Expr::val(row.fields.clone()));
    }
    changed(change.exec(&txn).await?.rows_affected)?;
    let edited = json!({ "edited": edited });
    note(core, &txn, by, "delivery.release", &row, edited).await?;
    txn.commit().await?;
    core.dispatch.announce(row.connection_id);
    tell(core, &row, State::Ready);
    Ok(())
}

/// Gives a held delivery other fields; it stays held.
///
/// # Errors
/// It is not there, or not held.
pub async fn edit(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    fields: Map<String, Value>,
) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let row = find(&txn, scope, id).await?;
    let fields = edited_fields(&row, fields)?;
    let result = delivery::Entity::update_many()
        .col_expr(delivery::Column::Fields, Expr::val(fields))
        .col_expr(delivery::Column::UpdatedAt, Expr::val(core.clock.now_ms()))
        .filter(delivery::Column::Id.eq(id))
        .filter(delivery::Column::State.eq(State::Held.as_str()))
        .exec(&txn)
        .await?;
    changed(result.rows_affected)?;
    note(core, &txn, by, "delivery.edit", &row, Value::Null).await?;
    txn.commit().await?;
    tell(core, &row, State::Held);
    Ok(())
}

/// The fields of a delivery as somebody edited them, who was shown them masked.
fn edited_fields(row: &delivery::Model, edited: Map<String, Value>) -> ApiResult<String> {
    let fields = mask::put_back(edited, &stored("delivery.fields", &row.fields)?).map_err(|at| {
        let fault = |at: String| {
            let message = "The mask stands for a value that is not shown, and there is none here. Write the value itself, or leave it out.";
            field_error(&format!("fields.{at}"), "masked", message)
        };
        ApiError::faults(at.into_iter().map(fault).collect())
    })?;
    serde_json::to_string(&fields).map_err(|error| ApiError::internal("delivery.fields", &error))
}

/// Decides against a delivery that has not been done: one that waits, or a dead letter.
///
/// # Errors
/// It is not there, is final already, or is being worked on.
pub async fn discard(core: &Core, scope: Scope, by: &Actor, id: Uuid) -> ApiResult<()> {
    let txn = core.db.begin().await?;
    let row = find(&txn, scope, id).await?;
    if let Some(lane) = &row.lane {
        lock_lane(&txn, row.connection_id, lane).await?;
    }
    let now = core.clock.now_ms();
    let result = delivery::Entity::update_many()
        .col_expr(
            delivery::Column::State,
            Expr::val(State::Discarded.as_str()),
        )
        .col_expr(delivery::Column::UpdatedAt, Expr::val(now))
        .col_expr(delivery::Column::FinishedAt, Expr::val(Some(now)))
        .filter(delivery::Column::Id.eq(id))
        .filter(delivery::Column::State.is_in([
            "ready", "retrying", "windowed", "held", "paused", "parked", "dead",
        ]))
        .exec(&txn)
        .await?;
    changed(result.rows_affected)?;
    let was = json!({ "state": row.state });
    note(core, &txn, by, "delivery.discard", &row, was).await?;
    let next = move_on(core, &txn, &row, now).await?;
    commit(core, txn, next).await?;
    tell(core, &row, State::Discarded);
    Ok(())
}

/// Does a dead letter, a discarded delivery or a message to a subscriber again. The new delivery
/// carries the same message id, points back, and goes to the end of its lane. One that was set aside
/// with its lane is replayed with it.
///
/// # Errors
/// It is not there, was replayed before, or is in no state for that.
pub async fn replay(core: &Core, scope: Scope, by: &Actor, id: Uuid) -> ApiResult<Uuid> {
    let txn = core.db.begin().await?;
    let row = find(&txn, scope, id).await?;
    if row.lane_parked && row.state == State::Dead.as_str() {
        txn.rollback().await?;
        return super::lanes::replay_lane(core, scope, by, &row).await;
    }
    let (new, place) = repeat(core, &txn, &row).await?;
    let id = new.id;
    let made = json!({ "delivery_id": id });
    note(core, &txn, by, "delivery.replay", &row, made).await?;
    finish_replay(core, txn, vec![(row, new, place)]).await?;
    Ok(id)
}

pub(super) async fn find(txn: &Transaction, scope: Scope, id: Uuid) -> ApiResult<delivery::Model> {
    delivery::Entity::find_by_id(id)
        .one(txn)
        .await?
        .filter(|row| row.workspace_id == scope.workspace())
        .ok_or_else(ApiError::not_found)
}

pub(super) fn changed(rows: u64) -> ApiResult<()> {
    if rows == 0 {
        return Err(ApiError::new(Code::Conflict)
            .detail("The delivery is not in a state that allows this, or it changed meanwhile."));
    }
    Ok(())
}

/// Writes the repeat of a delivery; the old one is superseded.
pub(super) async fn repeat(
    core: &Core,
    txn: &Transaction,
    row: &delivery::Model,
) -> ApiResult<(delivery::Model, Placement)> {
    if let Some(lane) = &row.lane {
        lock_lane(txn, row.connection_id, lane).await?;
    }
    let now = core.clock.now_ms();
    let id = crate::ids::new(&core.clock);
    let result = delivery::Entity::update_many()
        .col_expr(
            delivery::Column::State,
            Expr::val(State::Superseded.as_str()),
        )
        .col_expr(delivery::Column::ReplayedAs, Expr::val(Some(id)))
        .col_expr(delivery::Column::UpdatedAt, Expr::val(now))
        .filter(delivery::Column::Id.eq(row.id))
        .filter(delivery::Column::State.is_in(repeatable(row).iter().copied()))
        .exec(txn)
        .await?;
    changed(result.rows_affected)?;
    if core
        .snapshots
        .current()
        .connection(row.connection_id)
        .is_none()
    {
        return Err(ApiError::new(Code::Conflict)
            .detail("The connection of this delivery is gone. Replay the event instead."));
    }
    let behind = occupied(txn, row).await?;
    let place = if core.dispatch.is_paused(row.connection_id) {
        Placement::Paused
    } else {
        Placement::Later
    };
    let state = if place == Placement::Paused && !behind {
        State::Paused
    } else {
        State::Ready
    };
    let new = delivery::Model {
        state: state.as_str().to_owned(),
        behind,
        due_at: if behind { i64::MAX } else { now },
        ..repeat_of(row, id, now)
    };
    delivery::Entity::insert(new.clone().into_active_model())
        .exec_without_returning(txn)
        .await?;
    Ok((new, place))
}

/// The states that can be repeated from. A subscriber may want to be told again what it took.
fn repeatable(row: &delivery::Model) -> &'static [&'static str] {
    if crate::lifecycle::is_message(row) {
        &["dead", "discarded", "delivered"]
    } else {
        &["dead", "discarded"]
    }
}

async fn occupied(txn: &impl ConnectionTrait, row: &delivery::Model) -> Result<bool, DbErr> {
    let Some(lane) = &row.lane else {
        return Ok(false);
    };
    Ok(delivery::Entity::find()
        .filter(delivery::Column::ConnectionId.eq(row.connection_id))
        .filter(delivery::Column::Lane.eq(lane))
        .filter(delivery::Column::State.is_in(OPEN_STATES))
        .limit(1)
        .one(txn)
        .await?
        .is_some())
}

pub(super) async fn finish_replay(
    core: &Core,
    txn: Transaction,
    made: Vec<(delivery::Model, delivery::Model, Placement)>,
) -> ApiResult<()> {
    txn.commit().await?;
    for (old, new, place) in made {
        if place == Placement::Later && !new.behind {
            core.dispatch.announce(new.connection_id);
        }
        tell(core, &old, State::Superseded);
        let state = State::parse(&new.state).unwrap_or(State::Ready);
        tell(core, &new, state);
    }
    Ok(())
}

/// Writes the line of the audit log. Fields are not in it: they may hold anything.
pub(super) async fn note(
    core: &Core,
    txn: &Transaction,
    by: &Actor,
    action: &'static str,
    row: &delivery::Model,
    after: Value,
) -> Result<(), DbErr> {
    let act = Act {
        action,
        kind: "delivery",
        id: Some(row.id),
        name: &row.operation,
        before: Value::Null,
        after,
    };
    let scope = Scope::granted(row.workspace_id);
    audit::note(txn, &core.clock, scope, by, act).await
}

/// Lets the lane of a delivery that ended move on.
async fn move_on(
    core: &Core,
    txn: &Transaction,
    row: &delivery::Model,
    now: i64,
) -> Result<Option<delivery::Model>, DbErr> {
    match &row.lane {
        // The end of a dead letter changes nothing: its lane has moved on before.
        Some(lane) if row.state != State::Dead.as_str() => {
            release_next(txn, &core.dispatch, row.connection_id, lane, now).await
        }
        _ => Ok(None),
    }
}

/// Commits, and hands over or gives back what was leased on the way.
async fn commit(core: &Core, txn: Transaction, next: Option<delivery::Model>) -> ApiResult<()> {
    match txn.commit().await {
        Ok(()) => {
            core.dispatch.offer(next.into_iter().collect());
            core.dispatch.announce_released();
            Ok(())
        }
        Err(error) => {
            if let Some(row) = next {
                core.dispatch.unreserve(row.connection_id);
                core.dispatch.lose(&row);
            }
            Err(error.into())
        }
    }
}

/// Tells who watches where a delivery stands.
pub fn tell(core: &Core, row: &delivery::Model, state: State) {
    let connection = core
        .snapshots
        .current()
        .connection(row.connection_id)
        .map(|c| c.view.name.clone())
        .unwrap_or_default();
    core.live.publish(
        row.workspace_id,
        Message::Delivery(DeliveryMessage {
            id: row.id,
            event_id: row.event_id,
            connection,
            operation: row.operation.clone(),
            state,
            attempts: row.attempts,
            effect: row.effect.clone(),
            record_id: row.record_id.clone(),
            error_code: row.error_code.clone(),
            at: from_ms(core.clock.now_ms()),
        }),
    );
}
