//! What became of the breaker, written down.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::breaker::BreakerState;

use super::{Carrier, IDLE};
use crate::dispatch::breakers::{self, Note};
use crate::snapshot::ConnectionConfig;

/// While a breaker is open, its row is written this often; milliseconds.
const NOTED: i64 = 15_000;

impl Carrier {
    /// Writes down what became of the breaker, and now and then that it is still open. Returns how
    /// long to wait at most.
    pub(super) async fn write_notes(&mut self, connection: &ConnectionConfig) -> Duration {
        let closed = self.breaker.state() == BreakerState::Closed;
        if closed && self.notes.is_empty() {
            return IDLE;
        }
        if let Some(left) = self.notes_pause.left(Instant::now()) {
            return left;
        }
        self.write_notes_now(connection).await
    }

    /// The same, however lately it failed.
    pub(super) async fn write_notes_now(&mut self, connection: &ConnectionConfig) -> Duration {
        let now = self.core.clock.now_ms();
        let open = self.breaker.state() != BreakerState::Closed;
        if open && self.notes.is_empty() && now - self.noted_at >= NOTED {
            self.notes.add(Note::Still {
                failures: self.failures,
                probed_at: self.probed_at,
            });
        }
        while let Some(note) = self.notes.next() {
            if let Err(error) = breakers::write(&self.core, connection, note).await {
                tracing::warn!(%error, connection.id = %self.desk.id, "The state of a breaker could not be written.");
                // The calls wake the carrier often, and each try may take long.
                return self.notes_pause.failed(Instant::now());
            }
            if matches!(note, Note::Back { .. }) {
                self.desk.own_returns.fetch_add(1, Ordering::AcqRel);
            }
            self.notes.written();
            self.notes_pause.over();
            self.noted_at = now;
        }
        IDLE
    }
}
