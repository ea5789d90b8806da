//! Writing accepted events with their deliveries.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{delivery, event};
use sea_orm::DbErr;
use uuid::Uuid;

use super::AcceptWaiting;
use super::clean;
use super::entry::{AcceptEvent, Accepted};
use super::lanes::{self, Lane};
use super::sql::{self, Values};
use super::stats::{Counters, metric};
use super::store::Txn;
use super::{place, replays};
use crate::db::Sql;
use crate::dispatch::{self, Places};

/// The sender's delivery id within a source.
type SenderId = (Uuid, String);

/// What a batch of accepts came to, to be told after the commit.
#[derive(Default)]
pub struct Outcome {
    /// One for each accept, in order.
    pub answers: Vec<Accepted>,
    /// Events that were here before, as places in the batch: accept, event.
    pub repeats: HashSet<(usize, usize)>,
    /// Connections that have deliveries which nobody holds yet.
    pub waiting: BTreeSet<Uuid>,
    /// The places of those that this node is to hold.
    pub reserved: Places,
    /// How many notes became part of another.
    pub coalesced: u64,
    /// How many were replaced by what is written here.
    pub superseded: u64,
}

/// The lanes that the deliveries of a batch may join.
pub fn lanes_of(batch: &[AcceptWaiting]) -> impl Iterator<Item = Lane> {
    batch
        .iter()
        .flat_map(|w| &w.accept.events)
        .flat_map(|e| &e.deliveries)
        .filter_map(|d| lanes::of(&d.row))
}

/// Writes a batch, whose lanes are locked. Fills in state, lane order and lease of the deliveries;
/// [`unplace`] takes that back if the commit fails.
pub async fn write(
    txn: &Txn,
    dispatch: &dispatch::Handle,
    batch: &mut [AcceptWaiting],
    counters: &mut Counters,
    outcome: &mut Outcome,
) -> Result<(), DbErr> {
    replays::hold(txn, batch).await?;
    outcome.superseded = replays::supersede(txn, batch).await?;
    answer(batch, known(txn, batch).await?, counters, outcome);
    let repeats = &outcome.repeats;
    let mut events: Vec<&mut AcceptEvent> = Vec::new();
    for (a, waiting) in batch.iter_mut().enumerate() {
        for (e, event) in waiting.accept.events.iter_mut().enumerate() {
            if !repeats.contains(&(a, e)) {
                events.push(event);
            }
        }
    }
    let mut deliveries: Vec<&mut delivery::Model> = Vec::new();
    let mut rows = Vec::new();
    for item in events {
        let AcceptEvent {
            event,
            replay,
            deliveries: own,
            ..
        } = item;
        if !*replay {
            clean::in_place(&mut event.title);
            if let Some(key) = &mut event.idempotency_key {
                clean::in_place(key);
            }
            rows.push(&*event);
        }
        deliveries.extend(own.iter_mut().map(|d| &mut d.row));
    }
    outcome.coalesced = place::place(
        txn,
        dispatch,
        &mut deliveries,
        counters,
        &mut outcome.reserved,
        &mut outcome.waiting,
    )
    .await?;
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
    txn.insert(&rows).await?;
    let rows: Vec<&delivery::Model> = deliveries.iter().map(|row| &**row).collect();
    replays::link(txn, &rows).await?;
    txn.insert(&rows).await?;
    name_deliveries(batch, outcome);
    Ok(())
}

/// Their ids are sure once they have their places.
fn name_deliveries(batch: &[AcceptWaiting], outcome: &mut Outcome) {
    for (a, (waiting, answer)) in batch.iter().zip(&mut outcome.answers).enumerate() {
        for (e, item) in waiting.accept.events.iter().enumerate() {
            if !outcome.repeats.contains(&(a, e)) {
                let ids = item.deliveries.iter().map(|d| d.row.id);
                answer.delivery_ids.extend(ids);
            }
        }
    }
}

/// Finds the repeats, and what each accept is answered with.
fn answer(
    batch: &[AcceptWaiting],
    mut first_times: HashMap<SenderId, (Uuid, String)>,
    counters: &mut Counters,
    outcome: &mut Outcome,
) {
    for (a, waiting) in batch.iter().enumerate() {
        let mut answer = Accepted {
            event_ids: Vec::new(),
            correlation_id: String::new(),
            delivery_ids: Vec::new(),
            duplicate: true,
        };
        for (e, item) in waiting.accept.events.iter().enumerate() {
            let event = &item.event;
            if !item.replay
                && let Some(key) = &event.idempotency_key
            {
                let sender_id = (event.source_id, key.clone());
                if let Some((id, correlation)) = first_times.get(&sender_id) {
                    answer.event_ids.push(*id);
                    answer.correlation_id.clone_from(correlation);
                    outcome.repeats.insert((a, e));
                    continue;
                }
                first_times.insert(sender_id, (event.id, event.correlation_id.clone()));
            }
            answer.duplicate = false;
            answer.event_ids.push(event.id);
            answer.correlation_id.clone_from(&event.correlation_id);
            if !item.replay {
                count(counters, event);
            }
        }
        outcome.answers.push(answer);
    }
}

/// Takes the places of deliveries back, after a commit that failed.
pub fn unplace(batch: &mut [AcceptWaiting]) {
    let events = batch.iter_mut().flat_map(|w| &mut w.accept.events);
    for delivery in events.flat_map(|e| &mut e.deliveries) {
        delivery.unplace();
    }
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
    txn: &impl Sql,
    batch: &[AcceptWaiting],
) -> Result<HashMap<SenderId, (Uuid, String)>, DbErr> {
    let wanted: BTreeSet<SenderId> = batch
        .iter()
        .flat_map(|w| &w.accept.events)
        .filter(|e| !e.replay)
        .filter_map(|e| Some((e.event.source_id, e.event.idempotency_key.clone()?)))
        .collect();
    let mut found = HashMap::new();
    let wanted: Vec<SenderId> = wanted.into_iter().collect();
    for chunk in sql::padded(&wanted) {
        let mut rows = Values::of(txn);
        for (source, key) in chunk {
            rows.row([(*source).into(), key.clone().into()]);
        }
        for row in sql::fetch(txn, known_query(&rows.text), rows.values).await? {
            found.insert(
                (row.get("source_id")?, row.get("idempotency_key")?),
                (row.get("id")?, row.get("correlation_id")?),
            );
        }
    }
    Ok(found)
}

/// The query of it, by rows of source and sender id.
pub fn known_query(values: &str) -> String {
    format!(
        "WITH v(source_id, sender_id) AS (VALUES {values}) SELECT e.id, e.source_id, \
         e.idempotency_key, e.correlation_id FROM v JOIN event e ON e.source_id = v.source_id \
         AND e.idempotency_key = v.sender_id AND e.idempotency_key IS NOT NULL"
    )
}
