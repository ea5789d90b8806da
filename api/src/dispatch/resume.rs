//! Setting the deliveries of a connection aside, and taking them up again.

use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use uuid::Uuid;

use crate::core::Core;
use crate::db::bump_configuration;
use crate::lifecycle::{self, Message};
use crate::scope::Scope;

/// Takes up the deliveries that were set aside while the connection needed attention. Called after
/// a passed test or an edit. Returns how many there were.
///
/// # Errors
/// A statement failed; nothing was changed.
pub async fn resume(core: &Core, scope: Scope, connection: Uuid) -> Result<u64, DbErr> {
    let now = core.clock.now_ms();
    let txn = core.db.begin().await?;
    let statement = |query: &str| {
        Statement::from_sql_and_values(
            core.db.backend(),
            query,
            vec![connection.into(), scope.workspace().into(), now.into()],
        )
    };
    let changed = txn
        .execute_raw(statement(
            "UPDATE connection SET state = 'ok', state_reason = NULL, state_at = $3 \
             WHERE id = $1 AND workspace_id = $2 AND state <> 'ok'",
        ))
        .await?
        .rows_affected();
    let resumed = txn
        .execute_raw(statement(
            "UPDATE delivery SET state = 'ready', due_at = $3, updated_at = $3 \
             WHERE connection_id = $1 AND workspace_id = $2 AND state = 'paused'",
        ))
        .await?
        .rows_affected();
    if changed > 0 {
        bump_configuration(&txn).await?;
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
    core.dispatch.attention_over(connection);
    Ok(resumed)
}
