//! The layers of settings and what holds over all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::table::TABLE;
use super::value::{SmtpTls, Value};
use super::{OTHER_VARIABLES, PREFIX, Settings};
use crate::db::Location;
use crate::mail::is_sender;

/// Name of the settings file in the data folder.
const FILE_NAME: &str = "signalbox.toml";
/// A year, in seconds.
const LONGEST: f64 = 31_536_000.0;

/// What was given, before any of it is read.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Flags by the name of their setting.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment; what is not ours is passed over.
    pub env: BTreeMap<String, String>,
    /// The file of `--config`.
    pub file: Option<PathBuf>,
}

impl Given {
    /// These flags and this file over the environment of the process. Variables that are not UTF-8
    /// are passed over.
    pub fn by_process(flags: BTreeMap<&'static str, String>, file: Option<PathBuf>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .filter(|(k, _)| k.starts_with(PREFIX))
            .collect();
        Self { flags, env, file }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.flags
            .get(name)
            .or_else(|| self.env.get(&variable(name)))
            .cloned()
    }
}

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// The environment.
    Variable,
    /// The file.
    File,
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Flag => "flag",
            Origin::Variable => "variable",
            Origin::File => "file",
            Origin::Default => "default",
        })
    }
}

/// The settings, and what is worth saying about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Variables that are no settings; one line each.
    pub unknown: Vec<String>,
    /// Combinations that work but are risky for a server; one line each.
    pub risks: Vec<String>,
    /// Where each setting comes from.
    pub origins: BTreeMap<&'static str, Origin>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Everything that a server should say about its settings.
    pub fn warnings(&self) -> impl Iterator<Item = &String> {
        self.unknown.iter().chain(&self.risks)
    }
}

/// Why the settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {source}")]
    File {
        /// Where it lies.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the settings file {path} is not valid: {message}")]
    Form {
        /// Where it lies.
        path: String,
        /// Where and what.
        message: String,
    },
    /// Some settings are wrong; one line each.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
}

/// The texts of all layers, with their origin.
pub(super) struct Layers(BTreeMap<&'static str, (Origin, String)>);

impl Layers {
    /// Reads one setting; a fault is added to the list.
    pub(super) fn read<T: Value>(
        &self,
        name: &'static str,
        default: &str,
        faults: &mut Vec<String>,
    ) -> Option<T> {
        let (origin, text) = match self.0.get(name) {
            Some((origin, text)) => (*origin, text.as_str()),
            None => (Origin::Default, default),
        };
        T::read(text)
            .map_err(|expected| faults.push(format!("{name} ({origin}): {expected}")))
            .ok()
    }
}

pub(super) fn load(given: &Given) -> Result<Loaded, SettingsError> {
    let mut texts = BTreeMap::new();
    let mut faults = Vec::new();
    let file = settings_file(given);
    if let Some((path, in_data)) = &file {
        let table = read_file(path)?;
        for (key, value) in table {
            match (TABLE.iter().find(|s| s.name == key), toml_text(&value)) {
                (None, _) => faults.push(format!(
                    "unknown key \"{key}\" in the settings file {}",
                    path.display()
                )),
                (Some(_), None) => faults.push(format!(
                    "{key} (file): expected a text, a number, true, false or a list of texts"
                )),
                (Some(s), Some(_)) if s.name == "data" && *in_data => faults.push(format!(
                    "data (file): {} lies in the data folder, so it cannot name another one",
                    path.display()
                )),
                (Some(s), Some(text)) => {
                    texts.insert(s.name, (Origin::File, text));
                }
            }
        }
    }
    for setting in TABLE {
        if let Some(text) = given.env.get(&setting.variable()) {
            texts.insert(setting.name, (Origin::Variable, text.clone()));
        }
        if let Some(text) = given.flags.get(setting.name) {
            texts.insert(setting.name, (Origin::Flag, text.clone()));
        }
    }
    let origins = TABLE
        .iter()
        .map(|s| (s.name, texts.get(s.name).map_or(Origin::Default, |t| t.0)))
        .collect();
    let mut settings = match Settings::read(&Layers(texts)) {
        Ok(settings) => settings,
        Err(SettingsError::Faults(more)) => {
            faults.extend(more);
            return Err(SettingsError::Faults(faults));
        }
        Err(other) => return Err(other),
    };
    settings.derive();
    settings.check(&mut faults);
    if !faults.is_empty() {
        return Err(SettingsError::Faults(faults));
    }
    Ok(Loaded {
        unknown: unknown_variables(given),
        risks: settings.risks(),
        settings,
        origins,
        file: file.map(|(path, _)| path),
    })
}

fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_uppercase())
}

