//! Runs a fake on a thread of its own, until its handle is dropped.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};

use super::faults::Socket;
use crate::stuck;

/// Longest start, and longest end.
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(30);
/// How often is looked for the end.
const LOOK: Duration = Duration::from_millis(1);

/// A running fake. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    handle: Option<ServerHandle>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Starts a server on loopback; port 0 takes a free one.
pub(super) fn start(
    port: u16,
    workers: usize,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Running> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || App::new().configure(configure.clone()))
                .workers(workers)
                .backlog(4096)
                .disable_signals()
                .shutdown_timeout(0)
                .on_connect(keep_socket)
                .listen(listener)?
                .run();
            // The starter waits for it; if it has gone, nobody needs the handle.
            let _ = tell.send(server.handle());
            server.await
        })
    });
    let handle = told
        .recv_timeout(START)
        .map_err(|_| io::Error::other("the fake did not start"))?;
    Ok(Running {
        address,
        handle: Some(handle),
        thread: Some(thread),
    })
}

fn keep_socket(connection: &dyn Any, extensions: &mut Extensions) {
    let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
    let own = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
    if let Some(own) = own {
        extensions.insert(Socket(Arc::new(own.into())));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // The order is given when it is called; the future only waits for the end.
            drop(handle.stop(false));
        }
        let Some(thread) = self.thread.take() else {
            return;
        };
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() > END {
                // It goes with the process; what the test said counts.
                stuck::say(&format!(
                    "a fake did not end: {}",
                    stuck::state(std::process::id())
                ));
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = thread.join();
    }
}
