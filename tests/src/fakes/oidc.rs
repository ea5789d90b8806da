//! A real provider for single sign-on, from npm, behind a handle, and a browser that walks to it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use parking_lot::Mutex;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::http;
use crate::server::Server;

const SCRIPT: &str = include_str!("oidc_provider.mjs");
/// Its secret at the provider.
pub const SECRET: &str = "a-secret-of-the-provider";

/// A running provider. It ends when this is dropped.
pub struct OidcProvider {
    process: Child,
    lines: Mutex<Lines<BufReader<ChildStdout>>>,
    _folder: TempDir,
    /// Its issuer.
    pub issuer: String,
}

impl OidcProvider {
    /// Starts one.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let script = folder.path().join("provider.mjs");
        std::fs::write(&script, SCRIPT).unwrap();
        let modules = std::env::var_os("SIGNALBOX_TEST_OIDC_PROVIDER")
            .expect("SIGNALBOX_TEST_OIDC_PROVIDER; scripts/with-services sets it");
        let mut process = Command::new("node")
            .arg(script)
            .arg(modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = loop {
            let line = lines.next().expect("a provider that starts").unwrap();
            if let Ok(first) = serde_json::from_str::<Value>(&line) {
                break first;
            }
        };
        Self {
            process,
            lines: Mutex::new(lines),
            _folder: folder,
            issuer: first["issuer"].as_str().unwrap().to_owned(),
        }
    }

    /// Changes what it does; see the script.
    ///
    /// # Panics
    /// It has gone.
    pub fn set(&mut self, change: &Value) {
        let input = self.process.stdin.as_mut().unwrap();
        writeln!(input, "{change}").unwrap();
        // It says other things too.
        let mut lines = self.lines.lock();
        while lines.next().expect("a provider that lives").unwrap() != "{}" {}
    }

    /// Tells it where the server under test is.
    pub fn serve(&mut self, server: &Server) {
        self.set(&json!({ "box": public(server) }));
    }

    /// Lets this person in from now on.
    pub fn person(&mut self, person: &Value) {
        self.set(&json!({ "person": person }));
    }

    /// An entry of the file of providers, with more keys.
    pub fn entry(&self, more: &Value) -> String {
        let mut entry = json!({
            "name": "corp", "title": "Example Corp", "issuer": self.issuer,
            "client_id": "signalbox", "client_secret": { "env": "CORP_SECRET" },
            "scopes": ["email", "profile", "groups"], "email_domains": ["example.com"],
            "workspace": "main", "default_role": "viewer", "create_accounts": true,
            "allow_private": true,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        // JSON is YAML.
        json!({ "providers": [entry] }).to_string()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What the server says is its address.
pub fn public(server: &Server) -> String {
    server.url().replace("127.0.0.1", "localhost")
}

/// Goes on from the provider's page like a browser, until it is sent back to the server under test;
/// returns the path and query there.
///
/// # Panics
/// It is sent nowhere.
pub async fn walk(server: &Server, from: &str) -> String {
    let ours = public(server);
    let mut jar: BTreeMap<String, String> = BTreeMap::new();
    let mut at = url::Url::parse(from).unwrap();
    for _ in 0..12 {
        let cookies: Vec<String> = jar.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = http().get(at.clone()).header(COOKIE, cookies.join("; "));
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            jar.insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        let Some(next) = answer.headers().get(LOCATION).cloned() else {
            panic!("{at}: {status} {}", answer.text().await.unwrap());
        };
        let next = next.to_str().unwrap();
        if let Some(back) = next.strip_prefix(&ours) {
            return back.to_owned();
        }
        at = at.join(next).unwrap();
    }
    panic!("sent around for ever from {from}");
}
