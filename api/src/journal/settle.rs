//! Writing the outcomes of attempts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use entity::{attempt, link};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DbErr, EntityTrait as _, QueryTrait as _, Value};
use uuid::Uuid;

use super::aside::{self, Followers};
use super::clean;
use super::entry::{NewState, Settlement};
use super::lanes::{self, Lane};
use super::sql;
use super::stats::{Counters, metric};
use super::store::Txn;
use crate::connectors::{Effect, LinkChange};
use crate::db::{Bound, DirectTransaction, Lists, OwnTransaction, Sql, bump_configuration};
use crate::dispatch::{self, Leased};

/// What a batch of settlements came to, to be told after the commit.
#[derive(Default)]
pub struct Outcome {
    /// Indexes of the settlements that were refused: their lease was lost.
    pub refused: HashSet<usize>,
    /// Deliveries that this node holds now, next in their lanes.
    pub leased: Leased,
    /// Connections that need attention, in one order on all nodes: their rows are locked one by one.
    pub paused: BTreeMap<Uuid, Pause>,
    /// What becomes a dead letter with the head of its lane.
    pub followers: HashMap<Lane, Followers>,
}

/// Why a connection needs attention.
#[derive(Clone, Debug)]
pub struct Pause {
    /// The workspace.
    pub workspace: Uuid,
    /// Name of the connection.
    pub connection: String,
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub reason: String,
    /// Revision that was called.
    revision: i64,
    /// Since when it was in its state, as the call knew it.
    state_at: i64,
    /// Since this commit; people are told once, whichever node it is and however many calls failed.
    pub first: bool,
}

/// The lanes in which a batch ends or moves something.
pub fn lanes_of(batch: &[Settlement]) -> impl Iterator<Item = Lane> {
    batch.iter().filter_map(|s| lanes::of(&s.claimed))
}

/// Writes a batch. Its lanes are locked.
pub async fn write(
    txn: &Txn,
    dispatch: &dispatch::Handle,
    batch: &[Settlement],
    now: i64,
    counters: &mut Counters,
    outcome: &mut Outcome,
) -> Result<(), DbErr> {
    let written = update(txn, dispatch.node(), batch, now).await?;

    let mut attempts = Vec::new();
    let mut ended: BTreeSet<Lane> = BTreeSet::new();
    let mut failed: BTreeMap<Lane, Uuid> = BTreeMap::new();
    for (index, s) in batch.iter().enumerate() {
        if !written.contains(&(s.claimed.id, s.claimed.fence)) {
            outcome.refused.insert(index);
            continue;
        }
        count(counters, s, now);
        if let Some(row) = attempt_row(s, now) {
            attempts.push(row);
        }
        remember(txn, s, now).await?;
        if !s.next.state().is_open() {
            ended.extend(lanes::of(&s.claimed));
        }
        if s.next == NewState::DeadWithLane {
            failed.extend(lanes::of(&s.claimed).map(|lane| (lane, s.claimed.id)));
        }
        // Without an attempt nobody has refused anything: its connection was known to be paused.
        if s.next == NewState::Paused && s.started_at.is_some() {
            let pause = pause_of(s);
            outcome
                .paused
                .entry(s.claimed.connection_id)
                .and_modify(|before| {
                    before.revision = before.revision.max(pause.revision);
                    before.state_at = before.state_at.max(pause.state_at);
                })
                .or_insert(pause);
        }
    }
    let attempts: Vec<&attempt::Model> = attempts.iter().collect();
    txn.insert(&attempts).await?;
    outcome.followers = aside::park(txn, &failed, now).await?;
    for ((connection, _), gone) in &outcome.followers {
        counters.add(gone.workspace, now, metric::DEAD, *connection, gone.count);
    }
    outcome.leased = lanes::release(txn, dispatch, &ended, now).await?;
    for (connection, mut wanted) in std::mem::take(&mut outcome.paused) {
        if pause(txn, connection, &mut wanted, now).await? {
            outcome.paused.insert(connection, wanted);
        }
    }
    Ok(())
}

fn pause_of(s: &Settlement) -> Pause {
    let fault = s.fault.as_ref();
    let mass = fault.is_some_and(|fault| fault.code == dispatch::MASS_GONE);
    Pause {
        workspace: s.claimed.workspace_id,
        connection: s.connection.clone(),
        code: if mass {
            dispatch::MASS_GONE
        } else {
            dispatch::CREDENTIALS_REFUSED
        },
        reason: fault.map(|f| clean::fault(&f.message)).unwrap_or_default(),
        revision: s.revision,
        state_at: s.state_at,
        first: false,
    }
}

