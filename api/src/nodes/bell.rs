//! What is to be told to the other nodes, until it has been.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

/// Connections that have deliveries in the database which this node does not hold. As many as
/// there are connections at most.
#[derive(Debug, Default)]
pub struct Bell {
    connections: Mutex<BTreeSet<Uuid>>,
    ring: Notify,
}

impl Bell {
    /// The others should look at a connection.
    pub fn due(&self, connection: Uuid) {
        self.connections.lock().insert(connection);
        self.ring.notify_one();
    }

    /// Waits until there is something to be told, and takes it.
    pub async fn take(&self) -> BTreeSet<Uuid> {
        loop {
            let taken = std::mem::take(&mut *self.connections.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.ring.notified().await;
        }
    }
}
