//! The server under test: the built binary, its data, and what it says.
//!
//! Invariant: the process ends with the [`Server`], also when the test panics, and its log is shown
//! then. Data outlives the process, so a killed server can be started again on it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::client::{Address, Client};
use crate::database::{Database, Store};
use crate::signing::ApiSigner;
use crate::stuck;

/// Longest time from the start of the process to its first answer.
const START: Duration = Duration::from_secs(60);
/// Longest run of a command; shorter than what the runner allows a test.
const COMMAND: Duration = Duration::from_secs(200);
/// What the server prints when it is ready, before its address.
const READY: &str = "Signalbox is ready: ";
/// Lines of the log that are shown when a test fails.
const SHOWN: usize = 300;

/// What `bootstrap --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Credentials {
    /// The first workspace.
    pub workspace: Workspace,
    /// The first admin.
    pub admin: Admin,
    /// The first credential.
    pub bearer: Bearer,
    /// The first credential that signs; a version before this one made none.
    #[serde(default)]
    pub hmac: Option<Hmac>,
}

/// The first workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Workspace {
    /// Its name in addresses.
    pub slug: String,
}

/// The first admin.
#[derive(Clone, Debug, Deserialize)]
pub struct Admin {
    /// Address of the account.
    pub email: String,
    /// One-time password.
    pub password: String,
}

/// The first credential.
#[derive(Clone, Debug, Deserialize)]
pub struct Bearer {
    /// Its public name.
    pub client_id: String,
    /// The token.
    pub token: String,
}

/// The first credential that signs.
#[derive(Clone, Debug, Deserialize)]
pub struct Hmac {
    /// Its public name.
    pub client_id: String,
    /// What it signs with.
    pub secret: String,
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    env: Vec<(String, String)>,
    file_limit: Option<u64>,
    database: Option<String>,
}

impl Options {
    /// With a setting, by the name of its key.
    #[must_use]
    pub fn set(self, key: &str, value: impl ToString) -> Self {
        let name = format!("SIGNALBOX_{}", key.to_uppercase());
        self.env(&name, value)
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a limit on the size of every file that the server writes, in kilobytes: a disk that is
    /// full, as far as the server can tell. [`Server::lift_every_file_limit`] makes room again.
    #[must_use]
    pub fn file_limit(mut self, kilobytes: u64) -> Self {
        self.file_limit = Some(kilobytes);
        self
    }

    fn unlimited(&self) -> Self {
        Self {
            file_limit: None,
            ..self.clone()
        }
    }

    /// With the database at another address than its own, which leads there.
    #[must_use]
    pub fn database(mut self, url: &str) -> Self {
        self.database = Some(url.to_owned());
        self
    }
}

type Log = Arc<Mutex<Vec<String>>>;

/// A server, running or killed, with its data.
pub struct Server {
    process: Mutex<Option<Child>>,
    address: Address,
    log: Log,
    options: Options,
    /// What was printed at the first start.
    pub credentials: Credentials,
    /// Its database.
    pub store: Arc<Store>,
    folder: Arc<TempDir>,
}

impl Server {
    /// Makes a workspace and starts a server on it, with the settings of a new installation.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(kind: Database) -> Self {
        Self::start_with(kind, Options::default()).await
    }

