//! Limits that hold over all nodes: rates of sources, connections and callers, failed sign-ins.
//!
//! Invariant: a limit is a bucket of tokens with a key. Where Redis is set, the buckets lie there
//! and every node takes from the same ones; one atomic script takes, by Redis' own clock. Without
//! Redis, or while it is down or slow, each node goes by the twin in its own memory: the limits are
//! then kept per node, and nothing is refused or delayed because of Redis. The twin goes by
//! monotonic time and is bounded. Neither outlives a crash of its process; a bucket that is gone is
//! a full one.

mod local;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::metrics::Metrics;
use crate::redis::{Away, Redis};

use local::Local;
use shared::Shared;

/// How a bucket fills.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: f64,
    /// Tokens that come back in a second.
    pub per_second: f64,
}

impl Rate {
    /// So many a minute, and a burst of a tenth of that (at least one).
    pub fn per_minute(n: u32) -> Self {
        Self {
            burst: (f64::from(n) / 10.0).max(1.0),
            per_second: f64::from(n.max(1)) / 60.0,
        }
    }

    /// `burst` at once, then one more every so many seconds.
    pub fn one_every(seconds: u32, burst: u32) -> Self {
        Self {
            burst: f64::from(burst.max(1)),
            per_second: 1.0 / f64::from(seconds.max(1)),
        }
    }

    /// How long until a bucket with `left` tokens has a whole one.
    fn wait(self, left: f64) -> Option<Duration> {
        (left < 1.0).then(|| Duration::from_secs_f64(((1.0 - left) / self.per_second).max(0.001)))
    }
}

/// Which bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Requests to a source.
    Source(Uuid),
    /// Calls of a connection.
    Connection(Uuid),
    /// Requests of a person.
    Person(Uuid),
    /// Requests of a credential.
    Credential(Uuid),
    /// Requests from an address of somebody who need not be signed in.
    Address(String),
    /// Failures of somebody who signs in: what is counted, and for whom.
    Failures(&'static str, String),
}

/// What is done to a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A token is taken if there is one.
    Take,
    /// Nothing.
    Look,
    /// A token is taken, or what is left of one.
    Drain,
}

/// What came of taking a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// How long until there is a token; none: one was taken.
    pub wait: Option<Duration>,
    /// Tokens that are left.
    pub left: f64,
}

/// Where buckets are kept.
#[async_trait::async_trait]
trait Buckets: Send + Sync {
    /// Does it, and says how long until there is a token if there was none, and what is left.
    async fn act(&self, key: &Key, rate: Rate, act: Act) -> Result<Taken, Away>;

    /// Makes a bucket a full one.
    async fn fill(&self, key: &Key) -> Result<(), Away>;
}

/// The limits of this installation. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    local: Local,
    shared: Option<Shared>,
    metrics: Metrics,
}

impl Limits {
    /// Limits over all nodes if Redis is set, else of this one. `installation` keeps the buckets of
    /// two installations on one Redis apart.
    pub fn new(redis: Redis, installation: &str, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            local: Local::default(),
            shared: redis
                .is_used()
                .then(|| Shared::new(redis, installation.to_owned())),
            metrics,
        }))
    }

    /// Takes a token, or says how long until there is one.
    ///
    /// # Errors
    /// The wait until the next token.
    pub async fn take(&self, key: &Key, rate: Rate) -> Result<(), Duration> {
        self.take_some(key, rate).await.wait.map_or(Ok(()), Err)
    }

    /// Takes a token if there is one, and says what is left.
    pub async fn take_some(&self, key: &Key, rate: Rate) -> Taken {
        self.act(key, rate, Act::Take).await
    }

    /// How long until there is a token; none: now.
    pub async fn wait(&self, key: &Key, rate: Rate) -> Option<Duration> {
        self.act(key, rate, Act::Look).await.wait
    }

    /// Takes a token, or what is left of one.
    pub async fn drain(&self, key: &Key, rate: Rate) {
        self.act(key, rate, Act::Drain).await;
    }

    /// Makes a bucket a full one.
    pub async fn fill(&self, key: &Key) {
        if let Some(shared) = &self.0.shared
            && shared.fill(key).await.is_err()
        {
            self.0.metrics.without_redis();
        }
        // The twin is filled in any case: it decides when Redis is away.
        let _never_away = self.0.local.fill(key).await;
    }

    async fn act(&self, key: &Key, rate: Rate, act: Act) -> Taken {
        if let Some(shared) = &self.0.shared {
            match shared.act(key, rate, act).await {
                Ok(taken) => return taken,
                Err(Away) => self.0.metrics.without_redis(),
            }
        }
        let full = Taken {
            wait: None,
            left: rate.burst,
        };
        self.0.local.act(key, rate, act).await.unwrap_or(full)
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Limits")
    }
}
