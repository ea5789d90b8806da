//! The limits that figures are compared with, measured when first needed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::alert::Alerts;
use super::handler::Handler;
use super::inserts;
use super::load::{self, Target};
use super::options::Times;
use super::store::Store;
use super::usage::Slices;

/// Numbers of connections that are measured.
pub const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];

/// What the handler that stores nothing reaches.
#[derive(Clone, Debug, Default)]
pub struct HandlerLimit {
    /// Answers per second, by connections.
    pub rates: BTreeMap<usize, f64>,
    /// p50 and p99 in milliseconds, by connections.
    pub times: BTreeMap<usize, (f64, f64)>,
    /// Processor time of a request at a fixed rate, in milliseconds.
    pub cpu_ms: Option<f64>,
}

/// What bare inserts reach.
#[derive(Clone, Debug, Default)]
pub struct InsertLimit {
    /// Rows per second, by rows of a commit.
    pub rates: BTreeMap<usize, f64>,
    /// p50 and p99 of a commit of one row, in milliseconds.
    pub commit_ms: Option<(f64, f64)>,
}

/// Measures the handler.
///
/// # Errors
/// It does not start, or an answer is wrong.
pub async fn handler(times: &Times, rate: u32, with_cpu: bool) -> anyhow::Result<HandlerLimit> {
    let handler = Handler::start()?;
    let target = Target {
        address: handler.address,
        alerts: Arc::new(Alerts::new(handler.address, "/hooks/bare", "none")),
        status: 202,
    };
    let mut limit = HandlerLimit::default();
    for connections in CONNECTIONS {
        let mut done = load::closed(&target, connections, times.warm, times.limit).await?;
        anyhow::ensure!(done.failed() == 0, "the bare handler: {:?}", done.errors);
        limit.rates.insert(connections, done.rate());
        let p50 = done.latencies.quantile_ms(0.5);
        let p99 = done.latencies.quantile_ms(0.99);
        limit.times.insert(connections, (p50, p99));
    }
    if with_cpu {
        let work = load::open(&target, rate, 64, times.cpu.min(Duration::from_secs(8)));
        let (slices, _done) = Slices::of(handler.pid(), rate, work).await?;
        limit.cpu_ms = slices.median();
    }
    Ok(limit)
}

/// Measures inserts, in a file or database beside the server's data.
///
/// # Errors
/// The database refuses.
pub async fn inserts(
    store: &Store,
    folder: &std::path::Path,
    sizes: &[usize],
    times: &Times,
) -> anyhow::Result<InsertLimit> {
    let mut limit = InsertLimit::default();
    for &rows in sizes {
        let file = folder.join(format!("bare-{rows}.db"));
        let mut done = inserts::measure(store, &file, rows, times.limit).await?;
        limit.rates.insert(rows, done.rate);
        if rows == 1 {
            let p50 = done.commits.quantile_ms(0.5);
            limit.commit_ms = Some((p50, done.commits.quantile_ms(0.99)));
        }
        if matches!(store, Store::Sqlite) {
            // The space is needed for the next size; the log files go with the last connection.
            std::fs::remove_file(&file)?;
        }
    }
    Ok(limit)
}