    /// Makes a workspace and starts a server on it.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start_with(kind: Database, options: Options) -> Self {
        let server = Self::prepare(kind, options).await;
        server.resume().await;
        server
    }

    /// Makes a workspace; starts no server.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn prepare(kind: Database, options: Options) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::make(kind, folder.path()).await;
        Self::prepare_on(store, folder, options).await
    }

    /// Makes a workspace in a database that is there; starts no server.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn prepare_on(store: Store, folder: TempDir, options: Options) -> Self {
        stuck::watch();
        let mut command = command(&options.unlimited());
        command.args(["bootstrap", "--json"]);
        place(&mut command, folder.path(), store.url());
        let made = run(command).await;
        assert!(made.status.success(), "bootstrap: {}", both(&made));
        Self {
            process: Mutex::new(None),
            address: Arc::new(RwLock::new("http://127.0.0.1:9".to_owned())),
            log: Log::default(),
            options,
            credentials: serde_json::from_slice(&made.stdout).unwrap(),
            store: Arc::new(store),
            folder: Arc::new(folder),
        }
    }

    /// A server on data that is there; it is not started.
    pub fn of(store: Store, folder: TempDir, credentials: Credentials, options: Options) -> Self {
        Self {
            process: Mutex::new(None),
            address: Arc::new(RwLock::new("http://127.0.0.1:9".to_owned())),
            log: Log::default(),
            options,
            credentials,
            store: Arc::new(store),
            folder: Arc::new(folder),
        }
    }

    /// Another node on the same database with the same keys; it is not started. PostgreSQL only.
    #[must_use]
    pub fn another(&self, options: Options) -> Self {
        Self {
            process: Mutex::new(None),
            address: Arc::new(RwLock::new("http://127.0.0.1:9".to_owned())),
            log: Log::default(),
            options,
            credentials: self.credentials.clone(),
            store: Arc::clone(&self.store),
            folder: Arc::clone(&self.folder),
        }
    }

    /// Starts the process on the data that is there and waits until it is ready. Its port is new;
    /// clients made before follow.
    ///
    /// # Panics
    /// It does not start.
    pub async fn resume(&self) {
        let begun = Instant::now();
        assert!(
            self.try_resume().await,
            "the server did not start within {:?}",
            begun.elapsed()
        );
    }

    /// The same where it may end at once, and say why; returns whether it is ready.
    ///
    /// # Panics
    /// It does neither in time.
    pub async fn try_resume(&self) -> bool {
        let mut command = command(&self.options);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let database = self.options.database.as_deref().or(self.store.url());
        place(&mut command, self.folder.path(), database);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", binary().display()));
        let (ready, when_ready) = oneshot::channel();
        listen(child.stdout.take().unwrap(), &self.log, Some(ready));
        listen(child.stderr.take().unwrap(), &self.log, None);
        *self.process.lock() = Some(child);
        let url = tokio::time::timeout(START, when_ready).await;
        let url = url.unwrap_or_else(|_| panic!("the server said nothing for {START:?}"));
        let Ok(url) = url else {
            // It said its last word; what is left of it goes.
            self.kill();
            return false;
        };
        // `localhost` may be an IPv6 address, where nobody listens.
        *self.address.write() = url.replace("localhost", "127.0.0.1");
        true
    }

    /// Kills the process as `kill -9` does, if it runs.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends SIGTERM and waits for the end of the process.
    ///
    /// # Panics
    /// It does not end in time.
    pub async fn terminate(&self) -> ExitStatus {
        let mut child = self.process.lock().take().expect("a running server");
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        let status = crate::wait_until("the server stops", async || child.try_wait().unwrap());
        status.await
    }

    /// Kills the process and starts it again on its data.
    ///
    /// # Panics
    /// It does not start.
    pub async fn restart(&self) {
        self.kill();
        self.resume().await;
    }

    /// Whether a process runs.
    pub fn runs(&self) -> bool {
        self.process.lock().is_some()
    }

    /// Id of the running process.
    ///
    /// # Panics
    /// None runs.
    pub fn pid(&self) -> u32 {
        self.process.lock().as_ref().expect("a running server").id()
    }

    /// Memory of the running process that is in use now, in kilobytes.
    ///
    /// # Panics
    /// None runs, or the system does not say.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.expect("VmRSS").parse().unwrap()
    }

    /// Makes room again after [`Options::file_limit`], from the next start on.
    pub fn lift_every_file_limit(&mut self) {
        self.options = self.options.unlimited();
    }

    /// Address of the running server, without a slash at the end.
    pub fn url(&self) -> String {
        self.address.read().clone()
    }

    /// Folder of the data.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// What the server has said so far, all starts together.
    pub fn log(&self) -> String {
        self.log.lock().join("\n")
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(Arc::clone(&self.address))
    }

    /// A client with the first credential, which may do everything.
    pub fn client(&self) -> Client {
        self.anonymous().bearer(&self.credentials.bearer.token)
    }

    /// Who signs with the first credential that does.
    ///
    /// # Panics
    /// There is none.
    pub fn signer(&self) -> ApiSigner {
        let hmac = self
            .credentials
            .hmac
            .as_ref()
            .expect("a signing credential");
        ApiSigner::new(&hmac.client_id, &hmac.secret)
    }

    /// A client that signed in as the first admin.
    ///
    /// # Panics
    /// The sign-in fails.
    pub async fn session(&self) -> Client {
        let admin = &self.credentials.admin;
        self.anonymous()
            .sign_in(&admin.email, &admin.password)
            .await
    }

    /// A command of the same binary on the same data; without `serve`'s settings.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with(arguments, &[]).await
    }

    /// The same with variables of the environment.
    pub async fn cli_with(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = command(&self.options.unlimited());
        command.args(arguments).envs(env.iter().copied());
        place(&mut command, self.folder.path(), self.store.url());
        run(command).await
    }

    /// Applies a file beside the server.
    ///
    /// # Panics
    /// It is refused.
    pub async fn apply(&self, yaml: &str) {
        self.apply_with(yaml, &[]).await;
    }

    /// Applies a file beside the server, with secrets in the environment; returns what was printed.
    ///
    /// # Panics
    /// It is refused.
    pub async fn apply_with(&self, yaml: &str, env: &[(&str, &str)]) -> String {
        let file = self.write("signalbox.yaml", yaml);
        let done = self
            .cli_with(&["apply", "-f", file.to_str().unwrap()], env)
            .await;
        assert!(done.status.success(), "apply: {}\n{yaml}", both(&done));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Writes a file beside the data.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let folder = self.folder.path().join("files");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "the log belongs to the report of a failure"
    )]
    fn drop(&mut self) {
        if let Some(mut child) = self.process.lock().take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log.lock();
            let from = log.len().saturating_sub(SHOWN);
            eprintln!("--- log of the server, {from} lines left out");
            for line in log.iter().skip(from) {
                eprintln!("{line}");
            }
        }
    }
}

