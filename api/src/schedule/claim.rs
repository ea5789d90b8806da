//! The rows of timers.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use uuid::Uuid;

use super::Next;
use crate::db::{Db, Sql};
use crate::journal::sql;

/// A timer that this node has claimed.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which task does it.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// When it was due; milliseconds since 1970.
    pub due_at: i64,
    /// Runs in a row that failed.
    pub failures: i32,
    fence: i64,
}

impl Due {
    /// Grows with every claim of the timer.
    pub const fn fence(&self) -> i64 {
        self.fence
    }
}

/// Whether a claim still holds. Within a transaction it holds until that ends: nobody takes the
/// timer meanwhile.
///
/// # Errors
/// The statement failed.
pub async fn holds(txn: &impl ConnectionTrait, due: &Due) -> Result<bool, DbErr> {
    let lock = match txn.get_database_backend() {
        DatabaseBackend::Postgres => " FOR SHARE",
        // There is one writer.
        _ => "",
    };
    let query = format!(
        "SELECT fence FROM timer WHERE kind = $1 AND key = $2 AND fence = $3 \
         AND owner IS NOT NULL{lock}"
    );
    let values = vec![
        due.kind.as_str().into(),
        due.key.as_str().into(),
        due.fence.into(),
    ];
    Ok(!sql::rows(txn, query, values).await?.is_empty())
}

/// Makes or moves a timer. One that runs now is run again at this time.
///
/// # Errors
/// The statement failed.
pub async fn set(txn: &impl Sql, kind: &str, key: &str, due_at: i64) -> Result<(), DbErr> {
    // The fence moves, so that a run that ends now does not take the new time away.
    let free = "owner = NULL, fence = timer.fence + 1";
    put(txn, (kind, key, due_at), &format!("{MOVES}, {free}")).await
}

/// Makes a timer unless it is there.
///
/// # Errors
/// The statement failed.
pub async fn ensure(
    txn: &impl ConnectionTrait,
    kind: &str,
    key: &str,
    due_at: i64,
) -> Result<(), DbErr> {
    put(txn, (kind, key, due_at), "NOTHING").await
}

/// Takes a timer away.
///
/// # Errors
/// The statement failed.
pub async fn cancel(txn: &impl ConnectionTrait, kind: &str, key: &str) -> Result<(), DbErr> {
    sql::execute(
        txn,
        "DELETE FROM timer WHERE kind = $1 AND key = $2",
        vec![kind.into(), key.into()],
    )
    .await?;
    Ok(())
}

/// Has a timer ring now, and makes it unless it is there. Unlike with [`set`], a run that is under way
/// keeps its claim; the timer rings again when that ends, so that no wish is lost between the last of
/// its work and its end.
///
/// # Errors
/// The statement failed.
pub async fn wish(
    txn: &impl ConnectionTrait,
    kind: &str,
    key: &str,
    now: i64,
) -> Result<(), DbErr> {
    put(txn, (kind, key, now), MOVES).await
}

/// What becomes of a timer that has another time from now on.
const MOVES: &str = "UPDATE SET due_at = excluded.due_at, failures = 0";

/// Makes a timer that is due at a time; one that is there has this done to it instead.
async fn put(
    txn: &impl Sql,
    (kind, key, due_at): (&str, &str, i64),
    instead: &str,
) -> Result<(), DbErr> {
    let query = format!(
        "INSERT INTO timer (kind, key, due_at, owner, fence, failures) \
         VALUES ($1, $2, $3, NULL, 0, 0) ON CONFLICT (kind, key) DO {instead}"
    );
    let values = vec![kind.into(), key.into(), due_at.into()];
    sql::execute(txn, query, values).await?;
    Ok(())
}

/// When a timer rings after a run: at `$4`, unless it was wished for since it was due at `$5`. What a
/// clock that is set back does to due times makes them earlier, and is no wish.
const AGAIN: &str = "due_at = CASE WHEN due_at > $5 THEN due_at ELSE $4 END";

/// Rows that nobody works on: never claimed, or by a node that is gone.
const FREE: &str = "(owner IS NULL OR owner NOT IN (SELECT id FROM node))";

