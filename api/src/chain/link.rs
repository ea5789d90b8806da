//! Lines join the chain.

use std::time::Duration;

use entity::{audit, audit_chain};
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hash;
use crate::core::Core;
use crate::db::{Db, Outage};
use crate::journal::sql;

/// How often lines that have not joined are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Lines that join in one transaction.
const PIECE: u64 = 200;

/// Lets lines join until `shutdown`, and then those that are left.
pub async fn keep(core: Core, shutdown: CancellationToken) {
    let mut outage = Outage::default();
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => stopping = true,
        }
        match join_all(&core.db).await {
            Ok(()) => outage.over(),
            Err(error) => outage.failed("Lines of the audit log could not join its chain.", &error),
        }
    }
}

async fn join_all(db: &Db) -> Result<(), DbErr> {
    let loose: Vec<Uuid> = audit::Entity::find()
        .select_only()
        .column(audit::Column::WorkspaceId)
        .distinct()
        .filter(audit::Column::Seq.is_null())
        .into_tuple()
        .all(db.read())
        .await?;
    for workspace in loose {
        while join(db, workspace).await? {}
    }
    Ok(())
}

/// Lets some lines join; says whether there may be more.
async fn join(db: &Db, workspace: Uuid) -> Result<bool, DbErr> {
    let txn = db.begin().await?;
    sql::execute(
        &txn,
        "INSERT INTO audit_chain (workspace_id, seq, hash, anchor_seq, anchor_hash) \
         VALUES ($1, 0, '', 0, '') ON CONFLICT (workspace_id) DO NOTHING",
        vec![workspace.into()],
    )
    .await?;
    let Some(chain) = audit_chain::Entity::find_by_id(workspace).one(&txn).await? else {
        return Ok(false);
    };
    let rows = audit::Entity::find()
        .filter(audit::Column::WorkspaceId.eq(workspace))
        .filter(audit::Column::Seq.is_null())
        .order_by_asc(audit::Column::Id)
        .limit(PIECE)
        .all(&txn)
        .await?;
    let (mut seq, mut last) = (chain.seq, chain.hash.clone());
    for row in &rows {
        seq += 1;
        last = hash::of(row, seq, &last);
        sql::execute(
            &txn,
            "UPDATE audit SET seq = $1, hash = $2 WHERE id = $3 AND seq IS NULL",
            vec![seq.into(), last.clone().into(), row.id.into()],
        )
        .await?;
    }
    let moved = sql::execute(
        &txn,
        "UPDATE audit_chain SET seq = $1, hash = $2 WHERE workspace_id = $3 AND seq = $4",
        vec![seq.into(), last.into(), workspace.into(), chain.seq.into()],
    )
    .await?;
    if moved == 0 {
        // Another node was quicker; what it took is not loose any more.
        txn.rollback().await?;
        return Ok(false);
    }
    txn.commit().await?;
    Ok(rows.len() as u64 == PIECE)
}
