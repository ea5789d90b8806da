//! A PostgreSQL of a test's own, which it may stop and start.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::wait::wait_until;

/// Folder of the server's programs; else they are looked for where Debian puts them, and in `PATH`.
pub const PROGRAMS: &str = "SIGNALBOX_TEST_POSTGRES_BIN";

/// A running cluster. It ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
}

impl Cluster {
    /// A new cluster, running. None where there are no programs and the run may do without.
    ///
    /// # Panics
    /// It does not start, or there are no programs although there must be.
    pub async fn start() -> Option<Self> {
        Self::start_in(TempDir::new().unwrap(), &[]).await
    }

    /// The same in a folder that is there, with more words for `initdb`.
    ///
    /// # Panics
    /// As above.
    pub async fn start_in(folder: TempDir, more: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os(crate::database::REQUIRED).is_none(),
                "there are no server programs of PostgreSQL; {PROGRAMS} may name their folder"
            );
            #[expect(
                clippy::print_stderr,
                reason = "the only way to say that nothing was tested"
            )]
            {
                eprintln!("not run: there are no server programs of PostgreSQL");
            }
            return None;
        };
        if is_root() {
            // The server does not run as root; the folder goes to the account that it runs as.
            let owned = Command::new("chown")
                .arg(account())
                .arg(folder.path())
                .status()
                .unwrap();
            assert!(owned.success());
        }
        let mut initdb = without_root(&programs.join("initdb"), folder.path());
        initdb
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-U", "signalbox", "-A", "trust", "-E", "UTF8"])
            .args(["--locale=C", "--no-sync"])
            .args(more);
        let made = crate::server::run(initdb).await;
        assert!(made.status.success(), "{}", crate::server::both(&made));
        let cluster = Self {
            port: free_port(),
            folder,
            programs,
            process: Mutex::new(None),
        };
        cluster.resume().await;
        Some(cluster)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("postgres://signalbox@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again, and waits until it answers.
    ///
    /// # Panics
    /// It does not start.
    pub async fn resume(&self) {
        let mut command = without_root(&self.programs.join("postgres"), self.folder.path());
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"])
            .arg(self.folder.path())
            .args(["-c", "max_connections=200"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        *self.process.lock() = Some(command.spawn().unwrap());
        wait_until("PostgreSQL answers", async || {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-U", "signalbox", "-p"])
                .arg(self.port.to_string())
                .status();
            ready.is_ok_and(|status| status.success()).then_some(())
        })
        .await;
    }

    /// Starts it again if it has ended by itself.
    ///
    /// # Panics
    /// It does not start.
    pub async fn revive(&self) {
        let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
        if self.process.lock().as_mut().is_none_or(ended) {
            self.resume().await;
        }
    }

    /// Stops it: `INT` ends its clients' connections and shuts down, `QUIT` is a crash, after which
    /// it has to recover.
    ///
    /// # Panics
    /// It does not stop.
    pub async fn stop(&self, signal: &str) {
        let mut child = self.process.lock().take().expect("a running cluster");
        send(signal, child.id());
        wait_until("PostgreSQL stops", async || child.try_wait().unwrap()).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.lock().take() {
            send("QUIT", child.id());
            for _ in 0..200 {
                if child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(25));
            }
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
}

fn programs() -> Option<PathBuf> {
    let has = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        return Some(PathBuf::from(folder)).filter(|folder| has(folder));
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|folder| has(folder))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The account that the package made.
fn account() -> &'static str {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if users.lines().any(|line| line.starts_with("postgres:")) {
        "postgres"
    } else {
        "nobody"
    }
}

fn without_root(program: &Path, folder: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", account()))
        .args(["--clear-groups", "--regid=nogroup"])
        .arg(program)
        .env("HOME", folder)
        .current_dir(folder);
    command
}

/// Waits until somebody listens on this port.
pub(crate) async fn listening(who: &str, port: u16) {
    wait_until(&format!("{who} listens"), async || {
        let open = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        open.ok().map(|_| ())
    })
    .await;
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    // Below the range that outgoing connections, and servers that ask for any port, take theirs from,
    // so that it is free after a restart.
    loop {
        let port = rand::random_range(20_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
