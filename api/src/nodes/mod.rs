//! Several nodes on one PostgreSQL: what this node tells the others and hears from them.
//!
//! Invariant: everything that must not be lost is a row; a notification only says where to look, at
//! once instead of at the next poll. So each may be lost, come late or come twice. Whoever misses
//! some (a connection that was cut, a start) looks everywhere, and tells its watchers that they may
//! have missed something.
//!
//! A node is alive while its row changes: see [`lease`]. A crash leaves the row behind; the others
//! delete it after one lease time and free what it held. On SQLite there is one server and nothing
//! of this runs, except that limits may lie in Redis.

mod bell;
pub mod lease;
mod listen;
mod relay;
mod ring;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sea_orm::DbErr;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::core::Core;
use crate::db::{Db, Sql};
use crate::journal::sql;
use crate::live::Outgoing;

pub use bell::Bell;
use lease::Lease;

/// Deliveries lie in the database and are due.
const DUE: &str = "signalbox_due";
/// The configuration has a new revision.
pub const CONFIGURATION: &str = "signalbox_configuration";
/// A node is there.
const NODE: &str = "signalbox_node";
/// A node is there that hears nothing over Redis.
const DEAF: &str = "signalbox_deaf";
/// Messages of the live stream.
const LIVE: &str = "signalbox_live";

/// Longest text of a notification; PostgreSQL takes less than 8,000 bytes.
const LONGEST: usize = 7_900;

/// What this node knows of the others. Cheap to clone.
#[derive(Clone)]
pub struct Nodes(Arc<Shared>);

struct Shared {
    me: Uuid,
    lease: Lease,
    /// When this node started.
    since: Instant,
    /// When each of the others was heard last.
    heard: Mutex<HashMap<Uuid, Instant>>,
    /// When each of the others said last that it hears nothing over Redis.
    deaf: Mutex<HashMap<Uuid, Instant>>,
    /// Whether this node hears nothing there.
    is_deaf: AtomicBool,
    /// Somebody new is there, who should hear of this node.
    greet: Notify,
}

impl Nodes {
    /// Nobody was heard yet.
    pub fn new(me: Uuid, lease: Lease) -> Self {
        Self(Arc::new(Shared {
            me,
            lease,
            since: Instant::now(),
            heard: Mutex::default(),
            deaf: Mutex::default(),
            is_deaf: AtomicBool::new(false),
            greet: Notify::new(),
        }))
    }

    /// The lease of this node.
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// Whether other nodes are there, or may be: one that has just started has heard nobody yet.
    pub fn others(&self) -> bool {
        self.0.since.elapsed() < self.patience() || self.count() > 0
    }

    /// How many other nodes were heard of late.
    fn count(&self) -> usize {
        let patience = self.patience();
        let heard = self.0.heard.lock();
        heard.values().filter(|at| at.elapsed() < patience).count()
    }

    /// Somebody was heard.
    fn heard(&self, node: Uuid) {
        if node == self.0.me {
            return;
        }
        let patience = self.patience();
        let mut heard = self.0.heard.lock();
        heard.retain(|_, at| at.elapsed() < patience);
        if heard.insert(node, Instant::now()).is_none() {
            self.0.greet.notify_one();
        }
    }

    /// Another node hears nothing over Redis.
    fn heard_deaf(&self, node: Uuid) {
        if node != self.0.me {
            self.0.deaf.lock().insert(node, Instant::now());
        }
    }

    /// Whether one of the others hears nothing over Redis, as far as this one knows.
    fn are_deaf(&self) -> bool {
        let patience = self.patience();
        let mut deaf = self.0.deaf.lock();
        deaf.retain(|_, at| at.elapsed() < patience);
        !deaf.is_empty()
    }

    /// Whether this node hears nothing over Redis; returns whether it did before.
    fn deafen(&self, deaf: bool) -> bool {
        self.0.is_deaf.swap(deaf, Ordering::AcqRel)
    }

    fn patience(&self) -> Duration {
        self.0.lease.length() * 2
    }
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nodes({})", self.0.me)
    }
}

/// Tells all nodes. Nothing of it has to be durable, so nobody waits for the disk.
///
/// # Errors
/// The statement failed; they find out at their next look.
async fn notify(db: &Db, channel: &str, texts: Vec<String>) -> Result<(), DbErr> {
    if texts.is_empty() {
        return Ok(());
    }
    let mut rows = sql::Values::of(db.write());
    for text in texts {
        rows.row([text.into()]);
    }
    let query = format!(
        "SELECT set_config('synchronous_commit', 'off', TRUE), pg_notify('{channel}', v.text) \
         FROM (VALUES {}) AS v(text)",
        rows.text
    );
    sql::rows(db.write(), query, rows.values).await.map(|_| ())
}

/// Tells all nodes when this transaction is committed. For what happens seldom: transactions that
/// tell something wait for each other at their commits.
///
/// # Errors
/// The statement failed.
pub async fn notify_within(txn: &impl Sql, channel: &str) -> Result<(), DbErr> {
    if txn.backend() == sea_orm::DatabaseBackend::Postgres {
        sql::execute(txn, format!("NOTIFY {channel}"), Vec::new()).await?;
    }
    Ok(())
}

/// Tells the others that this node is there.
///
/// # Errors
/// The statement failed.
pub async fn greet(core: &Core) -> Result<(), DbErr> {
    notify(&core.db, NODE, vec![core.nodes.0.me.to_string()]).await?;
    if core.nodes.0.is_deaf.load(Ordering::Acquire) {
        listen::tell_deaf(core).await;
    }
    Ok(())
}

/// What runs beside the dispatcher.
pub struct Service {
    core: Core,
    outgoing: mpsc::Receiver<Outgoing>,
}

impl Service {
    /// Listens and tells for this core; `outgoing` is what its live hub hands over for the others.
    pub const fn new(core: Core, outgoing: mpsc::Receiver<Outgoing>) -> Self {
        Self { core, outgoing }
    }

    /// Works until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        if !self.core.db.is_postgres() {
            return;
        }
        let core = &self.core;
        let work = async {
            tokio::join!(
                listen::postgres(core),
                listen::redis(core),
                ring::due(core),
                ring::greet(core),
                relay::run(core, self.outgoing),
            )
        };
        tokio::select! {
            _ = work => {}
            () = shutdown.cancelled() => {}
        }
    }
}
