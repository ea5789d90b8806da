//! What comes due during maintenance is put back.

use std::sync::atomic::Ordering;

use entity::delivery;

use super::{Carrier, untried};
use crate::journal::NewState;
use crate::snapshot::ConnectionConfig;

impl Carrier {
    /// Puts back what maintenance covers now; it is claimed again when that ends.
    pub(super) async fn wait_for_windows(&mut self, connection: &ConnectionConfig) {
        if self.desk.queue.lock().is_empty() {
            return;
        }
        let snapshot = self.core.snapshots.current();
        let Some(workspace) = snapshot.workspace(connection.view.workspace_id) else {
            return;
        };
        let (plan, now) = (&workspace.maintenance, self.core.clock.now_ms());
        if !plan.any(now) {
            return;
        }
        let is_covered = |d: &delivery::Model| plan.cover(now, d.source_id, d.connection_id);
        let covered = self.desk.queue.lock().take(|d| is_covered(d).is_some());
        for claimed in covered {
            self.desk.held.fetch_sub(1, Ordering::AcqRel);
            let name = connection.view.name.clone();
            let settlement = untried(claimed, name, NewState::Windowed, None);
            self.core.journal.settle(settlement).await;
        }
    }
}
