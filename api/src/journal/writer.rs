//! The loop that commits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use openapi::deliveries::State;
use openapi::stream::{ConnectionMessage, DeliveryMessage, EventMessage, Message, RefusalMessage};
use sea_orm::{ConnAcquireErr, DbErr};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::entry::{AcceptEvent, NewDelivery, NewState, Settlement};
use super::gather::{self, Batch};
use super::stats::{Counters, metric};
use super::store::Txn;
use super::{AcceptWaiting, JournalError, Refused, Service, accept, lanes, lifecycle, settle, sql};
use crate::clock::from_ms;
use crate::db::is_away;
use crate::dispatch::{self, Leased};

/// Longest commit, the wait for a connection or for the file's lock included.
const PATIENCE: Duration = Duration::from_secs(15);
/// Wait before settlements are tried again while the database is away.
const AWAY: Duration = Duration::from_millis(250);
/// Wait before a delivery is repeated whose outcome cannot be written, in milliseconds.
const SET_ASIDE_MS: i64 = 60_000;

/// Takes, commits, answers; see the module.
pub async fn run(mut service: Service, shutdown: CancellationToken) {
    loop {
        let mut batch = Batch::default();
        let again = (!service.lost.is_empty()).then_some(AWAY);
        let stopping = gather::next(&mut service, &mut batch, again, &shutdown).await;
        let nothing_waits = batch.is_empty();
        if nothing_waits && service.lost.is_empty() {
            if stopping {
                return;
            }
            continue;
        }
        service.call.take(batch.accepts.len());
        commit_all(&mut service, batch).await;
        service.call.take(0);
        if stopping && nothing_waits {
            // What is still lost is freed with the rest of this node's leases.
            return;
        }
    }
}

async fn commit_all(service: &mut Service, mut batch: Batch) {
    let first = commit(service, &mut batch).await;
    let Err(error) = first else { return };
    let entries = batch.accepts.len() + batch.settlements.len();
    if is_away(&error) {
        tracing::error!(%error, entries, "The database did not take a commit.");
        refuse(batch.accepts, JournalError::Unavailable);
        retry_settlements(service, batch.settlements).await;
        return;
    }
    // Something in the batch cannot be written: one at a time, only that one fails.
    tracing::warn!(%error, entries, "A batch could not be committed; its entries follow one by one.");
    for settlement in batch.settlements {
        retry_settlements(service, vec![settlement]).await;
    }
    for waiting in batch.accepts {
        let mut one = Batch {
            accepts: vec![waiting],
            ..Batch::default()
        };
        if let Err(error) = commit(service, &mut one).await {
            tracing::error!(%error, "An event could not be stored.");
            let reason = if is_away(&error) {
                JournalError::Unavailable
            } else {
                JournalError::Rejected
            };
            refuse(one.accepts, reason);
        }
    }
}

/// Settlements are the memory of what happened upstream: they wait until the database is back.
async fn retry_settlements(service: &mut Service, settlements: Vec<Settlement>) {
    if settlements.is_empty() {
        return;
    }
    let mut batch = Batch {
        settlements,
        ..Batch::default()
    };
    let mut tries = 0_u32;
    loop {
        match commit(service, &mut batch).await {
            Ok(()) => return,
            Err(error) if is_away(&error) => {
                // Senders learn at once that nothing is taken now.
                while let Ok(waiting) = service.accepts.try_recv() {
                    refuse(vec![waiting], JournalError::Unavailable);
                }
                tokio::time::sleep(AWAY).await;
            }
            Err(error) => {
                tries += 1;
                tracing::error!(%error, tries, "A settlement could not be written.");
                if tries >= 3 {
                    set_aside(service, &batch.settlements).await;
                    return;
                }
            }
        }
    }
}

/// Outcomes that cannot be written: their deliveries are repeated with the same message id, not too
/// soon, since they may fail in the same way again.
async fn set_aside(service: &Service, settlements: &[Settlement]) {
    let now = service.clock.now_ms();
    for settlement in settlements {
        let row = &settlement.claimed;
        let text = format!(
            "UPDATE delivery SET state = 'retrying', lease_owner = NULL, unsure = TRUE, \
             attempts = attempts + 1, due_at = $3, updated_at = $4, \
             error_code = 'settlement_failed' WHERE id = $1 AND fence = $2 AND {leased}",
            leased = sql::state_is("leased"),
        );
        let values = vec![
            row.id.into(),
            row.fence.into(),
            now.saturating_add(SET_ASIDE_MS).into(),
            now.into(),
        ];
        let work = async {
            let txn = service.store.begin().await?;
            sql::execute(&txn, text, values).await?;
            txn.commit().await
        };
        if let Err(error) = work.await {
            // It is free when this node stops.
            tracing::error!(%error, delivery.id = %row.id, "A delivery could not be set aside.");
        }
    }
}

fn refuse(accepts: Vec<AcceptWaiting>, error: JournalError) {
    for waiting in accepts {
        // A sender that has gone away needs no answer.
        let _gone = waiting.answer.send(Err(error));
    }
}

