//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// How long a condition may take; generous, since machines are slow when every test runs at once.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until `probe` yields something.
///
/// # Panics
/// It did not within [`PATIENCE`]; the message names `what`.
pub async fn wait_until<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    wait_until_within(PATIENCE, what, probe).await
}

/// Waits until `probe` yields something, `patience` at most.
///
/// # Panics
/// It did not.
pub async fn wait_until_within<T>(
    patience: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(
            start.elapsed() < patience,
            "waited {} s in vain: {what}",
            patience.as_secs()
        );
        tokio::time::sleep(LOOK).await;
    }
}
