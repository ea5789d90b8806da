//! The clock of the browser; the one place that reads it.

use chrono::{DateTime, Utc};

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the browser's clock"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