/// Moves the deliveries on, where the lease still holds. Returns id and fence of those that were: a
/// batch can hold an outcome of a lease that was lost beside one of the lease after it.
async fn update(
    txn: &Txn,
    node: Uuid,
    batch: &[Settlement],
    now: i64,
) -> Result<HashSet<(Uuid, i64)>, DbErr> {
    match txn {
        Txn::Direct(txn) => update_each(txn, node, batch, now),
        Txn::Own(txn) => update_all(txn, node, batch, now).await,
    }
}

async fn update_all(
    txn: &OwnTransaction,
    node: Uuid,
    batch: &[Settlement],
    now: i64,
) -> Result<HashSet<(Uuid, i64)>, DbErr> {
    let mut written = HashSet::with_capacity(batch.len());
    let mut rows = batch.iter().map(|s| {
        let lease = [s.claimed.id.into(), s.claimed.fence.into()];
        lease.into_iter().chain(moved(s, now))
    });
    while let Some(lists) = Lists::take(&mut rows)? {
        let query = format!(
            "UPDATE delivery SET state = v.state, due_at = v.due_at, unsure = v.unsure, \
             attempts = v.attempts, tried_at = v.tried_at, error_code = v.error_code, \
             error = v.error, effect = v.effect, \
             record_id = COALESCE(v.record_id, delivery.record_id), \
             record_url = COALESCE(v.record_url, delivery.record_url), \
             finished_at = v.finished_at, lane_parked = v.lane_parked, \
             lease_owner = NULL, updated_at = $1 \
             FROM {table} AS v(id, fence, state, due_at, unsure, attempts, tried_at, error_code, \
             error, effect, record_id, record_url, finished_at, lane_parked) \
             WHERE delivery.id = v.id AND delivery.fence = v.fence AND {leased} \
             AND delivery.lease_owner = $2 RETURNING delivery.id AS id, delivery.fence AS fence",
            table = lists.table(2),
            leased = sql::state_is("leased"),
        );
        let values = vec![now.into(), node.into()];
        for row in txn.with_lists(query, values, lists).await? {
            written.insert((row.get("id")?, row.get("fence")?));
        }
    }
    Ok(written)
}

/// The same on SQLite, where a list of values costs a table of its own: one by one by the same
/// statement.
fn update_each(
    txn: &DirectTransaction,
    node: Uuid,
    batch: &[Settlement],
    now: i64,
) -> Result<HashSet<(Uuid, i64)>, DbErr> {
    let text = "UPDATE delivery SET state = ?, due_at = ?, unsure = ?, attempts = ?, tried_at = ?, \
                error_code = ?, error = ?, effect = ?, record_id = COALESCE(?, record_id), \
                record_url = COALESCE(?, record_url), finished_at = ?, lane_parked = ?, \
                lease_owner = NULL, updated_at = ? \
                WHERE id = ? AND fence = ? AND state = 'leased' AND lease_owner = ?";
    let rows = batch.iter().map(|s| {
        let lease = [
            now.into(),
            s.claimed.id.into(),
            s.claimed.fence.into(),
            node.into(),
        ];
        moved(s, now).into_iter().chain(lease).map(Bound)
    });
    let changed = txn.each(text, rows)?;
    Ok(batch
        .iter()
        .zip(changed)
        .filter(|(_, changed)| *changed > 0)
        .map(|(s, _)| (s.claimed.id, s.claimed.fence))
        .collect())
}

/// What an outcome makes of the row, from its state to whether its lane is parked.
fn moved(s: &Settlement, now: i64) -> [Value; 12] {
    let row = &s.claimed;
    let (due_at, unsure) = match s.next {
        NewState::Retrying { wait_ms, unsure } => (now.saturating_add(wait_ms), unsure),
        _ => (row.due_at, row.unsure),
    };
    let tried = s.started_at.is_some();
    [
        s.next.state().as_str().into(),
        due_at.into(),
        unsure.into(),
        (row.attempts + i32::from(tried)).into(),
        row.tried_at.or(s.started_at).into(),
        s.fault.as_ref().map(|f| clean::text(f.code.clone())).into(),
        s.fault.as_ref().map(|f| clean::fault(&f.message)).into(),
        s.effect.map(|e| e.word().to_owned()).into(),
        s.record.as_ref().map(|r| clean::text(r.id.clone())).into(),
        s.record
            .as_ref()
            .and_then(|r| r.url.clone())
            .map(clean::text)
            .into(),
        Some(now).filter(|_| !s.next.state().is_open()).into(),
        s.next.is_lane_parked().into(),
    ]
}

