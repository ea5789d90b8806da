//! The table of settings: the one place where a setting is defined.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::load::{Given, Layers, Loaded, SettingsError};
use super::value::{LogFormat, Role, SmtpTls, Value};
use super::{Flag, Setting};
use crate::secrets::Secret;

macro_rules! settings {
    ($(section $section:literal {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal, $flag:ident;)*
    })*) => {
        /// The settings of a process. Every one is a variable `SIGNALBOX_…`, a key of the settings
        /// file and, for the common ones, a flag.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($($(#[doc = $doc])+ pub $name: $type,)*)*
        }

        /// Every setting, in the order of the documentation.
        pub static TABLE: &[Setting] = &[
            $($(Setting {
                section: $section,
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+),
                default: $default,
                flag: Flag::$flag,
            },)*)*
        ];

        impl Settings {
            /// Reads every setting from the layers; faults of all settings are collected.
            pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
                let mut faults = Vec::new();
                $($(let $name: Option<$type> = layers.read(stringify!($name), $default, &mut faults);)*)*
                match ($($($name,)*)*) {
                    ($($(Some($name),)*)*) => Ok(Self { $($($name,)*)* }),
                    _ => Err(SettingsError::Faults(faults)),
                }
            }

            /// Name and text of every setting; secrets as stars.
            pub fn shown(&self) -> Vec<(&'static str, String)> {
                vec![$($((stringify!($name), self.$name.show()),)*)*]
            }
        }
    };
}

