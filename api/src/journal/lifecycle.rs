//! Telling subscribers, in the transaction of what they are told.
//!
//! Nothing happens here for a workspace without subscriptions.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{delivery, event};
use openapi::webhooks::{Kind, WebhookDelivery};
use sea_orm::DbErr;
use uuid::Uuid;

use super::aside::Followers;
use super::entry::{NewState, Settlement};
use super::lanes::{self, Lane};
use super::sql::{self, Values};
use super::store::Txn;
use super::{AcceptWaiting, accept, settle, subscribers};
use crate::clock::{Clock, from_ms};
use crate::db::Sql;
use crate::lifecycle::{self, Data, EventRef, Hops, Message};
use crate::snapshot::Snapshot;

/// Writes what subscribers want to know of a batch. Returns their connections, to be woken after
/// the commit.
pub async fn write(
    txn: &Txn,
    snapshot: &Snapshot,
    (clock, now): (&Clock, i64),
    (accepts, accepted): (&[AcceptWaiting], &accept::Outcome),
    (settlements, settled): (&[Settlement], &settle::Outcome),
) -> Result<BTreeSet<Uuid>, DbErr> {
    if !snapshot.has_subscriptions() {
        return Ok(BTreeSet::new());
    }
    let mut messages = Vec::new();
    accepts_of(snapshot, accepts, &accepted.repeats, now, &mut messages);
    let done = settlements
        .iter()
        .enumerate()
        .filter(|(index, _)| !settled.refused.contains(index))
        .map(|(_, s)| s);
    let (own, others): (Vec<&Settlement>, Vec<&Settlement>) =
        done.partition(|s| lifecycle::is_message(&s.claimed));
    outcomes_of(
        txn,
        snapshot,
        (&others, &settled.followers),
        now,
        &mut messages,
    )
    .await?;
    for (connection, pause) in settled.paused.iter().filter(|(_, pause)| pause.first) {
        let known = snapshot.connection(*connection);
        let why = (pause.code, pause.reason.as_str());
        messages.extend(known.and_then(|c| Message::attention(&c, why, now)));
    }
    messages.extend(subscribers::note(txn, snapshot, &own, (clock, now)).await?);
    let rows: Vec<delivery::Model> = messages
        .iter()
        .flat_map(|m| lifecycle::rows(snapshot, m))
        .collect();
    let all: Vec<&delivery::Model> = rows.iter().collect();
    txn.insert(&all).await?;
    Ok(rows.iter().map(|row| row.connection_id).collect())
}

/// New events, and deliveries that will not move by themselves from the start.
fn accepts_of(
    snapshot: &Snapshot,
    accepts: &[AcceptWaiting],
    repeats: &HashSet<(usize, usize)>,
    now: i64,
    messages: &mut Vec<Message>,
) {
    for (a, waiting) in accepts.iter().enumerate() {
        for (e, item) in waiting.accept.events.iter().enumerate() {
            let subscriptions = snapshot.subscriptions(item.event.workspace_id);
            if subscriptions.is_empty() || repeats.contains(&(a, e)) {
                continue;
            }
            let source = Some(item.source.as_str());
            let mut takers = subscriptions
                .iter()
                .filter(|s| s.wants(Kind::EventReceived, source))
                .peekable();
            if !item.replay && takers.peek().is_some() {
                let full = takers.any(|s| s.full);
                messages.push(Message::event(&item.event, &item.source, &item.rules, full));
            }
            if !item.replay {
                messages.extend(silence(snapshot, &item.event));
            }
            for new in &item.deliveries {
                let Some((kind, state)) = from_the_start(&new.row.state) else {
                    continue;
                };
                if !subscriptions.iter().any(|s| s.wants(kind, source)) {
                    continue;
                }
                messages.push(outcome(
                    &new.row,
                    kind,
                    Outcome {
                        state,
                        connection: &new.connection,
                        source: Some(item.source.clone()),
                        hops: Hops::of_event(&item.event.headers),
                        error: (new.row.error_code.clone(), new.row.error.clone()),
                        ..Outcome::at(now)
                    },
                ));
            }
        }
    }
}

/// What is told of a delivery that begins in this state, if anything.
fn from_the_start(state: &str) -> Option<(Kind, &'static str)> {
    match state {
        "dead" => Some((Kind::DeliveryDead, "dead")),
        "parked" => Some((Kind::DeliveryParked, "parked")),
        "held" => Some((Kind::DeliveryHeld, "held")),
        "discarded" => Some((Kind::DeliveryDiscarded, "discarded")),
        _ => None,
    }
}

/// What a heartbeat raised an event about. Its key says it; no request comes without an address.
fn silence(snapshot: &Snapshot, event: &event::Model) -> Option<Message> {
    let key = event.idempotency_key.as_deref()?;
    let (kind, since) = key.strip_prefix("signalbox:")?.rsplit_once(':')?;
    let source = snapshot
        .source(event.source_id)
        .filter(|_| event.remote_addr.is_empty())?;
    let silent = match kind {
        "source.silent" => true,
        "source.recovered" => false,
        _ => return None,
    };
    let heard = since.parse().ok().filter(|_| silent);
    Some(Message {
        event: Some(EventRef {
            id: event.id,
            correlation_id: event.correlation_id.clone(),
            received_at: event.received_at,
        }),
        ..Message::source(source, silent, heard, event.received_at)
    })
}

