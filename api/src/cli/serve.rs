//! `serve`: putting the parts together, and taking them apart again.
//!
//! Order of the start: lock, schema, keys, configuration, journal, dispatcher, and the listener
//! last, so that the first request meets a server that is whole. The stop goes the other way: no new
//! requests and no new calls, then the journal, which writes what those in flight brought home; at
//! last the node gives back what it had leased. A kill at any point loses nothing that was
//! answered: leases run out, or are freed by the next start.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{Done, output, stores};
use crate::clock::Clock;
use crate::connectors;
use crate::core::Core;
use crate::db::{DataLock, Location};
use crate::dispatch;
use crate::egress::{Egress, EgressOptions};
use crate::ids;
use crate::journal;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::secrets::Keyring;
use crate::settings::{Loaded, LogFormat, Origin, Settings};
use crate::snapshot::Snapshots;

/// Connections that wait to be accepted by us.
const BACKLOG: u32 = 1024;
/// What is left of the time for stopping when the calls in flight have had theirs.
const LAST: Duration = Duration::from_secs(2);

pub(super) fn run(loaded: Loaded) -> Done {
    start_log(&loaded.settings)?;
    for warning in loaded.warnings() {
        tracing::warn!("{warning}");
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(loaded))?;
    Ok(ExitCode::SUCCESS)
}

