//! Lists read from upstreams, kept for a while.
//!
//! Invariant: one question at a time for each list: who asks while it is being read waits for that
//! answer. A failed read is not kept, so the next caller asks again. Nothing here outlives the
//! process; what was cached under an older revision of a connection is never served.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::connectors::Connection;

/// More lists than this are not kept; then all are read anew.
const SLOTS: usize = 1024;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    connection: Uuid,
    revision: i64,
    list: String,
}

type Slot<V> = Arc<tokio::sync::Mutex<Option<(DateTime<Utc>, Arc<V>)>>>;

/// The cache.
pub(in crate::connectors) struct Cache<V> {
    keep: Duration,
    slots: Mutex<HashMap<Key, Slot<V>>>,
}

impl<V> Cache<V> {
    /// A cache that serves a list for so long.
    pub(in crate::connectors) fn new(keep: Duration) -> Self {
        Self {
            keep,
            slots: Mutex::default(),
        }
    }

    /// The list, read by `read` unless it is here.
    ///
    /// # Errors
    /// Those of `read`.
    pub(in crate::connectors) async fn get<E>(
        &self,
        connection: &Connection,
        list: &str,
        now: DateTime<Utc>,
        read: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, E> {
        let slot = self.slot(connection, list);
        let mut held = slot.lock().await;
        if let Some((at, value)) = held.as_ref()
            && (now - *at).to_std().is_ok_and(|age| age < self.keep)
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(read.await?);
        *held = Some((now, Arc::clone(&value)));
        Ok(value)
    }

    /// Forgets a list that turned out to be wrong.
    pub(in crate::connectors) async fn forget(&self, connection: &Connection, list: &str) {
        let slot = self.slot(connection, list);
        *slot.lock().await = None;
    }

    fn slot(&self, connection: &Connection, list: &str) -> Slot<V> {
        let key = Key {
            connection: connection.id,
            revision: connection.revision,
            list: list.to_owned(),
        };
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        slots.retain(|old, _| old.connection != key.connection || old.revision >= key.revision);
        if slots.len() >= SLOTS {
            slots.clear();
        }
        let slot = Slot::default();
        slots.insert(key, Arc::clone(&slot));
        slot
    }
}
