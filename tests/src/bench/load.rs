//! The generator.
//!
//! `closed`: so many connections, each sends the next alert when the last was answered: what a
//! server can take. `open`: so many alerts a second, whatever the server does; a time counts from
//! the moment an alert was due, not from when there was a connection for it, so that a server that
//! stalls is charged for everything that had to wait.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::alert::Alerts;
use super::client::Connection;
use super::latency::Latencies;

/// Alerts that may wait for a connection; what is due beyond is not sent.
pub(super) const DUE: usize = 1 << 16;
/// How long after the last alert of a fixed rate one may still be sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said of alerts that the server was too slow for.
const LATE: &str = "not sent in time";

/// Where to, and what a good answer is.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// The requests.
    pub alerts: Arc<Alerts>,
    /// The status that counts.
    pub status: u16,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Load {
    /// Good answers within the time measured.
    pub good: u64,
    /// How long was measured.
    pub elapsed: Duration,
    /// The time of each good answer.
    pub latencies: Latencies,
    /// Other answers and broken connections, by what they were.
    pub errors: BTreeMap<String, u64>,
    /// Of a fixed rate: every accepted alert with the moment it was due.
    pub sent: Vec<(u64, Instant)>,
}

impl Load {
    /// Good answers per second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.elapsed.as_secs_f64()
    }

    /// How many went wrong.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    fn error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    /// Adds what came of another time.
    pub fn merge(&mut self, other: Self) {
        self.good += other.good;
        self.elapsed += other.elapsed;
        self.latencies.extend(other.latencies);
        self.sent.extend(other.sent);
        for (what, n) in other.errors {
            *self.errors.entry(what).or_default() += n;
        }
    }
}

/// Sends as fast as `connections` allow, measuring for `time` after `warm`.
///
/// # Errors
/// A first connection could not be made.
pub async fn closed(
    target: &Target,
    connections: usize,
    warm: Duration,
    time: Duration,
) -> anyhow::Result<Load> {
    let from = Instant::now() + warm;
    let to = from + time;
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let connection = Connection::open(target.address)
            .await
            .context("connecting")?;
        senders.spawn(send_on(target.clone(), connection, from, to));
    }
    let mut all = Load {
        elapsed: time,
        ..Load::default()
    };
    while let Some(one) = senders.join_next().await {
        all.merge(one??);
    }
    Ok(all)
}

async fn send_on(
    target: Target,
    mut connection: Connection,
    from: Instant,
    to: Instant,
) -> anyhow::Result<Load> {
    let mut load = Load::default();
    let mut request = target.alerts.buffer();
    loop {
        let begun = Instant::now();
        if begun >= to {
            return Ok(load);
        }
        target.alerts.write(&mut request);
        let answer = connection.status(&request).await;
        let now = Instant::now();
        let counts = now >= from && now < to;
        match answer {
            Ok(status) if status == target.status => {
                if counts {
                    load.good += 1;
                    load.latencies.add(now - begun);
                }
            }
            Ok(status) => load.error(format!("status {status}")),
            Err(error) => {
                load.error(error.to_string());
                connection = Connection::open(target.address)
                    .await
                    .context("connecting again")?;
            }
        }
    }
}

/// Sends `rate` alerts a second for `time`, over at most `connections`.
///
/// # Errors
/// A first connection could not be made.
pub async fn open(
    target: &Target,
    rate: u32,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Load> {
    let (due, queue) = mpsc::channel::<Instant>(DUE);
    let queue = Arc::new(Mutex::new(queue));
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let connection = Connection::open(target.address).await;
        open.push(connection.context("connecting")?);
    }
    let begun = Instant::now();
    let last = begun + time + PATIENCE;
    let mut senders = JoinSet::new();
    for connection in open {
        let queue = Arc::clone(&queue);
        senders.spawn(send_due(target.clone(), connection, queue, last));
    }
    // A thread of its own: the runtime's timer is too coarse by a millisecond.
    let pace = std::thread::spawn(move || pace(&due, rate, time));
    let mut all = Load::default();
    while let Some(one) = senders.join_next().await {
        all.merge(one??);
    }
    let unsent = pace
        .join()
        .map_err(|_| anyhow::anyhow!("the clock of the generator stopped"))?;
    if unsent > 0 {
        *all.errors.entry(LATE.to_owned()).or_default() += unsent;
    }
    all.elapsed = begun.elapsed();
    Ok(all)
}

/// Says when alerts are due. Returns how many found no room in the queue.
pub(super) fn pace(due: &mpsc::Sender<Instant>, rate: u32, time: Duration) -> u64 {
    let begun = Instant::now();
    let count = (f64::from(rate) * time.as_secs_f64()) as u64;
    let mut unsent = 0;
    for n in 0..count {
        let at = begun + Duration::from_secs_f64(n as f64 / f64::from(rate));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if due.try_send(at).is_err() {
            unsent += 1;
        }
    }
    unsent
}

async fn send_due(
    target: Target,
    mut connection: Connection,
    queue: Arc<Mutex<mpsc::Receiver<Instant>>>,
    last: Instant,
) -> anyhow::Result<Load> {
    let mut load = Load::default();
    let mut request = target.alerts.buffer();
    loop {
        let Some(due) = queue.lock().await.recv().await else {
            return Ok(load);
        };
        if Instant::now() > last {
            load.error(LATE.to_owned());
            continue;
        }
        let number = target.alerts.write(&mut request);
        match connection.status(&request).await {
            Ok(status) if status == target.status => {
                load.good += 1;
                load.latencies.add(due.elapsed());
                load.sent.push((number, due));
            }
            Ok(status) => load.error(format!("status {status}")),
            Err(error) => {
                load.error(error.to_string());
                connection = Connection::open(target.address)
                    .await
                    .context("connecting again")?;
            }
        }
    }
}
