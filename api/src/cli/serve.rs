//! `serve`: putting the parts together, and taking them apart again.
//!
//! Order of the start: lock, schema, keys, configuration, journal, dispatcher, and the listener
//! last, so that the first request meets a server that is whole. The stop goes the other way: no new
//! requests and no new calls, then the journal, which writes what those in flight brought home; at
//! last the node gives back what it had leased. A kill at any point loses nothing that was
//! answered: leases run out, or are freed by the next start.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{Done, output};
use crate::clock::Clock;
use crate::http;
use crate::runtime::Runtime;
use crate::settings::{Loaded, LogFormat, Origin, Settings};

/// Connections that wait to be accepted by us.
const BACKLOG: u32 = 1024;

pub(super) fn run(loaded: Loaded) -> Done {
    start_log(&loaded.settings)?;
    for warning in loaded.warnings() {
        tracing::warn!("{warning}");
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()?
        .block_on(serve(loaded))?;
    Ok(ExitCode::SUCCESS)
}

/// Threads for everything but HTTP and the journal, which have their own: half the processors. Where
/// there are as many as processors, each event wakes one more of them, which finds nothing to do.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

fn start_log(settings: &Settings) -> anyhow::Result<()> {
    // What others say about themselves at every start; the setting can ask for it again.
    let quiet = "sea_orm_migration=warn,actix_server=warn";
    let filter: EnvFilter = format!("{quiet},{}", settings.log).parse()?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Pretty => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn serve(loaded: Loaded) -> anyhow::Result<()> {
    let mut settings = loaded.settings;
    // Bound early, so that a taken port is found before the database is touched; nothing is
    // accepted before the server is whole.
    let socket = bind(settings.listen)?;
    let address = socket.local_addr()?;
    if loaded.origins.get("public_url") == Some(&Origin::Default) {
        settings.public_url = settings.url_of(address);
    }
    let running = Runtime::start(settings, Clock::of_server()).await?;
    let stop_http = CancellationToken::new();
    let server = tokio::spawn(http::serve(
        running.core().clone(),
        listen(socket)?.into_std()?,
        stop_http.clone(),
    ));
    let url = running.core().settings.public_url.clone();
    tracing::info!(%address, role = running.core().settings.role.word(), "Signalbox {} listens; open {url}", env!("CARGO_PKG_VERSION"));
    output::line(&format!("Signalbox is ready: {url}"))?;
    wait_for_the_end(running, server, stop_http).await
}

/// Waits for a signal or a failure of the HTTP side, and stops everything.
async fn wait_for_the_end(
    running: Runtime,
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
        running.stop_carriers();
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
