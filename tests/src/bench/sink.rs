//! Where deliveries arrive: answers 204 to everything and notes when which number came first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// Numbers beyond are not ours.
const LARGEST: usize = 1 << 27;
/// What stands before the number in a body.
const BEFORE: &[u8] = b"\"number\":\"";

#[derive(Debug, Default)]
struct Seen {
    /// By number: when it came first.
    first: Mutex<Vec<Option<Instant>>>,
    arrived: AtomicU64,
    repeated: AtomicU64,
    unread: AtomicU64,
}

/// A running sink; ends when dropped.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    /// Dropped, it ends the thread.
    _running: oneshot::Sender<()>,
}

impl Sink {
    /// Starts it, on a thread of its own.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("the sink's port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let (running, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serve = serve(listener, Arc::clone(&seen));
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ended = serve => {}
                    _dropped = ended => {}
                }
            });
        });
        Ok(Self {
            address,
            seen,
            _running: running,
        })
    }

    /// Different numbers that arrived.
    pub fn arrived(&self) -> u64 {
        self.seen.arrived.load(Ordering::Relaxed)
    }

    /// Arrivals of a number that had arrived before, and of none that could be read.
    pub fn strange(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.seen.repeated), load(&self.seen.unread))
    }

    /// When a number came first.
    pub fn first(&self, number: u64) -> Option<Instant> {
        let index = usize::try_from(number).ok()?;
        self.seen.first.lock().get(index).copied().flatten()
    }

    /// Waits until so many have arrived, or nothing has for `patience`. Returns whether they have.
    pub async fn wait_for(&self, arrived: u64, patience: Duration) -> bool {
        let mut last = (self.arrived(), Instant::now());
        loop {
            let now = self.arrived();
            if now >= arrived {
                return true;
            }
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn serve(listener: std::net::TcpListener, seen: Arc<Seen>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let seen = Arc::clone(&seen);
        // A connection that breaks is the other side's business.
        tokio::spawn(async move { read(stream, &seen).await.ok() });
    }
}

async fn read(mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(8192);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        while let Some((from, to)) = whole(&bytes) {
            note(bytes.get(from..to).unwrap_or_default(), seen);
            stream.write_all(ANSWER).await?;
            bytes.drain(..to);
        }
    }
}

/// Where the body of the first request begins and ends, once all of it is there.
fn whole(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let length: usize = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let from = end + 4;
    (bytes.len() >= from + length).then_some((from, from + length))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

fn note(body: &[u8], seen: &Seen) {
    let number = find(body, BEFORE).and_then(|at| {
        let rest = body.get(at + BEFORE.len()..)?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit());
        Some(
            digits
                .take(10)
                .fold(0, |n, b| n * 10 + usize::from(b - b'0')),
        )
    });
    let Some(number) = number.filter(|n| *n < LARGEST) else {
        seen.unread.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let mut first = seen.first.lock();
    if first.len() <= number {
        first.resize(number + 1024, None);
    }
    match first.get_mut(number) {
        Some(place) if place.is_none() => {
            *place = Some(Instant::now());
            seen.arrived.fetch_add(1, Ordering::Relaxed);
        }
        _ => {
            seen.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }
}