fn count(counters: &mut Counters, s: &Settlement, now: i64) {
    let row = &s.claimed;
    if crate::lifecycle::is_message(row) {
        return;
    }
    let mut add = |name, n| counters.add(row.workspace_id, now, name, row.connection_id, n);
    match s.next {
        NewState::Delivered => {
            add(metric::DELIVERED, 1);
            add(metric::LATENCY_MS, (now - row.created_at).max(0));
        }
        NewState::Dead | NewState::DeadWithLane => add(metric::DEAD, 1),
        _ => {}
    }
    match s.effect {
        Some(Effect::Created) => add(metric::CREATED, 1),
        Some(Effect::Updated | Effect::Noted) => add(metric::UPDATED, 1),
        Some(Effect::Closed) => add(metric::CLOSED, 1),
        Some(Effect::Sent | Effect::None) | None => {}
    }
}

fn attempt_row(s: &Settlement, now: i64) -> Option<attempt::Model> {
    let started_at = s.started_at?;
    Some(attempt::Model {
        id: crate::ids::at(now),
        workspace_id: s.claimed.workspace_id,
        delivery_id: s.claimed.id,
        number: s.claimed.attempts + 1,
        started_at,
        duration_ms: s.duration_ms,
        outcome: s.outcome.to_owned(),
        status: s
            .fault
            .as_ref()
            .and_then(|f| f.status)
            .or_else(|| s.exchanges.iter().rev().find_map(|e| e.status))
            .map(i32::from),
        error_code: s.fault.as_ref().map(|f| clean::text(f.code.clone())),
        error: s.fault.as_ref().map(|f| clean::fault(&f.message)),
        exchanges: clean::text(serde_json::to_string(&s.exchanges).unwrap_or_default()),
    })
}

/// Brings the ledger up to date.
async fn remember(txn: &Txn, s: &Settlement, now: i64) -> Result<(), DbErr> {
    let Some((connection, key)) = lanes::of(&s.claimed) else {
        return Ok(());
    };
    match &s.link {
        LinkChange::Keep => {}
        LinkChange::Clear => {
            sql::execute(
                txn,
                "DELETE FROM link WHERE connection_id = $1 AND key = $2",
                vec![connection.into(), key.into()],
            )
            .await?;
        }
        LinkChange::Set { record, open } => {
            let row = link::ActiveModel {
                id: Set(crate::ids::at(now)),
                workspace_id: Set(s.claimed.workspace_id),
                connection_id: Set(connection),
                key: Set(key),
                record_id: Set(clean::text(record.id.clone())),
                record_url: Set(record.url.clone().map(clean::text)),
                state: Set(if *open { "open" } else { "closed" }.to_owned()),
                created_at: Set(now),
                updated_at: Set(now),
            };
            let conflict = OnConflict::columns([link::Column::ConnectionId, link::Column::Key])
                .update_columns([
                    link::Column::RecordId,
                    link::Column::RecordUrl,
                    link::Column::State,
                    link::Column::UpdatedAt,
                ])
                .to_owned();
            let insert = link::Entity::insert(row).on_conflict(conflict);
            txn.run(insert.build(txn.backend())).await?;
        }
    }
    Ok(())
}

/// Marks a connection, unless it was changed, or set going again, since it was called: its state is
/// later with each change, whatever the clocks of the nodes say. What waits for it is set aside by
/// its carrier, a little at a time. Returns whether it needs attention.
async fn pause(
    txn: &impl Sql,
    connection: Uuid,
    wanted: &mut Pause,
    now: i64,
) -> Result<bool, DbErr> {
    let changed = sql::execute(
        txn,
        "UPDATE connection SET state = 'attention', state_code = $2, state_reason = $3, \
         state_at = CASE WHEN state_at < $4 THEN $4 ELSE state_at + 1 END WHERE id = $1 \
         AND state <> 'attention' AND revision <= $5 AND state_at <= $6",
        vec![
            connection.into(),
            wanted.code.into(),
            wanted.reason.clone().into(),
            now.into(),
            wanted.revision.into(),
            wanted.state_at.into(),
        ],
    )
    .await?;
    if changed > 0 {
        wanted.first = true;
        // The other nodes learn of it with the configuration.
        bump_configuration(txn).await?;
        return Ok(true);
    }
    let query = "SELECT 1 AS one FROM connection WHERE id = $1 AND state = 'attention'";
    Ok(!sql::fetch(txn, query, vec![connection.into()])
        .await?
        .is_empty())
}
