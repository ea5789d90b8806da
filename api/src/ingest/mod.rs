//! Taking events in: receive, verify, split, route, and hand over to the journal.
//!
//! The order of the checks of a hook request is fixed: source, enabled, address, rate, size,
//! authentication, type, parse. Authentication works on the raw bytes, before anything is parsed,
//! and fails closed. A refusal of a known source is kept in its ring. The answer is 202 only after
//! the journal's commit; a fault while routing still stores the event, as `unrouted`.

mod fan_out;
mod gate;
mod parse;
mod receive;
mod refuse;
mod replay;
mod route;
mod title;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::rate::Bucket;

pub use fan_out::view;
pub use receive::{HOOK_PATHS, hook};
pub use replay::{replay_event, send_test};
pub use route::route;
pub use title::title_of;

/// Rates of the sources on this node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<HashMap<Uuid, Bucket>>>);

impl Gates {
    /// Whether one more request of a source may pass, or the wait until the next may.
    fn pass(&self, source: Uuid, per_minute: u32) -> Result<(), std::time::Duration> {
        let now = Instant::now();
        let mut buckets = self.0.lock();
        let bucket = buckets
            .entry(source)
            .or_insert_with(|| Bucket::new(per_minute, now));
        if !bucket.is_of(per_minute) {
            *bucket = Bucket::new(per_minute, now);
        }
        bucket.take(now)
    }
}
