//! What people do with deliveries: release, edit, discard, replay.
//!
//! Each act is one transaction that checks the state it starts from, so that of two people one
//! wins and the other is told. The lane moves on in the same transaction.

use std::collections::{BTreeSet, HashMap};

use engine::lane::OnFailure;
use entity::delivery;
use openapi::deliveries::{ReplayDelivery, ReplayedDelivery, State};
use openapi::problem::Code;
use openapi::stream::{DeliveryMessage, Message};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _, QueryFilter as _};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::from_ms;
use crate::core::Core;
use crate::db::Transaction;
use crate::dispatch::{self, Leased};
use crate::http::problem::{ApiError, ApiResult, field_error};
use crate::journal::{self, Lane, hold_events, lock_lane, release_next, repeat_of};
use crate::mask;
use crate::request;
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

/// Decides against a delivery that has not been done: one that waits, or a dead letter. The failed head
/// of a lane that is being set aside holds the others back until it is a dead letter.
///
/// # Errors
/// It is not there, is final already, holds others back in this way, or is being worked on.
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
        .filter(delivery::Column::DueAt.ne(journal::UNDER_WAY))
        .exec(&txn)
        .await?;
    changed(result.rows_affected)?;
    let was = json!({ "state": row.state });
    note(core, &txn, by, "delivery.discard", &row, was).await?;
    let next = move_on(core, &txn, &row, now).await?;
    commit(core, txn, next).await?;
    core.metrics.ended(State::Discarded, 1);
    tell(core, &row, State::Discarded);
    Ok(())
}

