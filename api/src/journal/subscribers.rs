//! How subscribers do: since when one only fails, and when it is switched off for that.
//!
//! Invariant: this is written in the transaction of the outcomes it follows from. What was changed
//! since a call began is not held against the change. A switch-off is written once, whichever node
//! it is and however many calls failed, and the audit log has it.

use std::collections::BTreeMap;

use sea_orm::DbErr;
use serde_json::{Value, json};
use uuid::Uuid;

use super::entry::{NewState, Settlement};
use super::sql;
use crate::clock::Clock;
use crate::connectors::webhook;
use crate::db::{Sql, bump_configuration};
use crate::lifecycle::{MESSAGE, Message};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::snapshot::{ConnectionConfig, Snapshot};

const DAY_MS: i64 = 86_400_000;

/// How a subscriber did in a batch.
#[derive(Default)]
struct Health {
    delivered: bool,
    failed: bool,
    gone: bool,
    /// The newest revision that was called.
    revision: i64,
}

/// Why one is switched off.
struct Verdict {
    /// Stable code.
    code: &'static str,
    /// For people.
    reason: String,
    /// Only if nothing was taken since then; milliseconds since 1970. None: whatever was taken.
    since: Option<i64>,
}

/// Notes since when a subscriber only fails, and switches one off that has for too long, or that
/// says that it is gone. Returns what the others are told of that.
pub async fn note(
    txn: &impl Sql,
    snapshot: &Snapshot,
    own: &[&Settlement],
    (clock, now): (&Clock, i64),
) -> Result<Vec<Message>, DbErr> {
    let mut told = Vec::new();
    let mut all: BTreeMap<Uuid, Health> = BTreeMap::new();
    for s in own.iter().filter(|s| s.started_at.is_some()) {
        let health = all.entry(s.claimed.connection_id).or_default();
        health.delivered |= s.next == NewState::Delivered;
        health.failed |= s.next != NewState::Delivered;
        health.gone |= s.outcome == "gone";
        health.revision = health.revision.max(s.revision);
    }
    for (id, health) in all {
        failing(txn, id, &health, now).await?;
        let Some(connection) = snapshot.connection(id) else {
            continue;
        };
        if let Some(verdict) = verdict(&connection, &health, now)
            && switch_off(txn, id, &health, &verdict, (clock, now)).await?
        {
            tracing::warn!(connection.id = %id, reason = verdict.reason, operation = MESSAGE, "A subscriber was switched off.");
            record(txn, clock, &connection, &verdict).await?;
            bump_configuration(txn).await?;
            let why = (verdict.code, verdict.reason.as_str());
            told.push(Message::switched_off(&connection, why, now));
        }
    }
    Ok(told)
}

async fn failing(txn: &impl Sql, id: Uuid, health: &Health, now: i64) -> Result<(), DbErr> {
    let (query, values) = if health.delivered {
        let query = "UPDATE connection SET failing_since = NULL WHERE id = $1 \
                     AND failing_since IS NOT NULL";
        (query, vec![id.into()])
    } else {
        let query = "UPDATE connection SET failing_since = $2 WHERE id = $1 \
                     AND failing_since IS NULL";
        (query, vec![id.into(), now.into()])
    };
    sql::execute(txn, query, values).await?;
    Ok(())
}

fn verdict(connection: &ConnectionConfig, health: &Health, now: i64) -> Option<Verdict> {
    if health.gone {
        return Some(Verdict {
            code: webhook::GONE,
            reason: "Switched off: the subscriber said that it is gone (410).".to_owned(),
            since: None,
        });
    }
    let settings = webhook::settings(&connection.view).ok()?;
    let days = settings
        .disable_after_days()
        .filter(|_| health.failed && !health.delivered)?;
    Some(Verdict {
        code: webhook::FAILING,
        reason: format!("Switched off: every message failed for {days} days."),
        since: Some(now - i64::from(days) * DAY_MS),
    })
}

/// Returns whether it was on.
async fn switch_off(
    txn: &impl Sql,
    id: Uuid,
    health: &Health,
    verdict: &Verdict,
    (clock, now): (&Clock, i64),
) -> Result<bool, DbErr> {
    let failing = match verdict.since {
        None => None,
        Some(since) => match failing_since(txn, id).await? {
            // By the time that really passed: a clock that was set ahead makes no week.
            Some(at) if clock.steady(at) <= since => Some(at),
            _ => return Ok(false),
        },
    };
    let changed = sql::execute(
        txn,
        "UPDATE connection SET enabled = FALSE, state_code = $2, state_reason = $3, \
         state_at = CASE WHEN state_at < $4 THEN $4 ELSE state_at + 1 END, \
         revision = revision + 1, updated_at = $4 WHERE id = $1 \
         AND enabled = TRUE AND (failing_since = $5 OR $5 IS NULL) AND revision <= $6",
        vec![
            id.into(),
            verdict.code.into(),
            verdict.reason.clone().into(),
            now.into(),
            failing.into(),
            health.revision.into(),
        ],
    )
    .await?;
    Ok(changed > 0)
}

async fn failing_since(txn: &impl Sql, id: Uuid) -> Result<Option<i64>, DbErr> {
    let query = "SELECT failing_since AS at FROM connection WHERE id = $1";
    let rows = sql::fetch(txn, query, vec![id.into()]).await?;
    rows.first().map_or(Ok(None), |row| row.get("at"))
}

async fn record(
    txn: &impl Sql,
    clock: &Clock,
    connection: &ConnectionConfig,
    verdict: &Verdict,
) -> Result<(), DbErr> {
    let scope = Scope::granted(connection.view.workspace_id);
    let act = Act {
        action: "connection.switch_off",
        kind: "connection",
        id: Some(connection.view.id),
        name: &connection.view.name,
        before: json!({ "enabled": true, "state_code": Value::Null }),
        after: json!({
            "enabled": false,
            "state_code": verdict.code,
            "state_reason": verdict.reason,
        }),
    };
    audit::note(txn, clock, scope, &Actor::system("lifecycle"), act).await
}
