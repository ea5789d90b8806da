//! This node's row: its lease on everything it has leased, and the care for what dead nodes left.

use std::time::Duration;

use entity::node;
use sea_orm::{
    ActiveValue::Set, ConnAcquireErr, ConnectionTrait as _, DbErr, EntityTrait as _, Statement,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::set_back::{self, SetBack};
use super::{breakers, claim};
use crate::core::Core;
use crate::db::{Db, Outage, Sql};
use crate::journal::{OPEN, OPEN_D, sql};
use crate::nodes::lease::Watch;

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
    // The condition of the partial index stands in the text word for word, so that it is used.
    let query = format!(
        "UPDATE delivery SET state = 'ready', lease_owner = NULL, due_at = $2, \
         unsure = (unsure OR $3), updated_at = $2 WHERE lease_owner = $1 AND state = 'leased' \
         AND {OPEN}"
    );
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
    let mut query = format!(
        "UPDATE delivery SET state = 'ready', lease_owner = NULL, due_at = $1, unsure = TRUE, \
         updated_at = $1 WHERE state = 'leased' AND {OPEN}"
    );
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
    tokio::join!(keep_lease(&core, &shutdown), look_around(&core, &shutdown));
}

/// By itself: the lease must not run out because something else takes long.
async fn keep_lease(core: &Core, shutdown: &CancellationToken) {
    let lease = core.dispatch.0.options.lease;
    let mut others = Watch::default();
    let mut outage = Outage::default();
    let mut wait = lease / 4;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
        wait = match renew(core, lease, &mut others).await {
            Ok(()) => {
                outage.over();
                lease / 4
            }
            Err(error) => {
                outage.failed("The lease of this node could not be renewed.", &error);
                LOOK.min(lease / 4)
            }
        };
    }
}

async fn look_around(core: &Core, shutdown: &CancellationToken) {
    let mut known = breakers::Known::default();
    // Once at the start; again and again where there may be other nodes.
    let mut look_at_breakers = core.dispatch.0.options.works;
    let mut outage = Outage::default();
    let mut set_back = SetBack::default();
    loop {
        if look_at_breakers {
            match breakers::look(core, &mut known).await {
                Ok(()) => look_at_breakers = core.db.is_postgres(),
                Err(error) => outage.failed("The breakers could not be looked up.", &error),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => return,
        }
        // Looked at often, so that a clock that is set is noticed at once.
        let now = core.clock.now_ms();
        if let Err(error) = give_back_lost(core, now).await {
            outage.failed("Deliveries could not be given back.", &error);
        }
        if let Err(error) = set_back.look(core, now).await {
            outage.failed("What waits for the clock could not be moved.", &error);
        }
        if !core.dispatch.0.options.works {
            continue;
        }
        match claim::due_connections(&core.db, now).await {
            Ok(due) => {
                outage.over();
                due.into_iter().for_each(|c| core.dispatch.kick(c));
            }
            Err(error) => outage.failed("Due deliveries could not be looked up.", &error),
        }
    }
}

/// Frees what was leased to this node without its knowledge.
async fn give_back_lost(core: &Core, now: i64) -> Result<(), DbErr> {
    let lost = core.dispatch.0.lost.lock().clone();
    if lost.is_empty() {
        return Ok(());
    }
    give_back(core.db.write(), &lost, core.dispatch.node(), now).await?;
    core.dispatch
        .0
        .lost
        .lock()
        .retain(|row| !lost.contains(row));
    for one in lost {
        core.dispatch.announce(one.connection);
    }
    Ok(())
}

/// A lease of this node that may be on disk, by a commit whose answer never came, and that nobody
/// here has. The fence tells it from a lease that was taken since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The delivery.
    pub delivery: Uuid,
    /// Its connection.
    pub connection: Uuid,
    /// Of the lease.
    pub fence: i64,
}

impl Lost {
    /// What was about to be leased.
    pub fn of(row: &entity::delivery::Model) -> Self {
        Self {
            delivery: row.id,
            connection: row.connection_id,
            fence: row.fence,
        }
    }
}

