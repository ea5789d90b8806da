//! The measured server: a process of the release binary with data of its own.
//!
//! Invariant: a server ends with its [`Server`], and the data folder with its [`Installation`],
//! also when measuring fails. A database in a cluster is dropped by whoever made it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::client::Connection;
use super::config;
use super::store::Store;
use super::usage::Usage;

/// What the server prints when it is ready, before its address.
const READY: &str = "Signalbox is ready: ";
/// Longest start.
const START: Duration = Duration::from_secs(60);
/// Longest stop.
const STOP: Duration = Duration::from_secs(30);

/// Data with a configuration, and the binary that serves it.
#[derive(Debug)]
pub struct Installation {
    binary: PathBuf,
    store: Store,
    folder: TempDir,
    /// Token of the senders.
    pub token: String,
}

impl Installation {
    /// Makes a workspace and its configuration.
    ///
    /// # Errors
    /// The binary refuses.
    pub fn make(
        binary: &Path,
        store: Store,
        folder: TempDir,
        sink: SocketAddr,
    ) -> anyhow::Result<Self> {
        let made = Self {
            binary: binary.to_owned(),
            store,
            folder,
            token: format!("bench-{:032x}", rand::random::<u128>()),
        };
        made.run(&["bootstrap", "--json"])?;
        made.apply(sink, true)?;
        Ok(made)
    }

    /// Applies the configuration; deliveries are carried out, or wait. Beside a running server it
    /// returns when that serves it.
    ///
    /// # Errors
    /// The binary refuses.
    pub fn apply(&self, sink: SocketAddr, carry: bool) -> anyhow::Result<()> {
        let file = self.folder.path().join("bench.yaml");
        std::fs::write(&file, config::file(sink, carry).to_string())?;
        let file = file.to_str().context("the folder's name")?;
        self.run(&["apply", "-f", file])
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready; its log is named.
    pub async fn start(&self) -> anyhow::Result<Server> {
        let log = self.folder.path().join("server.log");
        let begun = Instant::now();
        let mut child = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(&log)?,
            )
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let stdout = child.stdout.take();
        // From here on the process ends whatever happens.
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready: Duration::ZERO,
        };
        let ready = async {
            let line = tokio::task::spawn_blocking(move || ready_line(stdout)).await??;
            server.address = address_of(&line)?;
            let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
            loop {
                if let Ok(mut connection) = Connection::open(server.address).await
                    && let Ok(200) = connection.status(request).await
                {
                    return anyhow::Ok(begun.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ready = tokio::time::timeout(START, ready).await;
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        server.ready = ready
            .with_context(|| format!("the server did not become ready:\n{}", said()))?
            .with_context(|| format!("the server did not start:\n{}", said()))?;
        Ok(server)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let done = self.command(arguments).stdin(Stdio::null()).output()?;
        ensure!(
            done.status.success(),
            "signalbox {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// The binary on this data, with none of the caller's own settings.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SIGNALBOX_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .arg("--data")
            .arg(self.folder.path())
            .env(config::TOKEN, &self.token);
        if let Some(url) = self.store.url() {
            command.args(["--database-url", url]);
        }
        command
    }
}

/// Reads up to the line that says the server is ready.
fn ready_line(stdout: Option<std::process::ChildStdout>) -> anyhow::Result<String> {
    let stdout = stdout.context("the server's output")?;
    for line in BufReader::new(stdout).lines() {
        if let Some(url) = line?.strip_prefix(READY) {
            return Ok(url.trim().to_owned());
        }
    }
    bail!("it ended before it was ready")
}

fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    let url: url::Url = url.parse().context("the server's address")?;
    let port = url.port().context("the server's port")?;
    Ok(([127, 0, 0, 1], port).into())
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Time from the start of the process to the first 2xx.
    pub ready: Duration,
}

impl Server {
    /// What the process has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as a service manager does.
    ///
    /// # Errors
    /// It does not stop in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "the server could not be told to stop");
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < STOP, "the server did not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