/// The built binary: `SIGNALBOX_BIN`, or the one beside this test program.
///
/// # Panics
/// There is none.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("SIGNALBOX_BIN").map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            let profile = test.parent().and_then(Path::parent).unwrap();
            profile.join("signalbox")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not there; build it with `cargo build --bin signalbox`",
        path.display()
    );
    path
}

/// The binary without any setting of the caller's own environment.
pub fn command(options: &Options) -> Command {
    let mut command = match options.file_limit {
        None => Command::new(binary()),
        Some(kilobytes) => {
            // The system sends a signal that would end the process, unless it is ignored.
            let script = format!(
                "trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"",
                kilobytes * 2
            );
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(script).arg(binary());
            shell
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIGNALBOX_") {
            command.env_remove(name);
        }
    }
    command.envs(options.env.iter().map(|(k, v)| (k, v)));
    command
}

fn place(command: &mut Command, data: &Path, database: Option<&str>) {
    command.arg("--data").arg(data);
    if let Some(url) = database {
        command.args(["--database-url", url]);
    }
}

/// Runs a command to its end without blocking the test's other tasks.
///
/// # Panics
/// It cannot be run, or does not end.
pub async fn run(mut command: Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    match tokio::time::timeout(COMMAND, ended).await {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let state = stuck::state(pid);
            // Whoever waits for it has to end, too.
            Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status()
                .ok();
            panic!("{command:?} did not end:\n{state}");
        }
    }
}

/// Both streams of a command, for messages.
pub fn both(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Keeps every line; the address of the first `READY` line goes to whoever waits for it.
fn listen(stream: impl Read + Send + 'static, log: &Log, ready: Option<oneshot::Sender<String>>) {
    let log = Arc::clone(log);
    let mut ready = ready;
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix(READY)
                && let Some(ready) = ready.take()
            {
                ready.send(url.trim().to_owned()).ok();
            }
            log.lock().push(line);
        }
    });
}
