//! Nonces of signed requests: each is taken once.
//!
//! Invariant: of any number of requests with one nonce of one client, over all nodes and restarts,
//! one is let through while its timestamp could be accepted; where that cannot be established, none
//! is. A nonce is kept for three minutes: a timestamp may be a minute ahead and is good for a minute
//! after, and a minute is left for clocks that are set.
//!
//! Where Redis is set it keeps them, for all nodes, and asking costs no write to a disk. Without it
//! they are rows of the database, PostgreSQL or SQLite alike: waiting requests share one statement,
//! so many at once cost one commit. Memory alone would forget at a restart what a copied request
//! could then repeat. When the place is down, signed requests are refused with 503.
//!
//! A crash in the middle leaves a nonce that was taken by a request that was not answered; its sender
//! signs anew with another.

use std::sync::Arc;

use deadpool_redis::redis;
use parking_lot::Mutex;
use sea_orm::DbErr;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::db::Db;
use crate::journal::sql::{self, Values};

/// Milliseconds for which a nonce is kept.
const KEPT_MS: i64 = 180_000;
/// Milliseconds between two removals of old ones.
const SWEEP_MS: i64 = 10_000;
/// Rows that a removal takes at once.
const SWEEP_ROWS: i64 = 5_000;
/// Requests that may wait; more are refused.
const WAITING: usize = 10_000;

/// The place of the nonces cannot be asked now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nonces cannot be kept now")]
pub(super) struct Unkept;

/// A request that waits, and its answer: whether its nonce was new.
struct Waiting {
    id: String,
    answer: oneshot::Sender<bool>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever writes; when old ones were removed last.
    writing: tokio::sync::Mutex<i64>,
}

/// Where nonces are taken. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Nonces(Arc<Queue>);

impl Nonces {
    /// Takes a nonce of a client; false: it was taken before.
    pub async fn take(&self, core: &Core, client: &str, nonce: &str) -> Result<bool, Unkept> {
        let id = super::digest(&format!("{client}\n{nonce}"));
        if core.redis.is_used() {
            return in_redis(core, &id).await;
        }
        let (answer, taken) = oneshot::channel();
        {
            let mut waiting = self.0.waiting.lock();
            if waiting.len() >= WAITING {
                return Err(Unkept);
            }
            waiting.push(Waiting { id, answer });
        }
        // On its own, so that a request that goes away does not take the others with it.
        let (queue, db, now) = (Arc::clone(&self.0), core.db.clone(), core.clock.now_ms());
        tokio::spawn(async move { queue.write(&db, now).await });
        taken.await.map_err(|_| Unkept)
    }
}

impl Queue {
    /// Writes everything that waits by the time it is this one's turn.
    async fn write(&self, db: &Db, now: i64) {
        let mut swept_at = self.writing.lock().await;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if waiting.is_empty() {
            return;
        }
        match insert(db, &waiting, now).await {
            Ok(mut new) => {
                for one in waiting {
                    let at = new.iter().position(|id| *id == one.id);
                    // Of two of the same in one statement, the first has it.
                    let is_new = at.map(|at| new.swap_remove(at)).is_some();
                    // Nobody listens when the client has gone.
                    let _gone = one.answer.send(is_new);
                }
            }
            // Dropped unanswered: each of them is refused.
            Err(error) => tracing::warn!(%error, "Nonces could not be written."),
        }
        if now - *swept_at >= SWEEP_MS {
            *swept_at = now;
            if let Err(error) = sweep(db, now).await {
                tracing::warn!(%error, "Old nonces could not be removed.");
            }
        }
    }
}

/// Inserts what is not there; returns what was new.
async fn insert(db: &Db, waiting: &[Waiting], now: i64) -> Result<Vec<String>, DbErr> {
    let mut new = Vec::new();
    for piece in sql::pieces(waiting) {
        let mut rows = Values::of(db.write());
        for one in piece {
            rows.row([one.id.as_str().into(), (now + KEPT_MS).into()]);
        }
        let query = format!(
            "INSERT INTO nonce (id, expires_at) VALUES {} ON CONFLICT (id) DO NOTHING RETURNING id",
            rows.text
        );
        for row in sql::rows(db.write(), query, rows.values).await? {
            new.push(row.try_get("", "id")?);
        }
    }
    Ok(new)
}

async fn sweep(db: &Db, now: i64) -> Result<(), DbErr> {
    let query = "DELETE FROM nonce WHERE id IN \
                 (SELECT id FROM nonce WHERE expires_at < $1 LIMIT $2)";
    loop {
        let values = vec![now.into(), SWEEP_ROWS.into()];
        let gone = sql::execute(db.write(), query, values).await?;
        if i64::try_from(gone).unwrap_or_default() < SWEEP_ROWS {
            return Ok(());
        }
    }
}

async fn in_redis(core: &Core, id: &str) -> Result<bool, Unkept> {
    let mut command = redis::cmd("SET");
    command
        .arg(format!("signalbox:{}:nonce:{id}", core.installation))
        .arg(1)
        .arg("NX")
        .arg("PX")
        .arg(KEPT_MS);
    let done: Option<String> = core
        .redis
        .call_patiently(&command)
        .await
        .map_err(|_| Unkept)?;
    Ok(done.is_some())
}
