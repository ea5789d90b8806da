//! A limit of the machine: an HTTP handler that reads the body and stores nothing.
//!
//! It runs in a process of its own, as the server does: `bench handler` prints its port and serves
//! until its standard input ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;

/// Name of the command.
pub const COMMAND: &str = "handler";

/// Serves until standard input ends.
///
/// # Errors
/// No port is free.
pub fn serve() -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| App::new().default_service(web::to(answer)))
            .bind("127.0.0.1:0")
            .context("the handler's port")?
            .disable_signals();
        let port = server.addrs().first().context("no address")?.port();
        let mut out = std::io::stdout();
        writeln!(out, "{port}")?;
        out.flush()?;
        let server = server.run();
        let handle = server.handle();
        std::thread::spawn(move || {
            std::io::stdin().lines().for_each(drop);
            std::process::exit(0);
        });
        server.await?;
        drop(handle);
        anyhow::Ok(())
    })
}

async fn answer(body: web::Bytes) -> HttpResponse {
    HttpResponse::Accepted().json(serde_json::json!({"bytes": body.len()}))
}

/// A running handler; killed when dropped.
#[derive(Debug)]
pub struct Handler {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Handler {
    /// Starts this program again as the handler.
    ///
    /// # Errors
    /// It does not start.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let mut handler = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
        };
        let mut line = String::new();
        BufReader::new(stdout.context("the handler's output")?).read_line(&mut line)?;
        let port: u16 = line.trim().parse().context("the handler's port")?;
        handler.address.set_port(port);
        Ok(handler)
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
