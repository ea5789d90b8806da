//! The one way to Redis.
//!
//! Invariant: nothing durable depends on it, and nobody waits long for it: a call has the time of a
//! setting (50 ms), and after one that failed nobody calls again for a second, so that a Redis that
//! is down or slow costs next to nothing. Who cannot have it goes on with what this process has in
//! memory, and says so: in the log once, in `/readyz`, in the numbers. The one exception are the
//! nonces of signed requests: they wait a little longer, and are refused without it.
//!
//! One connection, made at the first call, carries all commands of the process. A crash of either
//! side loses counters of limits and messages of the live stream, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_redis::redis::aio::{MultiplexedConnection, PubSub};
use deadpool_redis::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use parking_lot::Mutex;

use crate::secrets::Secret;

/// How long a call may take that must not go without an answer: longer than nobody calls after a
/// failure, so that one slow answer to somebody else is no reason to refuse.
const LONGEST: Duration = Duration::from_millis(1_500);
/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long nobody calls after a call that failed.
const REST: Duration = Duration::from_secs(1);
/// How often somebody who waits for a connection looks for it.
const LOOK: Duration = Duration::from_millis(10);

/// What this process asks of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that wait for a connection or an answer.
    pub waiting: i64,
    /// Calls that failed, or were not answered in time.
    pub failed: u64,
}

/// Redis cannot be had now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("Redis does not answer")]
pub struct Away;

/// A way to Redis, if one is set. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Option<Arc<Shared>>);

struct Shared {
    client: Client,
    /// How long a call may take.
    patience: Duration,
    state: Mutex<State>,
    waiting: AtomicI64,
    failed: AtomicU64,
}

/// One who waits, until it is dropped.
struct Waits<'a>(&'a Shared);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// A call failed, and none was made since.
    rests: Option<Instant>,
    /// A connection is being made.
    connects: bool,
    /// What the log said last.
    down: bool,
}

impl Redis {
    /// The server at this address, with so much time for a call; connects at the first one.
    ///
    /// # Errors
    /// The address cannot be read.
    pub fn at(url: Option<&Secret>, patience: Duration) -> Result<Self, RedisError> {
        let Some(url) = url else {
            return Ok(Self(None));
        };
        Ok(Self(Some(Arc::new(Shared {
            client: Client::open(url.reveal())?,
            patience,
            state: Mutex::default(),
            waiting: AtomicI64::new(0),
            failed: AtomicU64::new(0),
        }))))
    }

    /// Whether one is set.
    pub const fn is_used(&self) -> bool {
        self.0.is_some()
    }

    /// What is asked of it; none when it is not used.
    pub fn load(&self) -> Option<Load> {
        let shared = self.0.as_ref()?;
        Some(Load {
            waiting: shared.waiting.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
        })
    }

    /// Whether it answers; none when it is not used.
    pub async fn answers(&self) -> Option<bool> {
        let shared = self.0.as_ref()?;
        let begun = Instant::now();
        // It may rest after a failure, or be connecting: then this is the wait for the next try.
        loop {
            let pong = self
                .call::<String>(&deadpool_redis::redis::cmd("PING"))
                .await;
            if pong.is_ok() {
                return Some(true);
            }
            if begun.elapsed() > REST || !shared.state.lock().connects {
                return Some(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Runs a command.
    ///
    /// # Errors
    /// It is not used, did not answer in time, or rests after a failure.
    pub async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        let shared = self.0.as_ref().ok_or(Away)?;
        let _waits = shared.wait();
        let begun = Instant::now();
        let mut connection = loop {
            if let Some(connection) = shared.connection() {
                break connection;
            }
            if !shared.is_first() || begun.elapsed() >= shared.patience {
                return Err(shared.without());
            }
            tokio::time::sleep(LOOK).await;
        };
        match tokio::time::timeout(shared.patience, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                shared.works();
                Ok(answer)
            }
            Ok(Err(error)) => {
                shared.went_away(&error);
                Err(shared.without())
            }
            Err(elapsed) => {
                shared.went_away(&elapsed);
                Err(shared.without())
            }
        }
    }

    /// Runs a command that must not go without an answer: waits for a connection, and longer. Sent
    /// once: whether a command that was not answered was done, nobody knows.
    ///
    /// # Errors
    /// It is not used, or did not answer in time.
    pub async fn call_patiently<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        let shared = self.0.as_ref().ok_or(Away)?;
        let _waits = shared.wait();
        let sent = async {
            let mut connection = loop {
                if let Some(connection) = shared.connection() {
                    break connection;
                }
                tokio::time::sleep(LOOK).await;
            };
            command.query_async(&mut connection).await
        };
        match tokio::time::timeout(LONGEST, sent).await {
            Ok(Ok(answer)) => {
                shared.works();
                Ok(answer)
            }
            Ok(Err(error)) => {
                shared.went_away(&error);
                Err(shared.without())
            }
            // Somebody else has said so, unless it is this one's answer that is late.
            Err(_) => Err(shared.without()),
        }
    }

    /// A connection of its own that listens to a channel; none when Redis is not used.
    ///
    /// # Errors
    /// It cannot be had.
    pub async fn subscribe(&self, channel: &str) -> Option<Result<PubSub, Away>> {
        let shared = self.0.as_ref()?;
        let made = async {
            let mut listener = shared.client.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok::<_, RedisError>(listener)
        };
        Some(match tokio::time::timeout(CONNECT, made).await {
            Ok(Ok(listener)) => Ok(listener),
            Ok(Err(_)) | Err(_) => Err(Away),
        })
    }
}

impl Shared {
    fn wait(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(self)
    }

    /// A call that goes without an answer.
    fn without(&self) -> Away {
        self.failed.fetch_add(1, Ordering::Relaxed);
        Away
    }

    /// The connection, unless it is to be left alone now. Without one, begins to make it.
    fn connection(self: &Arc<Self>) -> Option<MultiplexedConnection> {
        let mut state = self.state.lock();
        if state.rests.is_some_and(|since| since.elapsed() < REST) {
            return None;
        }
        if let Some(connection) = &state.connection {
            return Some(connection.clone());
        }
        if !state.connects {
            state.connects = true;
            let shared = Arc::clone(self);
            tokio::spawn(async move { shared.connect().await });
        }
        None
    }

    /// Whether the first connection is being made: that is worth a wait. Later, whoever asks
    /// meanwhile goes without.
    fn is_first(&self) -> bool {
        let state = self.state.lock();
        state.connects && !state.down
    }

    async fn connect(&self) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(LONGEST.max(self.patience)));
        let made = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let made = tokio::time::timeout(CONNECT, made).await;
        match made {
            Ok(Ok(connection)) => {
                let mut state = self.state.lock();
                state.connects = false;
                state.rests = None;
                state.connection = Some(connection);
            }
            Ok(Err(error)) => self.went_away(&error),
            Err(elapsed) => self.went_away(&elapsed),
        }
    }

    fn works(&self) {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.down) {
            tracing::info!("Redis answers again.");
        }
        state.rests = None;
    }

    fn went_away(&self, error: &dyn std::fmt::Display) {
        let mut state = self.state.lock();
        state.connection = None;
        state.connects = false;
        state.rests = Some(Instant::now());
        if !std::mem::replace(&mut state.down, true) {
            tracing::warn!(%error, "Redis does not answer; limits and the live stream go on without it, signed requests are refused.");
        }
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_used() { "Redis" } else { "no Redis" })
    }
}
