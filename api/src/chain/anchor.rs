//! Where the chain begins, once its first lines were deleted by age.

use entity::{audit, audit_chain};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use crate::journal::sql;

/// The first lines of a chain.
#[derive(Clone, Debug)]
pub struct Cut {
    workspace: Uuid,
    from: i64,
    to: i64,
    hash: String,
    /// Their ids.
    pub ids: Vec<Uuid>,
}

/// Those of `ids` that are the first of their chain, without a gap. All belong to one workspace.
///
/// # Errors
/// The database failed.
pub async fn cut(db: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Option<Cut>, DbErr> {
    let rows = audit::Entity::find()
        .filter(audit::Column::Id.is_in(ids.iter().copied()))
        .filter(audit::Column::Seq.is_not_null())
        .order_by_asc(audit::Column::Seq)
        .all(db)
        .await?;
    let Some(workspace) = rows.first().map(|row| row.workspace_id) else {
        return Ok(None);
    };
    let Some(chain) = audit_chain::Entity::find_by_id(workspace).one(db).await? else {
        return Ok(None);
    };
    let mut cut = Cut {
        workspace,
        from: chain.anchor_seq,
        to: chain.anchor_seq,
        hash: chain.anchor_hash,
        ids: Vec::new(),
    };
    for row in rows {
        if row.seq != Some(cut.to + 1) {
            break;
        }
        cut.to += 1;
        cut.hash = row.hash.unwrap_or_default();
        cut.ids.push(row.id);
    }
    Ok((!cut.ids.is_empty()).then_some(cut))
}

/// Moves the anchor behind them, in the transaction that deletes them; false: somebody else did.
///
/// # Errors
/// The statement failed.
pub async fn move_anchor(txn: &impl ConnectionTrait, cut: &Cut) -> Result<bool, DbErr> {
    let moved = sql::execute(
        txn,
        "UPDATE audit_chain SET anchor_seq = $1, anchor_hash = $2 \
         WHERE workspace_id = $3 AND anchor_seq = $4",
        vec![
            cut.to.into(),
            cut.hash.clone().into(),
            cut.workspace.into(),
            cut.from.into(),
        ],
    )
    .await?;
    Ok(moved == 1)
}