/// The file to read, and whether it was found in the data folder rather than named.
fn settings_file(given: &Given) -> Option<(PathBuf, bool)> {
    let named = given.file.clone().or_else(|| {
        given
            .env
            .get("SIGNALBOX_CONFIG")
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    });
    if let Some(path) = named {
        return Some((path, false));
    }
    let data = given.text("data").map_or_else(
        || {
            let setting = TABLE.iter().find(|s| s.name == "data");
            PathBuf::from(setting.map_or("", |s| s.default))
        },
        PathBuf::from,
    );
    Some((data.join(FILE_NAME), true)).filter(|(path, _)| path.is_file())
}

fn read_file(path: &Path) -> Result<toml::Table, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::File {
        path: path.display().to_string(),
        source,
    })?;
    text.parse()
        .map_err(|e: toml::de::Error| SettingsError::Form {
            path: path.display().to_string(),
            message: place(&text, &e),
        })
}

/// Line and message of a fault, without the line itself: it may hold a secret.
fn place(text: &str, fault: &toml::de::Error) -> String {
    let line = fault
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", fault.message())
}

fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(word) => Some(word.to_string()),
        toml::Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(|texts| texts.join(",")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn unknown_variables(given: &Given) -> Vec<String> {
    let known = |name: &str| {
        TABLE.iter().any(|s| s.variable() == name)
            || OTHER_VARIABLES.iter().any(|(other, _)| {
                *other == name || (other.ends_with('_') && name.starts_with(other))
            })
    };
    given
        .env
        .keys()
        .filter(|name| name.starts_with(PREFIX) && !known(name))
        .map(|name| format!("the variable {name} is not a setting"))
        .collect()
}

impl Settings {
    /// Where the data lies.
    pub fn location(&self) -> Location {
        Location::of(
            &self.data,
            self.database_url.as_ref().map(|url| url.reveal()),
        )
    }

    /// Whether the server speaks HTTPS itself.
    pub fn tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// The address that people use when nobody has named one.
    pub fn url_of(&self, address: SocketAddr) -> String {
        let (scheme, usual) = if self.tls() {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let host = match address.ip() {
            ip if ip.is_unspecified() || ip.is_loopback() => "localhost".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        match address.port() {
            port if port == usual => format!("{scheme}://{host}"),
            port => format!("{scheme}://{host}:{port}"),
        }
    }

    /// Fills in what follows from other settings.
    fn derive(&mut self) {
        if self.public_url.is_empty() {
            self.public_url = self.url_of(self.listen);
        }
        self.public_url = self.public_url.trim_end_matches('/').to_owned();
        if self.key_file.as_os_str().is_empty() {
            self.key_file = self.data.join("keys.json");
        }
        if self.http_workers == 0 {
            self.http_workers = std::thread::available_parallelism().map_or(1, usize::from);
        }
    }

    /// What must hold between settings.
    fn check(&self, faults: &mut Vec<String>) {
        let mut must = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        must(
            self.keys.is_none() || self.key_command.is_none(),
            "keys and key_command: give one of them",
        );
        must(
            self.tls_cert.is_some() == self.tls_key.is_some(),
            "tls_cert and tls_key: one needs the other",
        );
        let postgres =
            |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        must(
            self.database_url
                .as_ref()
                .is_none_or(|url| postgres(url.reveal())),
            "database_url: expected a postgres:// address",
        );
        let redis = |url: &str| url.starts_with("redis://") || url.starts_with("rediss://");
        must(
            self.redis_url
                .as_ref()
                .is_none_or(|url| redis(url.reveal())),
            "redis_url: expected a redis:// or rediss:// address",
        );
        must(
            is_web_address(&self.public_url),
            "public_url: expected an http:// or https:// address",
        );
        for origin in &self.cors_origins {
            must(
                is_origin(origin),
                "cors_origins: expected origins, as in https://console.example.com",
            );
        }
        for (name, value) in [
            ("body_limit", self.body_limit as u64),
            ("request_timeout_seconds", self.request_timeout_seconds),
            ("redis_timeout_ms", self.redis_timeout_ms),
            ("db_connections", u64::from(self.db_connections)),
            ("queue_accepts", self.queue_accepts as u64),
            ("journal_batch", self.journal_batch as u64),
            ("refusals_kept", u64::from(self.refusals_kept)),
            ("concurrency", u64::from(self.concurrency)),
            ("queue_deliveries", self.queue_deliveries as u64),
            ("breaker_failures", u64::from(self.breaker_failures)),
            ("session_idle_minutes", u64::from(self.session_idle_minutes)),
            ("session_days", u64::from(self.session_days)),
        ] {
            must(value > 0, &format!("{name}: must be at least 1"));
        }
        must(self.lease_seconds >= 3, "lease_seconds: must be at least 3");
        must(
            self.commit_delay_ms <= 1000,
            "commit_delay_ms: must be at most 1000",
        );
        must(
            self.retry_first_seconds > 0.0,
            "retry_first_seconds: must be more than 0",
        );
        must(self.retry_factor >= 1.0, "retry_factor: must be at least 1");
        must(
            self.retry_max_seconds >= self.retry_first_seconds,
            "retry_max_seconds: must be at least retry_first_seconds",
        );
        must(
            self.retry_max_seconds <= LONGEST,
            "retry_max_seconds: must be at most a year",
        );
        must(
            (0.0..=LONGEST).contains(&self.retry_horizon_seconds),
            "retry_horizon_seconds: must be between 0 and a year",
        );
        self.check_mail(&mut must);
        must(
            self.log.parse::<tracing_subscriber::EnvFilter>().is_ok(),
            "log: expected a filter, as in info or warn,api::dispatch=debug",
        );
    }

    fn check_mail(&self, must: &mut impl FnMut(bool, &str)) {
        let name = |text: &str| {
            !text
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || c == '/' || c == '@')
        };
        must(
            name(&self.smtp_host),
            "smtp_host: expected a host, as in smtp.example.com; the port is smtp_port",
        );
        must(
            name(&self.smtp_hello),
            "smtp_hello: expected a host, as in signalbox.example.com",
        );
        must(
            self.smtp_port <= u32::from(u16::MAX),
            "smtp_port: must be at most 65535",
        );
        must(
            self.smtp_user.is_empty() == self.smtp_password.is_none(),
            "smtp_user and smtp_password: one needs the other",
        );
        must(
            is_sender(&self.mail_from) || (self.mail_from.is_empty() && self.smtp_host.is_empty()),
            "mail_from: expected an address, as in Signalbox <signalbox@example.com>; smtp_host \
             needs it",
        );
        must(
            self.mail_reply_to.is_empty() || is_sender(&self.mail_reply_to),
            "mail_reply_to: expected an address, as in help@example.com",
        );
    }

    /// Combinations that work but are worth a warning.
    fn risks(&self) -> Vec<String> {
        let mut risks = Vec::new();
        if !self.listen.ip().is_loopback() && !self.tls() && self.trusted_proxies.is_empty() {
            risks.push(format!(
                "listening on {} without TLS and without a trusted proxy: passwords and tokens travel in clear",
                self.listen
            ));
        }
        if self.trusted_proxies.iter().any(|net| net.prefix_len() == 0) {
            risks.push(
                "trusted_proxies holds every address: anyone can claim to be anyone".to_owned(),
            );
        }
        if self.metrics_public && !self.listen.ip().is_loopback() {
            risks.push("metrics_public: /metrics answers to everybody".to_owned());
        }
        let near = matches!(self.smtp_host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if !self.smtp_host.is_empty() && self.smtp_tls == SmtpTls::None && !near {
            risks.push(
                "smtp_tls is none: links that sign people in, and the password of the mail \
                 server, travel in clear"
                    .to_owned(),
            );
        }
        risks
    }
}

fn is_web_address(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn is_origin(text: &str) -> bool {
    is_web_address(text)
        && url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}