/// What attempts came to.
async fn outcomes_of(
    txn: &impl Sql,
    snapshot: &Snapshot,
    (settlements, followers): (&[&Settlement], &HashMap<Lane, Followers>),
    now: i64,
    messages: &mut Vec<Message>,
) -> Result<(), DbErr> {
    let wanted: Vec<(&Settlement, Kind)> = settlements
        .iter()
        .filter_map(|s| Some((*s, kind_of(s)?)))
        .filter(|(s, kind)| {
            let all = snapshot.subscriptions(s.claimed.workspace_id);
            all.iter().any(|one| one.wants(*kind, None))
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let events = origins(txn, wanted.iter().map(|(s, _)| s.claimed.event_id)).await?;
    for (s, kind) in wanted {
        let origin = events.get(&s.claimed.event_id);
        let source = origin.and_then(|(source, _)| snapshot.source(*source));
        let fault = s.fault.as_ref();
        let record = s.record.as_ref();
        let with_it = match s.next {
            NewState::DeadWithLane => lanes::of(&s.claimed).and_then(|lane| followers.get(&lane)),
            _ => None,
        };
        let next_attempt = match s.next {
            NewState::Retrying { wait_ms, .. } => Some(now.saturating_add(wait_ms)),
            _ => None,
        };
        messages.push(outcome(
            &s.claimed,
            kind,
            Outcome {
                state: s.next.state().as_str(),
                connection: &s.connection,
                source: source.map(|s| s.slug.clone()),
                hops: origin.map(|(_, hops)| hops.clone()).unwrap_or_default(),
                tried: s.started_at.is_some(),
                next_attempt,
                error: (
                    fault.map(|f| f.code.clone()),
                    fault.map(|f| f.message.clone()),
                ),
                effect: s.effect.map(|e| e.word().to_owned()),
                record: (
                    record.map(|r| r.id.clone()),
                    record.and_then(|r| r.url.clone()),
                ),
                lane_dead: with_it.map(|gone| gone.count + gone.rest),
                also: with_it
                    .into_iter()
                    .flat_map(|gone| &gone.sources)
                    .filter_map(|id| Some(snapshot.source(*id)?.slug.clone()))
                    .collect(),
                ..Outcome::at(now)
            },
        ));
    }
    Ok(())
}

/// What is told of a settlement, if anything.
fn kind_of(s: &Settlement) -> Option<Kind> {
    match s.next {
        NewState::Delivered => Some(Kind::DeliveryDelivered),
        NewState::Dead | NewState::DeadWithLane => Some(Kind::DeliveryDead),
        NewState::Parked => Some(Kind::DeliveryParked),
        NewState::Retrying { .. } if s.started_at.is_some() => Some(Kind::DeliveryFailed),
        _ => None,
    }
}

/// What a message says of a delivery beyond its row.
struct Outcome<'a> {
    at: i64,
    state: &'static str,
    connection: &'a str,
    source: Option<String>,
    hops: Hops,
    tried: bool,
    next_attempt: Option<i64>,
    error: (Option<String>, Option<String>),
    effect: Option<String>,
    record: (Option<String>, Option<String>),
    lane_dead: Option<i64>,
    also: Vec<String>,
}

impl Outcome<'_> {
    fn at(at: i64) -> Self {
        Self {
            at,
            state: "",
            connection: "",
            source: None,
            hops: Hops::default(),
            tried: false,
            next_attempt: None,
            error: (None, None),
            effect: None,
            record: (None, None),
            lane_dead: None,
            also: Vec::new(),
        }
    }
}

fn outcome(row: &delivery::Model, kind: Kind, outcome: Outcome<'_>) -> Message {
    Message {
        workspace: row.workspace_id,
        kind,
        at: outcome.at,
        event: Some(EventRef {
            id: row.event_id,
            correlation_id: row.correlation_id.clone(),
            received_at: row.received_at,
        }),
        source: outcome.source.clone(),
        also: outcome.also,
        hops: outcome.hops,
        data: Data::Delivery(Box::new(WebhookDelivery {
            delivery_id: row.id,
            event_id: row.event_id,
            correlation_id: row.correlation_id.clone(),
            source: outcome.source,
            rule: row.rule_name.clone(),
            connection: outcome.connection.to_owned(),
            operation: row.operation.clone(),
            state: outcome.state.to_owned(),
            attempts: row.attempts + i32::from(outcome.tried),
            next_attempt_at: outcome.next_attempt.map(from_ms),
            error_code: outcome.error.0,
            error: outcome.error.1,
            effect: outcome.effect,
            record_id: outcome.record.0.or_else(|| row.record_id.clone()),
            record_url: outcome.record.1.or_else(|| row.record_url.clone()),
            lane_dead: outcome.lane_dead,
            key: row.lane.clone(),
            fields: serde_json::from_str(&row.fields).ok(),
        })),
    }
}

/// Source and way of events.
async fn origins(
    txn: &impl Sql,
    events: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, (Uuid, Hops)>, DbErr> {
    let wanted: BTreeSet<Uuid> = events.collect();
    let wanted: Vec<Uuid> = wanted.into_iter().collect();
    let mut found = HashMap::new();
    for chunk in sql::padded(&wanted) {
        let mut rows = Values::of(txn);
        for id in chunk {
            rows.row([(*id).into()]);
        }
        let query = format!(
            "WITH v(id) AS (VALUES {}) SELECT e.id AS id, e.source_id AS source_id, \
             CASE WHEN e.headers LIKE '%{}%' THEN e.headers ELSE '' END AS headers \
             FROM v JOIN event e ON e.id = v.id",
            rows.text,
            lifecycle::HOPS
        );
        for row in sql::fetch(txn, query, rows.values).await? {
            let headers: String = row.get("headers")?;
            found.insert(
                row.get("id")?,
                (row.get("source_id")?, Hops::of_event(&headers)),
            );
        }
    }
    Ok(found)
}
