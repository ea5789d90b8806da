//! Something between a server and what it depends on, which can be cut, slowed and held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a client says when it ends a transaction.
const COMMIT: &[u8] = b"COMMIT";
/// How long the answer to a commit may take before the connection is cut all the same.
const ANSWER: Duration = Duration::from_secs(5);

/// A proxy on loopback. It ends when this is dropped, and every connection with it.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    closed: AtomicBool,
    delay_ms: AtomicU64,
    /// Commits to be cut before they are passed on.
    before: AtomicU32,
    /// Commits to be cut after they are done and before the answer is passed back.
    after: AtomicU32,
    /// Commits that were cut.
    cut_commits: AtomicU32,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy in front of a port on this machine.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target,
            closed: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            before: AtomicU32::new(0),
            after: AtomicU32::new(0),
            cut_commits: AtomicU32::new(0),
            cuts: watch::Sender::new(0),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.closed.load(Ordering::SeqCst) {
                    tokio::spawn(carry(client, Arc::clone(&shared)));
                }
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    /// A proxy in front of the host and port of an address.
    ///
    /// # Panics
    /// The address has no port on this machine.
    pub async fn before(url: &str) -> Self {
        let url: url::Url = url.parse().unwrap();
        let port = url.port().expect("a port");
        Self::start(SocketAddr::from(([127, 0, 0, 1], port))).await
    }

    /// The same address, leading through here.
    ///
    /// # Panics
    /// It is none.
    pub fn url(&self, url: &str) -> String {
        let mut url: url::Url = url.parse().unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Cuts every connection; new ones are carried.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every connection and takes no new ones.
    pub fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.state.closed.store(false, Ordering::SeqCst);
    }

    /// Holds every piece of an answer back for so long.
    pub fn delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// Cuts the next connections that commit something, before the database hears of it.
    pub fn cut_before_commits(&self, count: u32) {
        self.state.before.fetch_add(count, Ordering::SeqCst);
    }

    /// Cuts the next connections that commit something, when it is done and nobody knows.
    pub fn cut_after_commits(&self, count: u32) {
        self.state.after.fetch_add(count, Ordering::SeqCst);
    }

    /// How many commits were cut.
    pub fn cut_commits(&self) -> u32 {
        self.state.cut_commits.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn carry(client: TcpStream, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    let Ok(server) = TcpStream::connect(state.target).await else {
        return;
    };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let last_answer = Arc::new(AtomicBool::new(false));
    let forth = forth(from_client, to_server, &state, &last_answer);
    let back = back(from_server, to_client, &state, &last_answer);
    tokio::select! {
        () = forth => {}
        () = back => {}
        _ = cuts.changed() => {}
    }
}

/// Takes one of a count that is set.
fn take(count: &AtomicU32) -> bool {
    let taken = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    taken.is_ok()
}

async fn forth(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    last_answer: &AtomicBool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..n];
        if piece.windows(COMMIT.len()).any(|window| window == COMMIT) {
            if take(&state.before) {
                state.cut_commits.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if take(&state.after) {
                state.cut_commits.fetch_add(1, Ordering::SeqCst);
                last_answer.store(true, Ordering::SeqCst);
                if to.write_all(piece).await.is_ok() {
                    // The other direction ends the connection when the answer is there.
                    tokio::time::sleep(ANSWER).await;
                }
                return;
            }
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    last_answer: &AtomicBool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let delay = state.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if last_answer.load(Ordering::SeqCst) || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
