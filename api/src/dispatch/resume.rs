//! Setting the deliveries of a connection aside, and taking them up again.
//!
//! Invariant: what waits for a connection that needs attention is not claimed, whatever its state;
//! once the connection works again, what was set aside is claimed like what is due. So neither
//! touches more than a few rows at a time, and a crash in the middle loses nothing.

use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use uuid::Uuid;

use crate::core::Core;
use crate::db::{Db, bump_configuration};
use crate::journal::OPEN;
use crate::lifecycle::{self, Message};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};

/// Deliveries that one statement sets aside.
pub const BATCH: u64 = 500;

/// Lets a connection that needed attention go on. Called after a passed test or by a person.
/// Returns whether it needed attention; only then a `line` of the audit log is written.
///
/// # Errors
/// A statement failed; nothing was changed.
pub async fn resume(
    core: &Core,
    scope: Scope,
    connection: Uuid,
    line: Option<(&Actor, Act<'_>)>,
) -> Result<bool, DbErr> {
    let now = core.clock.now_ms();
    let txn = core.db.begin().await?;
    // Later than the state before it, whatever the clocks of the nodes say: by this a call that
    // began before the repair is told from one after it.
    let changed = txn
        .execute_raw(Statement::from_sql_and_values(
            core.db.backend(),
            "UPDATE connection SET state = 'ok', state_code = NULL, state_reason = NULL, \
             state_at = CASE WHEN state_at < $3 THEN $3 ELSE state_at + 1 END WHERE id = $1 AND workspace_id = $2 AND state <> 'ok'",
            vec![connection.into(), scope.workspace().into(), now.into()],
        ))
        .await?
        .rows_affected();
    if changed > 0 {
        bump_configuration(&txn).await?;
        if let Some((by, act)) = line {
            audit::note(&txn, &core.clock, scope, by, act).await?;
        }
    }
    let told = if changed > 0 {
        let snapshot = core.snapshots.current();
        let known = snapshot.connection(connection);
        let message = known.and_then(|c| Message::resumed(&c, now));
        lifecycle::publish_in(&txn, &snapshot, message).await?
    } else {
        Vec::new()
    };
    txn.commit().await?;
    lifecycle::wake(core, told);
    core.dispatch.attention_over(connection, false);
    if changed > 0 {
        super::breakers::announce_over(core, connection);
    }
    Ok(changed > 0)
}

/// What is set aside while a connection needs attention.
pub const ALL: &[&str] = &["ready", "retrying"];
/// What is set aside while it is switched off: what was tried before, whose horizon stands still
/// then. What was not tried has none yet.
pub const TRIED: &[&str] = &["retrying"];

/// Shows some of the deliveries that wait for a connection that needs attention, or is switched off,
/// as `paused`. Returns how many there were; fewer than [`BATCH`] were the last.
///
/// # Errors
/// The statement failed.
pub async fn set_aside(db: &Db, connection: Uuid, states: &[&str], now: i64) -> Result<u64, DbErr> {
    let mut changed = 0;
    for state in states {
        let lock = if db.is_postgres() {
            "FOR UPDATE SKIP LOCKED"
        } else {
            ""
        };
        let query = set_aside_query(state, lock);
        let left = i64::try_from(BATCH.saturating_sub(changed)).unwrap_or(0);
        let values = vec![
            connection.into(),
            now.into(),
            // Those behind have the latest time of all.
            i64::MAX.into(),
            left.into(),
        ];
        let statement = Statement::from_sql_and_values(db.backend(), query, values);
        changed += db.write().execute_raw(statement).await?.rows_affected();
    }
    Ok(changed)
}

/// The condition of the partial index stands in the text word for word, so that it is used.
pub fn set_aside_query(state: &str, lock: &str) -> String {
    format!(
        "UPDATE delivery SET state = 'paused', updated_at = $2 WHERE id IN (SELECT id FROM \
         delivery WHERE connection_id = $1 AND state = '{state}' AND {OPEN} AND \
         behind = FALSE AND due_at < $3 ORDER BY due_at LIMIT $4 {lock}) AND EXISTS (SELECT 1 \
         FROM connection c WHERE c.id = $1 AND (c.state = 'attention' OR c.enabled = FALSE))"
    )
}
