//! The place of new deliveries: in their lanes, and with this node if there is room.

use std::collections::{BTreeSet, HashMap};

use engine::lane::OnFailure;
use entity::delivery;
use sea_orm::DbErr;
use uuid::Uuid;

use super::aside;
use super::coalesce::{self, Repeats};
use super::lanes::{self, Lane};
use super::stats::{Counters, metric};
use crate::db::Sql;
use crate::dispatch::{self, LanePolicy, Placement, Places};
use crate::ids;

/// Gives each delivery of a batch its place, in order. Their lanes are locked. Returns how many notes
/// became part of another.
pub async fn place(
    txn: &impl Sql,
    dispatch: &dispatch::Handle,
    deliveries: &mut [&mut delivery::Model],
    counters: &mut Counters,
    reserved: &mut Places,
    waiting: &mut BTreeSet<Uuid>,
) -> Result<u64, DbErr> {
    let mut policies: HashMap<Uuid, LanePolicy> = HashMap::new();
    let mut wanted: BTreeSet<Lane> = BTreeSet::new();
    let mut with_repeats: BTreeSet<Lane> = BTreeSet::new();
    let mut may_be_parked: BTreeSet<Lane> = BTreeSet::new();
    let mut with_replays: BTreeSet<Lane> = BTreeSet::new();
    for row in deliveries.iter().filter(|row| joins(row)) {
        let Some(lane) = lanes::of(row) else { continue };
        let policy = *policies
            .entry(row.connection_id)
            .or_insert_with(|| dispatch.lane_policy(row.connection_id));
        if policy.coalesce && coalesce::may_stand_for_others(row) {
            with_repeats.insert(lane.clone());
        }
        if policy.on_failure == OnFailure::Park {
            may_be_parked.insert(lane.clone());
            if row.replay_of.is_some() {
                with_replays.insert(lane.clone());
            }
        }
        wanted.insert(lane);
    }
    let mut newest = lanes::occupied(txn, &wanted).await?;
    let mut parked = lanes::parked(txn, &may_be_parked).await?;
    let first = lanes::first_aside(txn, &with_replays).await?;
    with_repeats.retain(|lane| newest.contains_key(lane));
    let mut repeats = Repeats::find(txn, &with_repeats).await?;
    for at in 0..deliveries.len() {
        let Some(row) = deliveries.get_mut(at) else {
            break;
        };
        if !joins(row) {
            continue;
        }
        let now = row.created_at;
        let Some(lane) = lanes::of(row) else {
            lead(dispatch, row, reserved, waiting);
            continue;
        };
        if matches!(row.state.as_str(), "ready" | "windowed")
            && !is_next(row, first.get(&lane))
            && let Some(last) = parked.get_mut(&lane)
        {
            follow(row, Some(*last));
            *last = row.id;
            set_aside(row);
            continue;
        }
        let last = newest.get(&lane).copied();
        follow(row, last);
        newest.insert(lane.clone(), row.id);
        if last.is_none() {
            repeats.pass(&lane, row);
            lead(dispatch, row, reserved, waiting);
            continue;
        }
        row.behind = true;
        // Out of the way of claims; the release sets the real time.
        row.due_at = i64::MAX;
        let coalesces = policies
            .get(&row.connection_id)
            .is_some_and(|policy| policy.coalesce);
        if coalesces && coalesce::may_stand_for_others(row) {
            repeats.join(deliveries, at, &lane, now);
        } else {
            repeats.pass(&lane, row);
        }
    }
    repeats.write(txn, now_of(deliveries)).await?;
    let mut coalesced = 0;
    for ((workspace, connection), count) in &repeats.coalesced {
        let at = now_of(deliveries);
        counters.add(*workspace, at, metric::COALESCED, *connection, *count);
        coalesced += u64::try_from(*count).unwrap_or(0);
    }
    Ok(coalesced)
}

/// Whether a new delivery takes a place in its lane; what is final from the start does not.
fn joins(row: &delivery::Model) -> bool {
    matches!(row.state.as_str(), "ready" | "windowed" | "held" | "parked")
}

fn now_of(deliveries: &[&mut delivery::Model]) -> i64 {
    deliveries
        .iter()
        .map(|row| row.created_at)
        .max()
        .unwrap_or_default()
}

/// Whether a lane that was set aside waits for this one: a repeat whose place no other of those that
/// are still aside is before.
pub fn is_next(row: &delivery::Model, first_aside: Option<&Uuid>) -> bool {
    let place = row.place.filter(|_| row.replay_of.is_some());
    place.is_some_and(|place| first_aside.is_none_or(|first| place <= *first))
}

/// Ids are the order of the lane: one that is not after the newest, because a clock is behind or
/// another request was faster, becomes so.
pub fn follow(row: &mut delivery::Model, newest: Option<Uuid>) {
    if let Some(newest) = newest
        && row.id <= newest
    {
        ids::continue_after(newest);
        row.id = ids::at(row.created_at);
    }
}

/// A head: with this node if there is room, else it is claimed.
fn lead(
    dispatch: &dispatch::Handle,
    row: &mut delivery::Model,
    reserved: &mut Places,
    waiting: &mut BTreeSet<Uuid>,
) {
    if row.state != "ready" {
        return;
    }
    match dispatch.place(row.connection_id, reserved) {
        Placement::Here => {
            "leased".clone_into(&mut row.state);
            row.lease_owner = Some(dispatch.node());
            row.fence = 1;
        }
        Placement::Later => {
            waiting.insert(row.connection_id);
        }
        Placement::Paused => "paused".clone_into(&mut row.state),
    }
}

/// Its lane waits among the dead letters: it joins them.
pub fn set_aside(row: &mut delivery::Model) {
    "dead".clone_into(&mut row.state);
    row.lane_parked = true;
    row.error_code = Some(aside::FAILED.0.to_owned());
    row.error = Some(aside::FAILED.1.to_owned());
    row.finished_at = Some(row.created_at);
}

/// Takes the place of a delivery back. For how many it stands is known to
/// [`NewDelivery`](super::NewDelivery).
pub fn unplace(row: &mut delivery::Model) {
    let placed = match row.state.as_str() {
        "leased" | "paused" | "coalesced" => true,
        "dead" => row.lane_parked,
        _ => false,
    };
    if placed {
        "ready".clone_into(&mut row.state);
        row.finished_at = None;
    }
    if row.lane_parked {
        row.lane_parked = false;
        row.error_code = None;
        row.error = None;
    }
    row.behind = false;
    row.due_at = row.created_at;
    row.lease_owner = None;
    row.fence = 0;
    row.coalesced_into = None;
}
