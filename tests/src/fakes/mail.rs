//! A real mail server of another maker, from a package index, behind a handle.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::python;
use crate::server::Options;
use crate::wait::wait_until;

const SCRIPT: &str = include_str!("mail_sink.py");

/// A mail, as the server took it.
#[derive(Clone, Debug, Deserialize)]
pub struct Received {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// How the client greeted.
    pub hello: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Who signed in.
    pub user: Option<String>,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The plain part, decoded.
    pub text: String,
    /// The page, decoded.
    pub html: String,
}

impl Received {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first web address in the plain part.
    ///
    /// # Panics
    /// There is none.
    pub fn link(&self) -> String {
        let mut words = self.text.split_whitespace();
        let found = words.find(|word| word.starts_with("http"));
        found.expect("a link").to_owned()
    }
}

/// A running mail server. It ends when this is dropped.
pub struct MailSink {
    process: Child,
    folder: TempDir,
    received: Arc<Mutex<Vec<Received>>>,
    options: Value,
    /// Its port on loopback.
    pub port: u16,
}

impl MailSink {
    /// One that takes everything, in clear.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// With `tls` (`none`, `starttls`, `implicit`), `user` and `password`, `refuse` (the beginning of
    /// the answer to each recipient), `port`.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start_with(options: Value) -> Self {
        let folder = TempDir::new().unwrap();
        let script = folder.path().join("mail_sink.py");
        std::fs::write(&script, SCRIPT).unwrap();
        let mut process = Command::new(python())
            .arg(script)
            .arg(folder.path())
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let (ready, when_ready) = tokio::sync::oneshot::channel();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let shared = Arc::clone(&received);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let first: Value = serde_json::from_str(&lines.next().unwrap_or_default()).unwrap();
            ready.send(first["port"].as_u64().unwrap()).ok();
            for line in lines {
                shared.lock().push(serde_json::from_str(&line).unwrap());
            }
        });
        let port = tokio::time::timeout(crate::wait::PATIENCE, when_ready).await;
        Self {
            process,
            folder,
            received,
            options,
            port: u16::try_from(port.unwrap().expect("a mail server")).unwrap(),
        }
    }

    /// The settings by which a server sends its mail here.
    pub fn settings(&self, options: Options) -> Options {
        let tls = self.options["tls"].as_str().unwrap_or("none");
        let mut options = options
            .set("smtp_host", "localhost")
            .set("smtp_port", self.port)
            .set("smtp_tls", tls)
            .set("mail_from", "Signalbox <box@example.com>");
        if tls != "none" {
            options = options.set("smtp_ca", self.ca().display());
        }
        if let Some(user) = self.options["user"].as_str() {
            let password = self.options["password"].as_str().unwrap_or_default();
            options = options
                .set("smtp_user", user)
                .set("smtp_password", password);
        }
        options
    }

    /// File with the authority of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What was taken so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// Waits for the first mail to an address.
    ///
    /// # Panics
    /// None comes.
    pub async fn mail_to(&self, address: &str) -> Received {
        wait_until(&format!("a mail to {address}"), async || {
            let all = self.received();
            all.into_iter()
                .find(|mail| mail.to.iter().any(|to| to == address))
        })
        .await
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