/// Whether a look is worth a transaction.
pub async fn any_due(db: &Db, now: i64) -> Result<bool, DbErr> {
    let query = format!("SELECT 1 AS one FROM timer WHERE due_at <= $1 AND {FREE} LIMIT 1");
    Ok(!sql::rows(db.read(), query, vec![now.into()])
        .await?
        .is_empty())
}

/// Claims due timers of these kinds.
pub async fn claim(
    db: &Db,
    node: Uuid,
    kinds: &[&'static str],
    now: i64,
    room: usize,
) -> Result<Vec<Due>, DbErr> {
    let lock = if db.is_postgres() {
        "FOR UPDATE SKIP LOCKED"
    } else {
        ""
    };
    // The words are ours, not a caller's.
    let kinds = kinds.join("','");
    let query = format!(
        "UPDATE timer SET owner = $1, fence = fence + 1 WHERE (kind, key) IN (SELECT kind, key \
         FROM timer WHERE due_at <= $2 AND kind IN ('{kinds}') AND {FREE} ORDER BY due_at \
         LIMIT $3 {lock}) RETURNING kind, key, due_at, failures, fence"
    );
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    sql::rows(
        db.write(),
        query,
        vec![node.into(), now.into(), limit.into()],
    )
    .await?
    .iter()
    .map(|row| {
        Ok(Due {
            kind: row.try_get("", "kind")?,
            key: row.try_get("", "key")?,
            due_at: row.try_get("", "due_at")?,
            failures: row.try_get("", "failures")?,
            fence: row.try_get("", "fence")?,
        })
    })
    .collect()
}

/// Gives back what this node has claimed and does not work on.
pub async fn give_back(
    db: &Db,
    node: Uuid,
    running: &BTreeSet<(String, String)>,
) -> Result<(), DbErr> {
    let query = "SELECT kind, key, fence FROM timer WHERE owner = $1";
    for row in sql::rows(db.write(), query, vec![node.into()]).await? {
        let (kind, key): (String, String) = (row.try_get("", "kind")?, row.try_get("", "key")?);
        let fence: i64 = row.try_get("", "fence")?;
        if running.contains(&(kind.clone(), key.clone())) {
            continue;
        }
        free(db, &kind, &key, fence).await?;
    }
    Ok(())
}

/// Gives one back that is due as before.
pub async fn put_back(db: &Db, due: &Due) -> Result<(), DbErr> {
    free(db, &due.kind, &due.key, due.fence).await
}

async fn free(db: &Db, kind: &str, key: &str, fence: i64) -> Result<(), DbErr> {
    let query = "UPDATE timer SET owner = NULL WHERE kind = $1 AND key = $2 AND fence = $3";
    let values = vec![kind.into(), key.into(), fence.into()];
    sql::execute(db.write(), query, values).await?;
    Ok(())
}

/// Writes what follows a run, if the claim still holds.
pub async fn end(db: &Db, due: &Due, next: Next) -> Result<(), DbErr> {
    let of = vec![
        due.kind.as_str().into(),
        due.key.as_str().into(),
        due.fence.into(),
    ];
    match next {
        Next::Done => {
            let query = "DELETE FROM timer WHERE kind = $1 AND key = $2 AND fence = $3";
            sql::execute(db.write(), query, of).await?;
        }
        Next::At(at) => {
            let query = format!(
                "UPDATE timer SET owner = NULL, failures = 0, {AGAIN} \
                 WHERE kind = $1 AND key = $2 AND fence = $3"
            );
            let mut values = of;
            values.push(at.into());
            values.push(due.due_at.into());
            sql::execute(db.write(), query, values).await?;
        }
    }
    Ok(())
}

/// Writes that a run failed, if the claim still holds.
pub async fn failed(db: &Db, due: &Due, again: i64) -> Result<(), DbErr> {
    let query = format!(
        "UPDATE timer SET owner = NULL, failures = failures + 1, {AGAIN} \
         WHERE kind = $1 AND key = $2 AND fence = $3"
    );
    let values = vec![
        due.kind.as_str().into(),
        due.key.as_str().into(),
        due.fence.into(),
        again.into(),
        due.due_at.into(),
    ];
    sql::execute(db.write(), query, values).await?;
    Ok(())
}