/// What was written, to be told after the commit.
#[derive(Default)]
struct Written {
    counters: Counters,
    settled: settle::Outcome,
    accepted: accept::Outcome,
    /// Connections of subscribers, to be woken.
    told: BTreeSet<Uuid>,
}

/// Writes a batch.
async fn write(
    service: &mut Service,
    txn: &Txn,
    batch: &mut Batch,
    now: i64,
    written: &mut Written,
) -> Result<(), DbErr> {
    // All at once and in order: two nodes that took some here and some later could wait for
    // each other.
    let wanted = settle::lanes_of(&batch.settlements)
        .chain(accept::lanes_of(&batch.accepts))
        .collect();
    lanes::lock(txn, &wanted).await?;
    dispatch::give_back(txn, &service.lost, service.dispatch.node(), now).await?;
    let Written {
        counters,
        settled,
        accepted,
        told,
    } = written;
    // Settlements first: a lane that ends here takes its next delivery at once.
    if !batch.settlements.is_empty() {
        let settlements = &batch.settlements;
        settle::write(txn, &service.dispatch, settlements, now, counters, settled).await?;
    }
    if !batch.accepts.is_empty() {
        let accepts = &mut batch.accepts;
        accept::write(txn, &service.dispatch, accepts, counters, accepted).await?;
    }
    *told = lifecycle::write(
        txn,
        &service.snapshots.current(),
        (&service.clock, now),
        (&batch.accepts, accepted),
        (&batch.settlements, settled),
    )
    .await?;
    let kept = service.options.refusals_kept;
    refusals(kept, &mut service.refusal_counts, txn, batch, counters).await?;
    std::mem::take(counters).write(txn).await
}

/// Commits a batch and answers. On an error nothing is written and the batch is left as it was.
async fn commit(service: &mut Service, batch: &mut Batch) -> Result<(), DbErr> {
    let begun = Instant::now();
    let now = service.clock.now_ms();
    let mut written = Written::default();

    let work = async {
        let txn = service.store.begin().await?;
        if let Err(error) = write(service, &txn, batch, now, &mut written).await {
            txn.rollback().await;
            return Err(error);
        }
        txn.commit().await
    };
    // A connection whose other end is gone without a word would be waited for for ever. Whether
    // the commit was made is not known then, as after one whose answer was lost.
    let result = match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
    };

    if batch.accepts.is_empty() {
        // A refusal may find room where an event does not.
        service.db.wrote(result.as_ref().err());
    } else {
        service.db.committed(result.as_ref().err());
    }
    let Written {
        settled,
        accepted,
        told,
        ..
    } = written;
    if let Err(error) = result {
        // Their places are free again with the end of this.
        service.lost.extend(leased_by(&batch.accepts, &settled));
        accept::unplace(&mut batch.accepts);
        return Err(error);
    }
    for one in std::mem::take(&mut service.lost) {
        service.dispatch.announce(one.connection);
    }
    service
        .company
        .committed(batch.accepts.len(), Instant::now());
    service.metrics.committed(
        batch.accepts.len() + batch.settlements.len(),
        begun.elapsed().as_secs_f64(),
    );
    tell(service, batch, accepted, settled);
    for subscriber in told {
        service.dispatch.announce(subscriber);
    }
    Ok(())
}

/// Deliveries that a batch was about to lease to this node.
fn leased_by(accepts: &[AcceptWaiting], settled: &settle::Outcome) -> Vec<dispatch::Lost> {
    accepts
        .iter()
        .flat_map(|waiting| &waiting.accept.events)
        .flat_map(|event| &event.deliveries)
        .map(|delivery| &delivery.row)
        .filter(|row| row.state == State::Leased.as_str())
        .chain(settled.leased.rows())
        .map(dispatch::Lost::of)
        .collect()
}

/// Writes refusals, and cuts the ring of a source now and then.
async fn refusals(
    kept: u32,
    counts: &mut std::collections::HashMap<Uuid, u32>,
    txn: &Txn,
    batch: &Batch,
    counters: &mut Counters,
) -> Result<(), DbErr> {
    if batch.refusals.is_empty() {
        return Ok(());
    }
    for chunk in batch.refusals.chunks(sql::ROWS) {
        let rows: Vec<_> = chunk.iter().map(|r| &r.row).collect();
        txn.insert(&rows).await?;
    }
    for Refused { row: refusal, .. } in &batch.refusals {
        counters.add(
            refusal.workspace_id,
            refusal.at,
            metric::REFUSED,
            refusal.source_id,
            1,
        );
        let count = counts.entry(refusal.source_id).or_insert(kept);
        *count += 1;
        // Cut once at the first refusal after a start, then each time a tenth too many is there.
        if *count > kept + kept / 10 + 1 || *count == kept + 1 {
            *count = kept + 1;
            sql::execute(
                txn,
                "DELETE FROM refusal WHERE source_id = $1 AND id NOT IN (SELECT id FROM refusal \
                 WHERE source_id = $1 ORDER BY id DESC LIMIT $2)",
                vec![refusal.source_id.into(), i64::from(kept).into()],
            )
            .await?;
        }
    }
    Ok(())
}