/// Does a dead letter, a discarded delivery or a message to a subscriber again, and what was delivered
/// if that is confirmed. The new delivery carries the same message id, points back, and goes to the
/// end of its lane. One that was set aside with its lane is replayed with it.
///
/// # Errors
/// It is not there, was replayed before, is in no state for that, or was delivered and nobody said that
/// it shall be done once more.
pub async fn replay(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    asked: &ReplayDelivery,
) -> ApiResult<ReplayedDelivery> {
    let txn = core.db.begin().await?;
    let row = find(&txn, scope, id).await?;
    if row.lane_parked && row.state == State::Dead.as_str() {
        txn.rollback().await?;
        return super::lanes::replay_lane(core, scope, by, &row).await;
    }
    if is_done(&row) {
        if !asked.repeat_delivered {
            return Err(ApiError::new(Code::AlreadyDelivered)
                .detail("Sent again, it is done once more. Confirm that if it is what you want.")
                .at("repeat_delivered", "required", "True is expected."));
        }
        may_be_repeated(&txn, &row).await?;
    }
    let new = repeat(core, &txn, &row).await?;
    let delivery_id = new.id;
    let made = json!({ "delivery_id": delivery_id, "was": row.state });
    note(core, &txn, by, "delivery.replay", &row, made).await?;
    finish_replay(core, txn, vec![(row, new)]).await?;
    Ok(ReplayedDelivery {
        delivery_id,
        count: 1,
    })
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

/// Whether it was done, so that its repeat does it once more. A subscriber is told again without
/// harm.
fn is_done(row: &delivery::Model) -> bool {
    row.state == State::Delivered.as_str() && !crate::lifecycle::is_message(row)
}

/// Refuses to repeat what was done while an earlier repeat of it is not over.
async fn may_be_repeated(txn: &Transaction, row: &delivery::Model) -> ApiResult<()> {
    let Some(before) = row.replayed_as else {
        return Ok(());
    };
    let before = delivery::Entity::find_by_id(before).one(txn).await?;
    let state = before.and_then(|before| State::parse(&before.state));
    if state.is_some_and(State::is_open) {
        return Err(
            ApiError::new(Code::Conflict).detail("It is being repeated already; wait for its end.")
        );
    }
    Ok(())
}

/// Writes the repeat of a delivery. The old one is superseded, unless it was done: that stays so.
pub(super) async fn repeat(
    core: &Core,
    txn: &Transaction,
    row: &delivery::Model,
) -> ApiResult<delivery::Model> {
    if !REPEATABLE.contains(&row.state.as_str()) {
        changed(0)?;
    }
    let lane = row.lane.as_ref();
    let lane = BTreeSet::from_iter(lane.map(|key| (row.connection_id, key.clone())));
    journal::lock(txn, &lane).await?;
    // The clean-up would take the repeat with its event.
    let there = hold_events(txn, [row.event_id]).await?;
    changed(u64::from(there.contains(&row.event_id)))?;
    let now = core.clock.now_ms();
    let mut new = repeat_of(row, crate::ids::new(&core.clock), now);
    put(core, txn, &mut new, &lane).await?;
    // Of two who repeat it at once, one finds it changed.
    let mut change = delivery::Entity::update_many()
        .col_expr(delivery::Column::ReplayedAs, Expr::val(Some(new.id)))
        .filter(delivery::Column::Id.eq(row.id))
        .filter(delivery::Column::State.eq(&row.state))
        .filter(match row.replayed_as {
            Some(before) => delivery::Column::ReplayedAs.eq(before),
            None => delivery::Column::ReplayedAs.is_null(),
        });
    if !is_done(row) {
        let superseded = State::Superseded.as_str();
        change = change
            .col_expr(delivery::Column::State, Expr::val(superseded))
            .col_expr(delivery::Column::UpdatedAt, Expr::val(now));
    }
    changed(change.exec(txn).await?.rows_affected)?;
    if core
        .snapshots
        .current()
        .connection(row.connection_id)
        .is_none()
    {
        return Err(ApiError::new(Code::Conflict)
            .detail("The connection of this delivery is gone. Replay the event instead."));
    }
    delivery::Entity::insert(new.clone().into_active_model())
        .exec_without_returning(txn)
        .await?;
    Ok(new)
}

/// Puts a repeat at the end of its lane, or among those of its lane that were set aside.
async fn put(
    core: &Core,
    txn: &Transaction,
    new: &mut delivery::Model,
    lane: &BTreeSet<Lane>,
) -> Result<(), DbErr> {
    let one = |found: HashMap<Lane, Uuid>| found.into_values().next();
    if core.dispatch.lane_policy(new.connection_id).on_failure == OnFailure::Park {
        let aside = one(journal::parked(txn, lane).await?);
        let first = one(journal::first_aside(txn, lane).await?);
        if aside.is_some() && !journal::is_next(new, first.as_ref()) {
            journal::follow(new, aside);
            journal::set_aside(new);
            return Ok(());
        }
    }
    let newest = one(journal::occupied(txn, lane).await?);
    journal::follow(new, newest);
    if newest.is_some() {
        new.behind = true;
        new.due_at = i64::MAX;
    } else if core.dispatch.is_paused(new.connection_id) {
        State::Paused.as_str().clone_into(&mut new.state);
    }
    Ok(())
}

/// The states that can be repeated from.
const REPEATABLE: [&str; 3] = ["dead", "discarded", "delivered"];

pub(super) async fn finish_replay(
    core: &Core,
    txn: Transaction,
    made: Vec<(delivery::Model, delivery::Model)>,
) -> ApiResult<()> {
    txn.commit().await?;
    for (old, new) in made {
        let state = State::parse(&new.state).unwrap_or(State::Ready);
        if state == State::Ready && !new.behind {
            core.dispatch.announce(new.connection_id);
        }
        if !is_done(&old) {
            core.metrics.ended(State::Superseded, 1);
            tell(core, &old, State::Superseded);
        }
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
) -> Result<Leased, DbErr> {
    match &row.lane {
        // The end of a dead letter changes nothing: its lane has moved on before.
        Some(lane) if row.state != State::Dead.as_str() => {
            release_next(txn, &core.dispatch, row.connection_id, lane, now).await
        }
        _ => Ok(Leased::default()),
    }
}

/// Commits, and hands over or gives back what was leased on the way.
pub(super) async fn commit(core: &Core, txn: Transaction, next: Leased) -> Result<(), DbErr> {
    commit_apart(core.dispatch.clone(), txn, next).await
}

/// In a task of its own: cut by a client that goes away, it would leave a lease on disk of which
/// nobody here knows.
async fn commit_apart(
    dispatch: dispatch::Handle,
    txn: Transaction,
    next: Leased,
) -> Result<(), DbErr> {
    let work = async move {
        match txn.commit().await {
            Ok(()) => {
                dispatch.offer(next);
                dispatch.announce_released();
                Ok(())
            }
            Err(error) => {
                for row in next.rows() {
                    dispatch.lose(row);
                }
                Err(error)
            }
        }
    };
    let ended = tokio::spawn(request::within(request::id(), work)).await;
    ended.unwrap_or_else(|error| Err(DbErr::Custom(format!("a commit broke off: {error}"))))
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

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait as _;

    use super::*;
    use crate::db::{Db, Location};
    use crate::dispatch::Places;
    use crate::dispatch::fixtures::{CONNECTION, new_row, options};

    #[tokio::test]
    async fn a_client_that_goes_away_cuts_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("test.db"));
        let db = Db::open(&location, 2).await.unwrap();
        let dispatch = dispatch::Handle::new(Uuid::nil(), options());
        let txn = db.begin().await.unwrap();
        txn.execute_unprepared("CREATE TABLE done (n INTEGER)")
            .await
            .unwrap();
        let mut places = Places::default();
        assert!(dispatch.reserve(CONNECTION, &mut places));
        let next = Leased::new(vec![new_row(1, None, 0, 1, 0)], places);
        let mut commit = Box::pin(commit_apart(dispatch.clone(), txn, next));
        assert!(futures_util::poll!(&mut commit).is_pending());
        drop(commit);
        // Its turn comes when the transaction has ended, one way or the other.
        let query = "INSERT INTO done (n) VALUES (1)";
        db.write().execute_unprepared(query).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(dispatch.in_memory(), 1, "it was handed over");
    }
}
