//! A Redis of a test's own that speaks TLS.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::cluster::{free_port, listening};

/// A certificate for `localhost` that nobody has signed.
const REQUEST: &str = "[req]\ndistinguished_name = name\nprompt = no\nx509_extensions = own\n\
                       [name]\nCN = localhost\n\
                       [own]\nbasicConstraints = critical, CA:FALSE\n\
                       subjectAltName = DNS:localhost\n";

/// A running Redis without a plain port. It ends when this is dropped.
#[derive(Debug)]
pub struct TlsRedis {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl TlsRedis {
    /// A new one with a new certificate. None where the program is not installed.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start() -> Option<Self> {
        let there = Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        there.ok().filter(std::process::ExitStatus::success)?;
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("request"), REQUEST).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-config", "request", "-days", "2", "-nodes"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "openssl makes a certificate");
        let port = free_port();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--bind", "127.0.0.1", "--save", ""])
            .args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"])
            .args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"])
            .args(["--tls-ca-cert-file", "cert.pem"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self {
            folder,
            port,
            process,
        };
        listening("Redis", port).await;
        Some(redis)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("rediss://localhost:{}/", self.port)
    }

    /// The certificate, as a file.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }
}

impl Drop for TlsRedis {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
