//! Certificates.

use std::io;
use std::path::Path;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What the server shows to those who connect.
///
/// # Errors
/// A file cannot be read, or the two do not go together.
pub fn config(cert: &Path, key: &Path) -> io::Result<ServerConfig> {
    let fault = |path: &Path, what: &dyn std::fmt::Display| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{}: {what}", path.display()),
        )
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .map_err(|e| fault(cert, &e))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| fault(cert, &e))?;
    if chain.is_empty() {
        return Err(fault(cert, &"there is no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| fault(key, &e))?;
    ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|e| fault(cert, &e))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| fault(cert, &e))
}
