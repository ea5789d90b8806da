//! The server: socket, threads, limits, stop.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::Server;
use actix_web::http::{Method, header};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, web};
use engine::signature::{CLIENT_HEADER, NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

use super::extract::path_config;
use super::finish::finish;
use super::routes::stream::Stopping;
use super::trace::RequestSpan;
use super::{app, console, docs, fallback, health, hooks, tls};
use crate::auth::{Authenticator, CSRF_HEADER, WORKSPACE_HEADER};
use crate::core::Core;
use crate::ingest::Budget;
use crate::settings::{Role, Settings};

/// What a browser may send across origins.
const HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "if-match",
    "last-event-id",
    CSRF_HEADER,
    WORKSPACE_HEADER,
    CLIENT_HEADER,
    TIMESTAMP_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
];

/// Serves until `shutdown`, then ends streams, waits for requests in flight, and returns.
///
/// # Errors
/// The certificate cannot be used, or the socket fails.
pub async fn serve(
    core: Core,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let server = build(core, listener, shutdown.clone())?;
    let handle = server.handle();
    let stop = async move {
        shutdown.cancelled().await;
        handle.stop(true).await;
    };
    let (ended, ()) = tokio::join!(server, stop);
    ended
}

/// The server as the settings ask for it, taking requests as soon as it is polled.
fn build(core: Core, listener: TcpListener, shutdown: CancellationToken) -> io::Result<Server> {
    let settings = core.settings.clone();
    let tls = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Some(tls::config(cert, key)?),
        _ => None,
    };
    let patience = Duration::from_secs(settings.request_timeout_seconds.max(1));
    let authenticator = web::Data::new(Authenticator::new(core.clone()));
    let stopping = web::Data::new(Stopping(shutdown));
    let budget = web::Data::new(Budget::new(settings.queue_bytes.max(settings.body_limit)));
    let metrics = web::Data::new(core.metrics.clone());
    let core = web::Data::new(core);
    let shared = settings.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(core.clone())
            .app_data(authenticator.clone())
            .app_data(stopping.clone())
            .app_data(budget.clone())
            .app_data(metrics.clone())
            .app_data(path_config())
            .configure(|config| routes(config, &shared))
    })
    .disable_signals()
    .shutdown_timeout(settings.shutdown_seconds)
    .client_request_timeout(patience)
    .client_disconnect_timeout(Duration::from_secs(5))
    .keep_alive(Duration::from_secs(75));
    if settings.http_workers > 0 {
        server = server.workers(settings.http_workers);
    }
    let server = match tls {
        None => server.listen(listener)?,
        Some(config) => server.listen_rustls_0_23(listener, config)?,
    }
    .run();
    Ok(server)
}

/// What this role serves: hooks, and behind layers all else.
fn routes(config: &mut web::ServiceConfig, settings: &Settings) {
    if settings.role != Role::Worker {
        hooks::configure(config, settings);
    }
    config.service(
        web::scope("")
            .wrap(Compress::default())
            .wrap(cors(settings))
            .wrap(from_fn(finish))
            .wrap(TracingLogger::<RequestSpan>::new())
            .configure(|config| layered(config, settings.role)),
    );
}

/// Health and numbers; on those that serve people, the API and the console.
fn layered(config: &mut web::ServiceConfig, role: Role) {
    app::operation(config);
    config.configure(health::heads);
    if role == Role::Worker {
        config.default_service(web::to(fallback::not_offered));
        return;
    }
    app::api(config);
    config
        .configure(docs::configure)
        .default_service(web::to(console::serve));
}

/// No other origin, unless it is named.
pub fn cors(settings: &Settings) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allowed_headers(HEADERS.iter().copied())
        .expose_headers([
            header::ETAG.as_str(),
            header::RETRY_AFTER.as_str(),
            "x-request-id",
            "ratelimit",
            "ratelimit-policy",
        ])
        .max_age(600)
        .block_on_origin_mismatch(false);
    if settings.cors_origins.is_empty() {
        return cors;
    }
    settings
        .cors_origins
        .iter()
        .fold(cors.supports_credentials(), |cors, origin| {
            cors.allowed_origin(origin)
        })
}