settings! {
    section "Server" {
        /// Address and port to listen on. Port 0 takes a free one.
        listen: SocketAddr = "127.0.0.1:8080", Serve;
        /// Address by which people and senders reach this server, without a slash at the end. By
        /// default it is made from `listen`.
        public_url: String = "", Serve;
        /// What this server does: `all`, `api` (serves HTTP only) or `worker` (carries deliveries
        /// out; serves only health and metrics).
        role: Role = "all", Serve;
        /// Certificate chain in PEM form; with `tls_key` the server speaks HTTPS.
        tls_cert: Option<PathBuf> = "", Serve;
        /// Private key of the certificate in PEM form.
        tls_key: Option<PathBuf> = "", Serve;
        /// Threads that serve HTTP; 0: one for each processor.
        http_workers: usize = "0", Never;
        /// Bytes of a request body; a source can set a lower limit.
        body_limit: usize = "1048576", Never;
        /// Seconds in which a client has to send the head of its request.
        request_timeout_seconds: u64 = "30", Never;
        /// Seconds that a stopping server gives to what is in flight.
        shutdown_seconds: u64 = "20", Never;
        /// Networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        trusted_proxies: Vec<IpNet> = "", Never;
        /// Other origins whose pages may call the API, as `https://console.example.com`.
        cors_origins: Vec<String> = "", Never;
        /// True: `/metrics` answers without signing in.
        metrics_public: bool = "false", Never;
    }
    section "Storage" {
        /// Folder of the database file, the key ring and the lock.
        data: PathBuf = "./data", Store;
        /// Address of a PostgreSQL database; without it, SQLite in the data folder.
        database_url: Option<Secret> = "", Store;
        /// Key ring that seals the stored secrets; by default `keys.json` in the data folder, made
        /// at the first start. Several nodes share one.
        key_file: PathBuf = "", Store;
        /// The key ring itself in place of `key_file`, as in the file, or one key: 32 bytes in
        /// Base64.
        keys: Option<Secret> = "", Never;
        /// Command of the shell that prints the key ring, in place of `key_file`. It is run at the
        /// start, and every minute.
        key_command: Option<String> = "", Never;
        /// Address of a Redis server; expected where several nodes work together. With `rediss://` by
        /// TLS, to a certificate that the system trusts.
        redis_url: Option<Secret> = "", Serve;
        /// Milliseconds that a call of Redis may take. After one that took longer, this server goes by
        /// itself for a second. More for a Redis that is far away.
        redis_timeout_ms: u64 = "50", Never;
        /// Connections to PostgreSQL, besides one of the journal and one that listens; or readers of
        /// the SQLite file.
        db_connections: u32 = "10", Never;
    }
    section "Journal" {
        /// Accepted requests that may wait for their commit; a full queue answers 503.
        queue_accepts: usize = "2000", Never;
        /// Bytes of request bodies in memory at once; what comes on top of them is answered with 503.
        queue_bytes: usize = "67108864", Never;
        /// Entries of one commit at most.
        journal_batch: usize = "500", Never;
        /// Milliseconds that accepted requests wait at most for others that share their commit; only
        /// where many come, about eight hundred a second. 0: none waits.
        commit_delay_ms: u64 = "8", Never;
        /// Refusals that are kept of each source.
        refusals_kept: u32 = "1000", Never;
    }
    section "Deliveries" {
        /// Calls at once of each connection that sets no limit of its own.
        concurrency: u32 = "16", Never;
        /// Deliveries of one connection that wait in memory; more wait in the database.
        queue_deliveries: usize = "2000", Never;
        /// Seconds that a lease lasts; it is renewed while its node lives.
        lease_seconds: u64 = "10", Never;
        /// Seconds before the second attempt.
        retry_first_seconds: f64 = "1", Never;
        /// Factor from one wait to the next.
        retry_factor: f64 = "2", Never;
        /// Longest wait between two attempts, in seconds.
        retry_max_seconds: f64 = "900", Never;
        /// Seconds after the first attempt at which a delivery is given up.
        retry_horizon_seconds: f64 = "86400", Never;
        /// Failures in a row after which a connection is only probed, once a second.
        breaker_failures: u32 = "10", Never;
    }
    section "Retention" {
        /// Minutes between two clean-ups. How long things are kept is set in each workspace.
        retention_minutes: u32 = "60", Never;
        /// MiB (1,048,576 bytes) that the database may hold; above that the oldest finished events are
        /// deleted whatever their age. 0: no limit.
        retention_max_mb: u64 = "0", Never;
        /// Folder of the archive: rows are written there before they are deleted.
        archive_folder: Option<PathBuf> = "", Never;
        /// Whether the archive is compressed.
        archive_gzip: bool = "true", Never;
        /// Bucket of the archive in an S3-compatible store, beside or instead of the folder.
        archive_bucket: String = "", Never;
        /// Address of the store, as `https://s3.eu-central-1.amazonaws.com`.
        archive_endpoint: String = "", Never;
        /// Region of the bucket.
        archive_region: String = "us-east-1", Never;
        /// What the names of all objects begin with.
        archive_prefix: String = "signalbox", Never;
        /// Access key of the store.
        archive_access_key: String = "", Never;
        /// Secret key of the store.
        archive_secret_key: Option<Secret> = "", Never;
        /// True: the store may have a private or loopback address.
        archive_allow_private: bool = "false", Never;
    }
    section "Sessions" {
        /// Minutes without a request after which a person is signed out.
        session_idle_minutes: u32 = "720", Never;
        /// Days after which a person is signed out in any case.
        session_days: u32 = "7", Never;
        /// Minutes after signing in or confirming within which a person may do what is dangerous;
        /// after that the password or a code is asked for again.
        confirm_minutes: u32 = "10", Never;
    }
    section "Single sign-on" {
        /// File in YAML with the providers that people sign in with (OpenID Connect).
        sso_file: Option<PathBuf> = "", Never;
    }
    section "Mail" {
        /// Host of the mail server (SMTP) that takes mails to people: invitations, reset links.
        /// Without it no mail is sent, and the command line prints links instead.
        smtp_host: String = "", Never;
        /// Port of the mail server; 0: the usual one, 587 for `starttls`, 465 for `implicit`, 25 for
        /// `none`.
        smtp_port: u32 = "0", Never;
        /// How the connection is protected: `starttls`, `implicit` (TLS from the first byte) or
        /// `none`.
        smtp_tls: SmtpTls = "starttls", Never;
        /// File in PEM form with the one certificate that the mail server's must come from; by
        /// default those that the machine trusts.
        smtp_ca: Option<PathBuf> = "", Never;
        /// User name at the mail server; empty: none.
        smtp_user: String = "", Never;
        /// Password at the mail server.
        smtp_password: Option<Secret> = "", Never;
        /// Name by which this server greets the mail server; by default the host of `public_url`.
        smtp_hello: String = "", Never;
        /// Who mails are from, as `Signalbox <signalbox@example.com>`.
        mail_from: String = "", Never;
        /// Where answers go; empty: to `mail_from`.
        mail_reply_to: String = "", Never;
    }
    section "Rates" {
        /// Requests a minute that a person may make to the API, on all nodes together; 0: no limit.
        api_rate_user: u32 = "6000", Never;
        /// Requests a minute of each credential that sets no rate of its own; 0: no limit.
        api_rate_credential: u32 = "60000", Never;
        /// Requests a minute from one address, or one /64 network, to what is open to all below
        /// `/api/v1/auth/`; 0: no limit.
        api_rate_address: u32 = "1200", Never;
    }
    section "Log" {
        /// Form of the log lines: `pretty` or `json`.
        log_format: LogFormat = "pretty", Serve;
        /// What is logged, as `info` or `warn,api::dispatch=debug`.
        log: String = "info", Serve;
    }
}

impl Settings {
    /// The settings of these layers, checked as a whole.
    ///
    /// # Errors
    /// The file or a setting cannot be read, or two settings do not go together.
    pub fn load(given: &Given) -> Result<Loaded, SettingsError> {
        super::load::load(given)
    }
}
