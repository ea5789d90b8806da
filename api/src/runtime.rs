//! Putting the parts together, and taking them apart in the right order.
//!
//! Invariant: nothing is accepted before the configuration is loaded, and at a stop the carriers
//! end before the journal, so that every outcome that is known is written. What is still in flight
//! after the grace is freed, marked `unsure`, and continues elsewhere or at the next start.

use std::sync::Arc;
use std::time::Duration;

use engine::retry::RetryPolicy;
use entity::delivery;
use sea_orm::{DbErr, EntityTrait as _, QueryOrder as _, QuerySelect as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::{self, Providers, Uses};
use crate::chain;
use crate::clock::Clock;
use crate::connectors;
use crate::core::Core;
use crate::db::{DataLock, Db, LockError, Trouble, is_full};
use crate::dispatch;
use crate::egress::{Egress, EgressOptions, EgressSetupError};
use crate::heartbeat::{self, Beats};
use crate::ids;
use crate::journal;
use crate::limits::Limits;
use crate::live::Hub;
use crate::mail::{self, Mail};
use crate::maintenance;
use crate::metrics::Metrics;
use crate::nodes::lease::Lease;
use crate::nodes::{self, Nodes};
use crate::quota::{self, Daily};
use crate::redis::Redis;
use crate::retention;
use crate::schedule::{self, Task, job};
use crate::secrets::{self, KeySource, Keyring, KeyringError, RewrapError};
use crate::services::{aside, connections, credentials, replay, rules, sources, workspaces};
use crate::settings::{Role, Settings};
use crate::snapshot::Snapshots;

/// How often a command is asked for the keys again.
const KEYS_AGAIN: Duration = Duration::from_secs(60);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("the data folder cannot be used: {0}")]
    Folder(#[from] std::io::Error),
    /// Another server works on the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be opened, brought up to date or read.
    #[error("the database cannot be used: {}", why(.0))]
    Database(#[from] DbErr),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The keys are not those that sealed what is stored.
    #[error(transparent)]
    WrongKeys(#[from] RewrapError),
    /// The client for outbound calls cannot be made.
    #[error(transparent)]
    Egress(#[from] EgressSetupError),
    /// The address of Redis cannot be used. Whether it answers does not matter.
    #[error("redis_url cannot be used: {0}")]
    Redis(String),
    /// The mail server cannot be used as it is set. Whether it answers does not matter.
    #[error("smtp_ca cannot be used: {0}")]
    Mail(String),
    /// The file of the providers of single sign-on has faults. Whether they answer does not matter.
    #[error("sso_file cannot be used: {0}")]
    Providers(String),
}

/// A full disk is said in so many words: of a limit, SQLite says "disk I/O error".
fn why(error: &DbErr) -> String {
    if is_full(error) {
        format!("{}: {error}", Trouble::Full.text())
    } else {
        error.to_string()
    }
}

/// A running server, all but its HTTP side.
#[derive(Debug)]
pub struct Runtime {
    core: Core,
    grace: Duration,
    dispatch: JoinHandle<bool>,
    journal: JoinHandle<()>,
    snapshots: JoinHandle<()>,
    schedule: JoinHandle<()>,
    beats: JoinHandle<()>,
    uses: JoinHandle<()>,
    chain: JoinHandle<()>,
    upkeep: JoinHandle<()>,
    keys: JoinHandle<()>,
    nodes: JoinHandle<()>,
    quota: JoinHandle<()>,
    stop_dispatch: CancellationToken,
    stop_rest: CancellationToken,
    _lock: Option<DataLock>,
}

impl Runtime {
    /// Opens the database, loads the configuration, starts the workers.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        crate::db::make_folder(&settings.data)?;
        let lock = if settings.database_url.is_none() {
            Some(DataLock::take(&settings.data)?)
        } else {
            None
        };
        let db = Db::open(&settings.location(), settings.db_connections).await?;
        db.migrate().await?;
        rules::catch_up(&db, &clock).await?;
        credentials::catch_up(&db).await?;
        let keyring = open_keys(&settings).await?;
        secrets::check(&db, &keyring).await?;
        let newest: Option<Uuid> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::Id)
            .order_by_desc(delivery::Column::Id)
            .into_tuple()
            .one(db.read())
            .await?;
        if let Some(newest) = newest {
            ids::continue_after(newest);
        }

        let lease = Duration::from_secs(settings.lease_seconds.max(1));
        let handle = dispatch::Handle::new(ids::new(&clock), dispatch_options(&settings, lease));
        let role = settings.role.word();
        dispatch::register(&db, handle.node(), role, clock.now_ms(), lease).await?;
        let known = Nodes::new(handle.node(), Lease::new(db.is_postgres().then_some(lease)));
        let (live, outgoing) = hub(&db);
        let metrics = Metrics::new();
        let patience = Duration::from_millis(settings.redis_timeout_ms);
        let redis = Redis::at(settings.redis_url.as_ref(), patience)
            .map_err(|error| StartError::Redis(error.to_string()))?;
        let installation: Arc<str> = db.installation().await?.into();
        let snapshots = Snapshots::new(db.clone(), keyring.clone(), handle.clone(), live.clone());
        snapshots.refresh().await?;
        let (journal_service, journal) = journal::Service::new(
            db.clone(),
            clock.clone(),
            handle.clone(),
            live.clone(),
            metrics.clone(),
            snapshots.clone(),
            journal::Options {
                queue: settings.queue_accepts.max(1),
                batch: settings.journal_batch.max(1),
                delay: Duration::from_millis(settings.commit_delay_ms),
                put_off: journal::OUTCOMES,
                refusals_kept: settings.refusals_kept,
            },
        );
        let egress = Egress::new(EgressOptions::default())?;
        let providers = Providers::load(&settings, egress.clone(), clock.clone())
            .map_err(StartError::Providers)?;
        let mail =
            Mail::new(&settings, keyring.clone(), clock.clone()).map_err(StartError::Mail)?;
        let core = Core {
            registry: connectors::standard(egress.clone(), db.clone(), clock.clone()),
            limits: Limits::new(redis.clone(), &installation, metrics.clone()),
            installation,
            redis,
            nodes: known,
            settings: Arc::new(settings),
            db,
            clock,
            keyring,
            egress,
            snapshots: snapshots.clone(),
            journal,
            dispatch: handle,
            daily: Daily::default(),
            beats: Beats::default(),
            uses: Uses::default(),
            live,
            mail,
            providers,
            metrics,
        };
        let kinds: Vec<String> = core.registry.all().map(|c| c.describe().kind).collect();
        core.metrics.connectors(kinds.iter().map(String::as_str));
        // Connects, so that the first limits are shared already. A Redis that is down stops nobody.
        core.redis.answers().await;
        let grace = Duration::from_secs(core.settings.shutdown_seconds);
        let stop_dispatch = CancellationToken::new();
        let stop_rest = CancellationToken::new();
        Ok(Self {
            grace,
            journal: tokio::spawn(journal_service.run(stop_rest.clone())),
            snapshots: tokio::spawn(snapshots.run(stop_rest.clone())),
            schedule: tokio::spawn(
                schedule::Service::new(core.clone(), tasks()).run(stop_dispatch.clone()),
            ),
            beats: tokio::spawn(heartbeat::keep(core.clone(), stop_rest.clone())),
            uses: tokio::spawn(auth::keep_uses(core.clone(), stop_rest.clone())),
            quota: tokio::spawn(quota::keep(core.clone(), stop_rest.clone())),
            chain: tokio::spawn(chain::keep(core.clone(), stop_rest.clone())),
            upkeep: {
                let (db, stop) = (core.db.clone(), stop_rest.clone());
                tokio::spawn(async move { db.upkeep(stop).await })
            },
            keys: tokio::spawn(keep_keys(core.keyring.clone(), stop_rest.clone())),
            nodes: tokio::spawn(nodes::Service::new(core.clone(), outgoing).run(stop_rest.clone())),
            dispatch: tokio::spawn(
                dispatch::Service::new(core.clone()).run(stop_dispatch.clone(), grace),
            ),
            core,
            stop_dispatch,
            stop_rest,
            _lock: lock,
        })
    }

    /// The shared services.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// How long requests and calls in flight may take to end.
    pub const fn grace(&self) -> Duration {
        self.grace
    }

    /// Starts no more calls; those in flight go on. The first half of a stop, for while the last
    /// requests are answered.
    pub fn stop_carriers(&self) {
        self.stop_dispatch.cancel();
    }

    /// Stops, after the HTTP side has: calls in flight end, the journal empties, leases are freed.
    pub async fn stop(self) {
        self.stop_dispatch.cancel();
        let drained = self.dispatch.await.unwrap_or(false);
        if !drained {
            tracing::warn!(
                "Some calls did not end in time; their deliveries continue at the next start."
            );
        }
        if let Err(error) = self.schedule.await {
            tracing::error!(%error, "The scheduler ended badly.");
        }
        self.stop_rest.cancel();
        let patience = self.grace.max(Duration::from_secs(5));
        if tokio::time::timeout(patience, self.journal).await.is_err() {
            tracing::error!("The journal did not empty in time.");
        }
        self.snapshots.abort();
        // A command that hangs holds nobody up.
        self.keys.abort();
        if let Err(error) = self.beats.await {
            tracing::error!(%error, "The keeper of heartbeats ended badly.");
        }
        if let Err(error) = self.uses.await {
            tracing::error!(%error, "The keeper of the uses of credentials ended badly.");
        }
        if let Err(error) = self.chain.await {
            tracing::error!(%error, "The keeper of the audit chain ended badly.");
        }
        if let Err(error) = self.upkeep.await {
            tracing::error!(%error, "The upkeep of the database ended badly.");
        }
        self.nodes.abort();
        self.quota.abort();
        let now = self.core.clock.now_ms();
        let node = self.core.dispatch.node();
        if let Err(error) = dispatch::unregister(&self.core.db, node, now, !drained).await {
            tracing::warn!(%error, "The leases of this node could not be freed; they run out.");
        }
    }
}

/// The live hub, and what the other nodes are to be told of it; there are others on PostgreSQL only.
fn hub(db: &Db) -> (Hub, tokio::sync::mpsc::Receiver<crate::live::Outgoing>) {
    let hub = Hub::new(u32::from_be_bytes(ids::random()));
    if db.is_postgres() {
        return hub.with_others();
    }
    let (_, closed) = tokio::sync::mpsc::channel(1);
    (hub, closed)
}

/// What is done by the clock. A part that needs a timer or a job adds its line here.
fn tasks() -> Vec<Arc<dyn Task>> {
    vec![
        Arc::new(job::Jobs::new(vec![
            Arc::new(replay::ReplayWorker),
            Arc::new(replay::DiscardWorker),
            Arc::new(replay::ReleaseWorker),
            Arc::new(replay::HeadsWorker),
            Arc::new(connections::DiscardWaiting),
        ])),
        Arc::new(aside::Aside),
        Arc::new(retention::Retention::default()),
        Arc::new(maintenance::Release),
        Arc::new(heartbeat::Silence),
        Arc::new(credentials::Retirement),
        Arc::new(sources::OldSecrets),
        Arc::new(mail::Outbox),
        Arc::new(workspaces::Removal),
    ]
}

fn dispatch_options(settings: &Settings, lease: Duration) -> dispatch::Options {
    let default = RetryPolicy::default();
    let seconds = |s: f64, or: Duration| Duration::try_from_secs_f64(s).unwrap_or(or);
    dispatch::Options {
        capacity: settings.queue_deliveries.max(2),
        concurrency: usize::try_from(settings.concurrency.max(1)).unwrap_or(1),
        retry: RetryPolicy {
            first: seconds(settings.retry_first_seconds, default.first),
            factor: settings.retry_factor,
            max: seconds(settings.retry_max_seconds, default.max),
            horizon: seconds(settings.retry_horizon_seconds, default.horizon),
            ..default
        },
        breaker_failures: settings.breaker_failures.max(1),
        lease,
        works: settings.role != Role::Api,
        random: rand::random::<f64>,
    }
}

/// Reads the keys, off the threads that answer: a command may take its time.
async fn open_keys(settings: &Settings) -> Result<Keyring, StartError> {
    let source = KeySource::of(settings);
    let opened = tokio::task::spawn_blocking(move || Keyring::open_source(source)).await;
    Ok(opened.map_err(std::io::Error::other)??)
}

/// Asks a command for the keys again, now and then: it may print another ring.
async fn keep_keys(keyring: Keyring, shutdown: CancellationToken) {
    if !keyring.is_asked_for() {
        return;
    }
    while shutdown
        .run_until_cancelled(tokio::time::sleep(KEYS_AGAIN))
        .await
        .is_some()
    {
        let asked = keyring.clone();
        match tokio::task::spawn_blocking(move || asked.ask_again()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the keys stay as they are"),
            Err(error) => tracing::warn!(%error, "the keys stay as they are"),
        }
    }
}
