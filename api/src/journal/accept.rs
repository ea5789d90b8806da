//! Writing accepted events with their deliveries.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{delivery, event};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _};
use uuid::Uuid;

use super::clean;
use super::entry::{Accept, Accepted};
use super::lanes::{self, Lane};
use super::sql::{self, Values};
use super::stats::{Counters, metric};
use crate::dispatch::{self, Placement};

/// The sender's delivery id within a source.
type SenderId = (Uuid, String);

/// What a batch of accepts came to, to be told after the commit.
#[derive(Default)]
pub struct Outcome {
    /// One for each accept, in order.
    pub answers: Vec<Accepted>,
    /// Deliveries that this node holds now.
    pub leased: Vec<delivery::Model>,
    /// Connections that have deliveries which nobody holds yet.
    pub waiting: BTreeSet<Uuid>,
    /// Reservations to be given back if the commit fails.
    pub reserved: Vec<Uuid>,
}

/// Writes a batch. Fills in state, lane order and lease of the deliveries.
pub async fn write(
    txn: &impl ConnectionTrait,
    dispatch: &dispatch::Handle,
    batch: &mut [Accept],
    counters: &mut Counters,
    outcome: &mut Outcome,
) -> Result<(), DbErr> {
    let mut first_times = known(txn, batch).await?;
    let mut events = Vec::new();
    let mut deliveries: Vec<delivery::Model> = Vec::new();

    for accept in batch.iter_mut() {
        let mut answer = Accepted {
            event_ids: Vec::new(),
            correlation_id: String::new(),
            delivery_ids: Vec::new(),
            duplicate: true,
        };
        for item in &mut accept.events {
            let event = &mut item.event;
            if !item.replay
                && let Some(key) = &event.idempotency_key
            {
                let sender_id = (event.source_id, key.clone());
                if let Some((id, correlation)) = first_times.get(&sender_id) {
                    answer.event_ids.push(*id);
                    answer.correlation_id.clone_from(correlation);
                    item.deliveries.clear();
                    item.replay = true;
                    continue;
                }
                first_times.insert(sender_id, (event.id, event.correlation_id.clone()));
            }
            answer.duplicate = false;
            answer.event_ids.push(event.id);
            answer.correlation_id.clone_from(&event.correlation_id);
            answer
                .delivery_ids
                .extend(item.deliveries.iter().map(|d| d.row.id));
            deliveries.extend(item.deliveries.iter().map(|d| d.row.clone()));
            if !item.replay {
                count(counters, event);
                events.push(event.clone());
            }
        }
        outcome.answers.push(answer);
    }

    place(txn, dispatch, &mut deliveries, outcome).await?;
    for row in &deliveries {
        if row.state == "dead" {
            counters.add(
                row.workspace_id,
                row.created_at,
                metric::DEAD,
                row.connection_id,
                1,
            );
        }
    }
    insert(txn, events, &deliveries).await?;
    outcome
        .leased
        .extend(deliveries.into_iter().filter(|d| d.state == "leased"));
    Ok(())
}

fn count(counters: &mut Counters, event: &event::Model) {
    let mut add = |name| {
        counters.add(
            event.workspace_id,
            event.received_at,
            name,
            event.source_id,
            1,
        );
    };
    add(metric::ACCEPTED);
    match event.disposition.as_str() {
        "unmatched" => add(metric::UNMATCHED),
        "dropped" => add(metric::DROPPED),
        _ => {}
    }
}

/// Sender ids of the batch that are in the database already, with what was answered then.
async fn known(
    txn: &impl ConnectionTrait,
    batch: &[Accept],
) -> Result<HashMap<SenderId, (Uuid, String)>, DbErr> {
    let wanted: BTreeSet<SenderId> = batch
        .iter()
        .flat_map(|a| &a.events)
        .filter(|e| !e.replay)
        .filter_map(|e| Some((e.event.source_id, e.event.idempotency_key.clone()?)))
        .collect();
    let mut found = HashMap::new();
    let wanted: Vec<SenderId> = wanted.into_iter().collect();
    for chunk in wanted.chunks(sql::ROWS) {
        let mut rows = Values::default();
        for (source, key) in chunk {
            rows.row([(*source).into(), key.clone().into()]);
        }
        let query = format!(
            "WITH v(source_id, sender_id) AS (VALUES {}) SELECT e.id, e.source_id, \
             e.idempotency_key, e.correlation_id FROM v JOIN event e ON e.source_id = v.source_id \
             AND e.idempotency_key = v.sender_id AND e.idempotency_key IS NOT NULL",
            rows.text
        );
        for row in sql::rows(txn, query, rows.values).await? {
            found.insert(
                (
                    row.try_get("", "source_id")?,
                    row.try_get("", "idempotency_key")?,
                ),
                (row.try_get("", "id")?, row.try_get("", "correlation_id")?),
            );
        }
    }
    Ok(found)
}

/// Gives each delivery its place: in its lane, and with this node if there is room.
async fn place(
    txn: &impl ConnectionTrait,
    dispatch: &dispatch::Handle,
    deliveries: &mut [delivery::Model],
    outcome: &mut Outcome,
) -> Result<(), DbErr> {
    let open = |row: &delivery::Model| matches!(row.state.as_str(), "ready" | "held" | "parked");
    let wanted: BTreeSet<Lane> = deliveries
        .iter()
        .filter(|d| open(d))
        .filter_map(lanes::of)
        .collect();
    lanes::lock(txn, &wanted).await?;
    let mut occupied: HashSet<Lane> = lanes::occupied(txn, &wanted).await?;
    for row in deliveries.iter_mut().filter(|d| open(d)) {
        row.behind = lanes::of(row).is_some_and(|lane| !occupied.insert(lane));
        if row.behind {
            // Out of the way of claims; the release sets the real time.
            row.due_at = i64::MAX;
            continue;
        }
        if row.state != "ready" {
            continue;
        }
        match dispatch.place(row.connection_id) {
            Placement::Here => {
                outcome.reserved.push(row.connection_id);
                "leased".clone_into(&mut row.state);
                row.lease_owner = Some(dispatch.node());
                row.fence = 1;
            }
            Placement::Later => {
                outcome.waiting.insert(row.connection_id);
            }
            Placement::Paused => "paused".clone_into(&mut row.state),
        }
    }
    Ok(())
}

async fn insert(
    txn: &impl ConnectionTrait,
    events: Vec<event::Model>,
    deliveries: &[delivery::Model],
) -> Result<(), DbErr> {
    let mut events = events.into_iter().map(|mut e| {
        e.title = clean::text(e.title);
        e.idempotency_key = e.idempotency_key.map(clean::text);
        e.into_active_model()
    });
    loop {
        let chunk: Vec<_> = events.by_ref().take(sql::ROWS).collect();
        if chunk.is_empty() {
            break;
        }
        event::Entity::insert_many(chunk)
            .exec_without_returning(txn)
            .await?;
    }
    for chunk in deliveries.chunks(sql::ROWS) {
        let rows = chunk.iter().map(|d| d.clone().into_active_model());
        delivery::Entity::insert_many(rows)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}
