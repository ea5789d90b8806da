//! The keys, and sealing with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::Secret;

const NONCE: usize = 24;

/// All keys by id; the newest seals. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    current: Arc<str>,
    keys: Arc<BTreeMap<String, [u8; 32]>>,
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The key file cannot be read or written.
    #[error("the key file {path} cannot be used: {source}")]
    File {
        /// Where it lies.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The key file is there but is not a key ring.
    #[error("the key file {0} is not a key ring")]
    Form(String),
    /// The ring has no key of this id.
    #[error("the key ring has no key \"{0}\"")]
    UnknownKey(String),
    /// The key does not fit, or the value was moved or changed.
    #[error("a stored secret cannot be opened with this key ring")]
    Sealed,
}

#[derive(Serialize, Deserialize)]
struct File {
    current: String,
    keys: BTreeMap<String, String>,
}

impl Keyring {
    /// Reads the ring of a data folder, or makes one with mode 0600 at the first start.
    ///
    /// # Errors
    /// The file cannot be used, or is no key ring.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyringError> {
        let fault = |source| KeyringError::File {
            path: path.display().to_string(),
            source,
        };
        match fs::read(path) {
            Ok(bytes) => Self::parse(&bytes, path),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let text = Self::generate();
                // Written aside and linked into place, so that of two first starts one wins.
                let aside = path.with_extension(format!("{}.new", std::process::id()));
                write_private(&aside, text.as_bytes()).map_err(fault)?;
                let linked = fs::hard_link(&aside, path);
                fs::remove_file(&aside).map_err(fault)?;
                match linked {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(fault(e)),
                }
                Self::parse(&fs::read(path).map_err(fault)?, path)
            }
            Err(e) => Err(fault(e)),
        }
    }

    fn generate() -> String {
        let mut key = [0_u8; 32];
        rand::rng().fill_bytes(&mut key);
        let id = "k1".to_owned();
        let file = File {
            current: id.clone(),
            keys: BTreeMap::from([(id, BASE64.encode(key))]),
        };
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, KeyringError> {
        let form = || KeyringError::Form(path.display().to_string());
        let file: File = serde_json::from_slice(bytes).map_err(|_| form())?;
        let mut keys = BTreeMap::new();
        for (id, text) in file.keys {
            let raw = BASE64.decode(text).map_err(|_| form())?;
            keys.insert(id, <[u8; 32]>::try_from(raw).map_err(|_| form())?);
        }
        if !keys.contains_key(&file.current) {
            return Err(form());
        }
        Ok(Self {
            current: file.current.into(),
            keys: Arc::new(keys),
        })
    }

    /// Seals a text for the place that `aad` names. Returns the id of the key and the sealed bytes.
    ///
    /// # Errors
    /// Never in practice: the cipher refuses only texts of many gigabytes.
    pub fn seal(&self, aad: &str, text: &Secret) -> Result<(String, Vec<u8>), KeyringError> {
        let cipher = self.cipher(&self.current)?;
        let mut nonce = [0_u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = nonce.to_vec();
        let payload = Payload {
            msg: text.reveal().as_bytes(),
            aad: aad.as_bytes(),
        };
        let body = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| KeyringError::Sealed)?;
        sealed.extend(body);
        Ok((self.current.to_string(), sealed))
    }

    /// Opens a sealed text in the place that `aad` names.
    ///
    /// # Errors
    /// The key is unknown, or does not fit.
    pub fn open(&self, aad: &str, key_id: &str, sealed: &[u8]) -> Result<Secret, KeyringError> {
        let cipher = self.cipher(key_id)?;
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or(KeyringError::Sealed)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| KeyringError::Sealed)?;
        let payload = Payload {
            msg: body,
            aad: aad.as_bytes(),
        };
        let text = cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| KeyringError::Sealed)?;
        String::from_utf8(text)
            .map(Secret::new)
            .map_err(|_| KeyringError::Sealed)
    }

    fn cipher(&self, id: &str) -> Result<XChaCha20Poly1305, KeyringError> {
        let key = self
            .keys
            .get(id)
            .ok_or_else(|| KeyringError::UnknownKey(id.to_owned()))?;
        Ok(XChaCha20Poly1305::new(&Key::from(*key)))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_and_opens_only_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let ring = Keyring::load_or_create(&path).unwrap();
        let (id, sealed) = ring
            .seal("source:1:secret:0", &Secret::new("hush"))
            .unwrap();
        let again = Keyring::load_or_create(&path).unwrap();
        assert_eq!(
            again
                .open("source:1:secret:0", &id, &sealed)
                .unwrap()
                .reveal(),
            "hush"
        );
        assert!(again.open("source:2:secret:0", &id, &sealed).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(again.open("source:1:secret:0", &id, &changed).is_err());
        assert!(again.open("source:1:secret:0", "k9", &sealed).is_err());
    }

    #[test]
    fn another_ring_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let one = Keyring::load_or_create(&dir.path().join("a.json")).unwrap();
        let two = Keyring::load_or_create(&dir.path().join("b.json")).unwrap();
        let (id, sealed) = one.seal("x", &Secret::new("hush")).unwrap();
        assert!(two.open("x", &id, &sealed).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        Keyring::load_or_create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
