//! This node's row: its lease on everything it has leased, and the care for what dead nodes left.

use std::time::Duration;

use entity::node;
use sea_orm::{ActiveValue::Set, ConnectionTrait as _, DbErr, EntityTrait as _, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{breakers, claim};
use crate::core::Core;
use crate::db::Db;

/// How often due work is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Makes this node known. On SQLite no other server can be alive (the lock file says so), so
/// everything a predecessor had leased is free at once.
///
/// # Errors
/// A statement failed.
pub async fn register(
    db: &Db,
    id: Uuid,
    role: &str,
    now: i64,
    lease: Duration,
) -> Result<(), DbErr> {
    let txn = db.begin().await?;
    if !db.is_postgres() {
        free(&txn, None, now).await?;
        node::Entity::delete_many().exec(&txn).await?;
    }
    insert(&txn, id, role, now, lease, 0).await?;
    txn.commit().await
}

async fn insert(
    txn: &impl sea_orm::ConnectionTrait,
    id: Uuid,
    role: &str,
    now: i64,
    lease: Duration,
    config_revision: i64,
) -> Result<(), DbErr> {
    node::Entity::insert(node::ActiveModel {
        id: Set(id),
        role: Set(role.to_owned()),
        started_at: Set(now),
        lease_until: Set(until(now, lease)),
        config_revision: Set(config_revision),
    })
    .exec_without_returning(txn)
    .await?;
    Ok(())
}

fn until(now: i64, lease: Duration) -> i64 {
    now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
}

/// Frees what this node still holds and removes its row. `unsure` if calls may be under way.
///
/// # Errors
/// A statement failed; the lease runs out by itself.
pub async fn unregister(db: &Db, id: Uuid, now: i64, unsure: bool) -> Result<(), DbErr> {
    let txn = db.begin().await?;
    let query = "UPDATE delivery SET state = 'ready', lease_owner = NULL, due_at = $2, \
                 unsure = (unsure OR $3), updated_at = $2 WHERE lease_owner = $1 AND state = 'leased'";
    let values = vec![id.into(), now.into(), unsure.into()];
    txn.execute_raw(Statement::from_sql_and_values(db.backend(), query, values))
        .await?;
    node::Entity::delete_by_id(id).exec(&txn).await?;
    txn.commit().await
}

/// Frees the leases of one node, or of all.
async fn free(
    txn: &impl sea_orm::ConnectionTrait,
    owner: Option<Uuid>,
    now: i64,
) -> Result<u64, DbErr> {
    let mut query = "UPDATE delivery SET state = 'ready', lease_owner = NULL, due_at = $1, \
                     unsure = TRUE, updated_at = $1 WHERE state = 'leased'"
        .to_owned();
    let mut values = vec![now.into()];
    if let Some(owner) = owner {
        query.push_str(" AND lease_owner = $2");
        values.push(owner.into());
    }
    let statement = Statement::from_sql_and_values(txn.get_database_backend(), query, values);
    Ok(txn.execute_raw(statement).await?.rows_affected())
}

/// Renews the lease, frees those of dead nodes, and wakes carriers that have something due.
pub async fn keep(core: Core, shutdown: CancellationToken) {
    let lease = core.dispatch.0.options.lease;
    let mut renewed = tokio::time::Instant::now();
    let mut known = breakers::Known::default();
    // Once at the start; again and again where there may be other nodes.
    let mut look_at_breakers = core.dispatch.0.options.works;
    loop {
        if look_at_breakers {
            match breakers::look(&core, &mut known).await {
                Ok(()) => look_at_breakers = core.db.is_postgres(),
                Err(error) => tracing::warn!(%error, "The breakers could not be looked up."),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => return,
        }
        if renewed.elapsed() >= lease / 4 {
            match renew(&core, lease).await {
                Ok(()) => renewed = tokio::time::Instant::now(),
                Err(error) => {
                    tracing::warn!(%error, "The lease of this node could not be renewed.")
                }
            }
        }
        if !core.dispatch.0.options.works {
            continue;
        }
        match claim::due_connections(&core.db, core.clock.now_ms()).await {
            Ok(due) => due.into_iter().for_each(|c| core.dispatch.kick(c)),
            Err(error) => tracing::warn!(%error, "Due deliveries could not be looked up."),
        }
    }
}

async fn renew(core: &Core, lease: Duration) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    let id = core.dispatch.node();
    let query = "UPDATE node SET lease_until = $2 WHERE id = $1";
    let values = vec![id.into(), until(now, lease).into()];
    let statement = Statement::from_sql_and_values(core.db.backend(), query, values);
    let renewed = core
        .db
        .write()
        .execute_raw(statement)
        .await?
        .rows_affected();
    if renewed == 0 {
        // Others took this node for dead. What it held is theirs now; fences keep its late
        // outcomes out.
        tracing::warn!("The lease of this node had run out; it starts anew.");
        let role = core.settings.role.word();
        let serves = core.snapshots.current().revision;
        insert(core.db.write(), id, role, now, lease, serves).await?;
    }
    if core.db.is_postgres() {
        bury(&core.db, now).await?;
    }
    Ok(())
}

/// Frees what dead nodes had leased.
async fn bury(db: &Db, now: i64) -> Result<(), DbErr> {
    use sea_orm::{ColumnTrait as _, QueryFilter as _};
    let dead = node::Entity::find()
        .filter(node::Column::LeaseUntil.lt(now))
        .all(db.read())
        .await?;
    for row in dead {
        let txn = db.begin().await?;
        // Whoever deletes the row frees the leases; a node that came back meanwhile keeps both.
        let gone = node::Entity::delete_many()
            .filter(node::Column::Id.eq(row.id))
            .filter(node::Column::LeaseUntil.lt(now))
            .exec(&txn)
            .await?;
        if gone.rows_affected > 0 {
            let freed = free(&txn, Some(row.id), now).await?;
            tracing::warn!(node.id = %row.id, freed, "A node is gone; its deliveries are free again.");
        }
        txn.commit().await?;
    }
    Ok(())
}