/// After the commit: answers, hand-over, live feed.
fn tell(service: &Service, batch: &mut Batch, accepted: accept::Outcome, settled: settle::Outcome) {
    let now = service.clock.now_ms();
    let gone: i64 = settled.followers.values().map(|gone| gone.count).sum();
    for (state, count) in [
        (State::Dead, u64::try_from(gone).unwrap_or(0)),
        (State::Coalesced, accepted.coalesced),
        (State::Superseded, accepted.superseded),
    ] {
        service.metrics.ended(state, count);
    }
    for (connection, pause) in settled.paused {
        tell_pause(service, connection, pause, now);
    }
    service.dispatch.offer(settled.leased);
    let repeats = accepted.repeats;
    let mut new_events = 0;
    let mut leased = Vec::with_capacity(accepted.reserved.count());
    let mut answers = Vec::with_capacity(batch.accepts.len());
    for (a, (waiting, answer)) in batch.accepts.drain(..).zip(accepted.answers).enumerate() {
        answers.push((waiting.answer, answer));
        for (e, item) in waiting.accept.events.into_iter().enumerate() {
            if !repeats.contains(&(a, e)) {
                new_events += u64::from(!item.replay);
                tell_event(service, item, &mut leased, now);
            }
        }
    }
    service.metrics.accepted(new_events);
    service
        .dispatch
        .offer(Leased::new(leased, accepted.reserved));
    for (waiting, answer) in answers {
        // A sender that has gone away needs no answer: its event is stored all the same.
        let _gone = waiting.send(Ok(answer));
    }
    service.dispatch.announce_released();
    for connection in accepted.waiting {
        service.dispatch.announce(connection);
    }
    for (index, s) in batch.settlements.drain(..).enumerate() {
        if settled.refused.contains(&index) {
            tracing::warn!(
                delivery.id = %s.claimed.id,
                "A late outcome was refused: the lease had been lost."
            );
            continue;
        }
        if s.next == NewState::Delivered {
            let took = u32::try_from(now - s.claimed.created_at).unwrap_or(0);
            service.metrics.delivered(f64::from(took) / 1000.0);
        }
        if !s.next.state().is_open() {
            service.metrics.ended(s.next.state(), 1);
        }
        service.live.publish(
            s.claimed.workspace_id,
            Message::Delivery(DeliveryMessage {
                id: s.claimed.id,
                event_id: s.claimed.event_id,
                connection: s.connection,
                operation: s.claimed.operation,
                state: s.next.state(),
                attempts: s.claimed.attempts + i32::from(s.started_at.is_some()),
                effect: s.effect.map(|e| e.word().to_owned()),
                record_id: s.record.map(|r| r.id),
                error_code: s.fault.map(|f| f.code),
                at: from_ms(now),
            }),
        );
    }
    for Refused {
        row: refusal,
        source,
    } in batch.refusals.drain(..)
    {
        service.live.publish(
            refusal.workspace_id,
            Message::Refusal(RefusalMessage {
                source,
                status: u16::try_from(refusal.status).unwrap_or_default(),
                reason: refusal.reason,
                at: from_ms(refusal.at),
            }),
        );
    }
}

/// Stops the calls of a connection that needs attention. People are told once.
fn tell_pause(service: &Service, connection: Uuid, pause: settle::Pause, now: i64) {
    if !pause.first {
        service.dispatch.needs_attention_known(connection);
        return;
    }
    service.dispatch.needs_attention(connection, &pause.reason);
    service.live.publish(
        pause.workspace,
        Message::Connection(ConnectionMessage {
            id: connection,
            name: pause.connection,
            change: "attention".to_owned(),
            code: Some(pause.code.to_owned()),
            reason: Some(pause.reason),
            at: from_ms(now),
        }),
    );
}

/// Tells of an event, and of new deliveries that will not move by themselves; the others tell of
/// their outcome. Those that this node holds are collected for the dispatcher.
fn tell_event(
    service: &Service,
    item: AcceptEvent,
    leased: &mut Vec<entity::delivery::Model>,
    now: i64,
) {
    if !item.replay {
        service.metrics.routed(&item.event.disposition);
        service.live.publish(
            item.event.workspace_id,
            Message::Event(EventMessage {
                id: item.event.id,
                source: item.source,
                received_at: from_ms(item.event.received_at),
                disposition: item.event.disposition,
                reason: item.event.reason,
                rules: item.rules,
                title: item.event.title,
            }),
        );
    }
    for NewDelivery {
        row, connection, ..
    } in item.deliveries
    {
        match State::parse(&row.state) {
            Some(State::Leased) => leased.push(row),
            Some(State::Ready) | None => {}
            Some(state) => {
                // Final from the start; what became part of another is counted with those before it.
                if !state.is_open() && state != State::Coalesced {
                    service.metrics.ended(state, 1);
                }
                service.live.publish(
                    row.workspace_id,
                    Message::Delivery(DeliveryMessage {
                        id: row.id,
                        event_id: row.event_id,
                        connection,
                        operation: row.operation,
                        state,
                        attempts: 0,
                        effect: row.effect,
                        record_id: None,
                        error_code: row.error_code,
                        at: from_ms(now),
                    }),
                )
            }
        }
    }
}