/// Frees deliveries that are leased to this node and that nobody here has. No call was made.
///
/// # Errors
/// A statement failed.
pub async fn give_back(db: &impl Sql, lost: &[Lost], node: Uuid, now: i64) -> Result<(), DbErr> {
    for chunk in sql::padded(lost) {
        let mut rows = sql::Values::of(db);
        for one in chunk {
            rows.row([one.delivery.into(), one.fence.into()]);
        }
        // In the order of the text.
        let due = rows.single(now.into());
        let (at, owner) = (rows.single(now.into()), rows.single(node.into()));
        let query = format!(
            "WITH v(id, fence) AS (VALUES {}) UPDATE delivery SET state = 'ready', lease_owner = NULL, \
             due_at = {due}, updated_at = {at} FROM v WHERE delivery.id = v.id AND delivery.fence = v.fence \
             AND {leased} AND delivery.lease_owner = {owner}",
            rows.text,
            leased = sql::state_is("leased"),
        );
        sql::execute(db, query, rows.values).await?;
    }
    Ok(())
}

async fn renew(core: &Core, lease: Duration, others: &mut Watch) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    let begun = std::time::Instant::now();
    let id = core.dispatch.node();
    // Nothing is lost with a renewal that a crash of PostgreSQL undoes: it need not wait for the disk.
    let query = if core.db.is_postgres() {
        "WITH quick AS (SELECT set_config('synchronous_commit', 'off', TRUE)) \
         UPDATE node SET lease_until = $2 FROM quick WHERE id = $1"
    } else {
        "UPDATE node SET lease_until = $2 WHERE id = $1"
    };
    let values = vec![id.into(), until(now, lease).into()];
    let statement = Statement::from_sql_and_values(core.db.backend(), query, values);
    // A connection whose other end is silent would be waited for longer than the lease holds.
    let renewed = tokio::time::timeout(lease / 2, core.db.write().execute_raw(statement))
        .await
        .unwrap_or(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)));
    core.db.wrote(renewed.as_ref().err());
    if renewed?.rows_affected() == 0 {
        // Others took this node for dead, and what it held is theirs. Under another id it is the
        // owner of nothing, whatever it has in memory, and late outcomes are refused.
        tracing::warn!("The lease of this node had run out; it starts anew.");
        let role = core.settings.role.word();
        let serves = core.snapshots.current().revision;
        let id = crate::ids::new(&core.clock);
        insert(core.db.write(), id, role, now, lease, serves).await?;
        *core.dispatch.0.node.write() = id;
    }
    core.nodes.lease().renewed(begun);
    if core.db.is_postgres() {
        crate::nodes::greet(core).await?;
        bury(core, lease, others).await?;
        set_back::look_at_others(&core.db, now).await?;
    }
    Ok(())
}

/// Frees what dead nodes had leased.
async fn bury(core: &Core, lease: Duration, others: &mut Watch) -> Result<(), DbErr> {
    use sea_orm::{ColumnTrait as _, QueryFilter as _};
    let db = &core.db;
    let rows: Vec<(Uuid, i64)> = node::Entity::find()
        .filter(node::Column::Id.ne(core.dispatch.node()))
        .all(db.read())
        .await?
        .into_iter()
        .map(|row| (row.id, row.lease_until))
        .collect();
    for (id, lease_until) in others.look(&rows, std::time::Instant::now(), lease) {
        let txn = db.begin().await?;
        // Whoever deletes the row frees the leases; a node that came back meanwhile keeps both.
        let gone = node::Entity::delete_many()
            .filter(node::Column::Id.eq(id))
            .filter(node::Column::LeaseUntil.eq(lease_until))
            .exec(&txn)
            .await?;
        if gone.rows_affected > 0 {
            let freed = free(&txn, Some(id), core.clock.now_ms()).await?;
            tracing::warn!(node.id = %id, freed, "A node is gone; its deliveries are free again.");
        }
        txn.commit().await?;
    }
    for owner in strangers(db).await? {
        let freed = free(db.write(), Some(owner), core.clock.now_ms()).await?;
        tracing::warn!(node.id = %owner, freed, "Deliveries of a node that is gone are free again.");
    }
    Ok(())
}

/// Owners of leases that are no nodes: taken by a commit that was under way when its node was taken
/// for dead.
async fn strangers(db: &Db) -> Result<Vec<Uuid>, DbErr> {
    let query = format!(
        "SELECT DISTINCT d.lease_owner AS owner FROM connection c JOIN delivery d \
         ON d.connection_id = c.id AND d.state = 'leased' AND {OPEN_D} \
         WHERE NOT EXISTS (SELECT 1 FROM node n WHERE n.id = d.lease_owner)"
    );
    let rows = sql::rows(db.read(), query, Vec::new()).await?;
    let owners = rows.iter().map(|row| row.try_get("", "owner"));
    // Never without an owner; a lease that had none would be nobody's to free.
    Ok(owners
        .collect::<Result<Vec<Option<Uuid>>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}