fn start_log(settings: &Settings) -> anyhow::Result<()> {
    let filter: EnvFilter = settings.log.parse()?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Pretty => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn serve(loaded: Loaded) -> anyhow::Result<()> {
    let mut settings = loaded.settings;
    stores::make_data_folder(&settings.data)?;
    let _lock = match settings.location() {
        Location::Sqlite(_) => Some(DataLock::take(&settings.data)?),
        Location::Postgres(_) => None,
    };
    // Bound early, so that a taken port is found before the database is touched; nothing is
    // accepted before the server is whole.
    let socket = bind(settings.listen)?;
    let address = socket.local_addr()?;
    if loaded.origins.get("public_url") == Some(&Origin::Default) {
        settings.public_url = settings.url_of(address);
    }
    let running = Running::start(settings).await?;
    let stop_http = CancellationToken::new();
    let server = tokio::spawn(http_side(
        running.core.clone(),
        listen(socket)?.into_std()?,
        stop_http.clone(),
    ));
    let url = running.core.settings.public_url.clone();
    tracing::info!(%address, role = running.core.settings.role.word(), "Signalbox {} listens; open {url}", env!("CARGO_PKG_VERSION"));
    output::line(&format!("Signalbox is ready: {url}"))?;
    wait_for_the_end(running, server, stop_http).await
}

/// Waits for a signal or a failure of the HTTP side, and stops everything.
async fn wait_for_the_end(
    running: Running,
    mut server: JoinHandle<std::io::Result<()>>,
    stop_http: CancellationToken,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = &mut server => {
            running.stop().await;
            ended.context("the HTTP side failed")??;
            anyhow::bail!("the HTTP side ended by itself");
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("Stopping; a second signal stops at once.");
    stop_http.cancel();
    let stopping = async {
        // The calls in flight end while the last requests are answered.
        let grace = running.grace();
        let dispatch = running.dispatch.0.clone();
        dispatch.cancel();
        if tokio::time::timeout(grace, &mut server).await.is_err() {
            tracing::warn!("Some requests took too long to end.");
            server.abort();
        }
        running.stop().await;
    };
    tokio::select! {
        () = stopping => Ok(()),
        _ = terminate.recv() => anyhow::bail!("stopped at once"),
        _ = interrupt.recv() => anyhow::bail!("stopped at once"),
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart should not wait for old connections to time out.
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket)
}

fn listen(socket: TcpSocket) -> anyhow::Result<TcpListener> {
    let address = socket.local_addr()?;
    socket
        .listen(BACKLOG)
        .with_context(|| format!("cannot listen on {address}"))
}

/// The parts of a server, without its HTTP side.
pub(super) struct Running {
    /// What every part is handed.
    pub core: Core,
    journal: (CancellationToken, JoinHandle<()>),
    dispatch: (CancellationToken, JoinHandle<bool>),
    snapshots: (CancellationToken, JoinHandle<()>),
}

impl Running {
    /// Opens the database and starts the parts.
    ///
    /// # Errors
    /// Something cannot be opened; nothing runs then.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let db = stores::open(&settings, settings.db_connections).await?;
        stores::migrate(&db).await?;
        let keyring = Keyring::load_or_create(&settings.key_file)?;
        let clock = Clock::system();
        let egress = Egress::new(EgressOptions::default())?;
        let registry = connectors::standard(egress.clone(), db.clone(), clock.clone());
        let metrics = Metrics::new();
        let live = Hub::new(u32::from_be_bytes(ids::random()));
        let dispatch = dispatch::Handle::new(ids::new(&clock), dispatch_options(&settings));
        let snapshots = Snapshots::new(db.clone(), keyring.clone(), dispatch.clone(), live.clone());
        let (journal_service, journal) = journal::Service::new(
            db.clone(),
            clock.clone(),
            dispatch.clone(),
            live.clone(),
            metrics.clone(),
            journal::Options {
                queue: settings.queue_accepts,
                batch: settings.journal_batch,
                refusals_kept: settings.refusals_kept,
            },
        );
        let lease = Duration::from_secs(settings.lease_seconds);
        let role = settings.role.word();
        dispatch::register(&db, dispatch.node(), role, clock.now_ms(), lease).await?;
        snapshots.refresh().await?;
        let core = Core {
            settings: Arc::new(settings),
            db,
            clock,
            keyring,
            registry,
            egress,
            snapshots,
            journal,
            dispatch,
            live,
            metrics,
        };
        let grace = Self::grace_of(&core);
        Ok(Self {
            journal: spawn(|stop| journal_service.run(stop)),
            snapshots: spawn(|stop| core.snapshots.clone().run(stop)),
            dispatch: spawn(|stop| dispatch::Service::new(core.clone()).run(stop, grace)),
            core,
        })
    }

    /// How long requests and calls in flight may take to end.
    pub fn grace(&self) -> Duration {
        Self::grace_of(&self.core)
    }

    fn grace_of(core: &Core) -> Duration {
        Duration::from_secs(core.settings.shutdown_seconds)
    }

    /// Ends the calls in flight, writes what they brought home, and gives back what was leased.
    pub async fn stop(self) {
        let longest = self.grace() + LAST;
        let (stop, dispatch) = self.dispatch;
        stop.cancel();
        let drained = match tokio::time::timeout(longest, dispatch).await {
            Ok(Ok(drained)) => drained,
            _ => false,
        };
        for (stop, part) in [self.journal, self.snapshots] {
            stop.cancel();
            if tokio::time::timeout(LAST, part).await.is_err() {
                tracing::warn!("A part of the server took too long to end.");
            }
        }
        let now = self.core.clock.now_ms();
        let node = self.core.dispatch.node();
        match dispatch::unregister(&self.core.db, node, now, !drained).await {
            Ok(()) if drained => tracing::info!("Stopped; nothing was in flight."),
            Ok(()) => tracing::warn!("Stopped; calls in flight were cut and will be looked up."),
            Err(error) => tracing::warn!(%error, "Stopped; leases run out by themselves."),
        }
    }
}

fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    run: impl FnOnce(CancellationToken) -> F,
) -> (CancellationToken, JoinHandle<T>) {
    let stop = CancellationToken::new();
    let part = tokio::spawn(run(stop.clone()));
    (stop, part)
}

fn dispatch_options(settings: &Settings) -> dispatch::Options {
    dispatch::Options {
        capacity: settings.queue_deliveries,
        concurrency: usize::try_from(settings.concurrency).unwrap_or(usize::MAX),
        retry: engine::retry::RetryPolicy {
            first: Duration::from_secs_f64(settings.retry_first_seconds),
            factor: settings.retry_factor,
            max: Duration::from_secs_f64(settings.retry_max_seconds),
            horizon: Duration::from_secs_f64(settings.retry_horizon_seconds),
            ..engine::retry::RetryPolicy::default()
        },
        breaker_failures: settings.breaker_failures,
        lease: Duration::from_secs(settings.lease_seconds),
        works: settings.role.works(),
        random: rand::random::<f64>,
    }
}

/// Takes no requests yet.
async fn http_side(
    _core: Core,
    _socket: std::net::TcpListener,
    stop: CancellationToken,
) -> std::io::Result<()> {
    stop.cancelled().await;
    Ok(())
}
