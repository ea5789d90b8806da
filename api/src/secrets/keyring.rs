//! The keys, and sealing with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use parking_lot::Mutex;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Secret;
use super::source::{KeySource, Stamp};

const NONCE: usize = 24;

/// All keys by id; the current one seals, all open. Cheap to clone; the clones share what is read
/// anew when the file changes.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>);

struct Shared {
    source: KeySource,
    ring: ArcSwap<Ring>,
    /// What the file looked like when it was read.
    stamp: Mutex<Option<Stamp>>,
}

/// Keys by id, and the one that seals.
#[derive(Clone)]
pub struct Ring {
    current: String,
    keys: BTreeMap<String, [u8; 32]>,
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
    /// What was read is not a key ring.
    #[error("{0} is not a key ring, nor 32 bytes in Base64")]
    Form(String),
    /// The command that prints the keys failed.
    #[error("the command of `key_command` failed: {0}")]
    Command(String),
    /// Only a ring in a file can be changed here.
    #[error("the keys come from `keys` or `key_command`; change them there")]
    NotOurs,
    /// The ring has no key of this id.
    #[error("the key ring has no key \"{0}\"")]
    UnknownKey(String),
    /// The key does not fit, or the value was moved or changed.
    #[error("a stored secret cannot be opened with this key ring")]
    Sealed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    current: String,
    keys: BTreeMap<String, String>,
}

impl Ring {
    /// One key, just made.
    pub(super) fn generate() -> Self {
        let mut ring = Self {
            current: String::new(),
            keys: BTreeMap::new(),
        };
        ring.current = ring.add();
        ring
    }

    /// Adds a key that opens, and does not seal yet; returns its id.
    pub fn add(&mut self) -> String {
        let mut key = [0_u8; 32];
        rand::rng().fill_bytes(&mut key);
        let highest = self
            .keys
            .keys()
            .filter_map(|id| id.strip_prefix('k')?.parse().ok());
        let id = format!("k{}", highest.max().unwrap_or(0_u32).saturating_add(1));
        self.keys.insert(id.clone(), key);
        id
    }

    /// Makes a key the one that seals.
    ///
    /// # Errors
    /// There is no such key.
    pub fn promote(&mut self, id: &str) -> Result<(), KeyringError> {
        if !self.keys.contains_key(id) {
            return Err(KeyringError::UnknownKey(id.to_owned()));
        }
        id.clone_into(&mut self.current);
        Ok(())
    }

    /// Takes away every key but the current one and those in use; returns the ids.
    pub fn retire(&mut self, in_use: &[String]) -> Vec<String> {
        let gone: Vec<String> = self
            .keys
            .keys()
            .filter(|id| **id != self.current && !in_use.contains(id))
            .cloned()
            .collect();
        for id in &gone {
            self.keys.remove(id);
        }
        gone
    }

    /// The id of the key that seals.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// The id of the key that was added last.
    pub fn newest(&self) -> Option<&str> {
        let number = |id: &&String| id.strip_prefix('k').and_then(|n| n.parse::<u32>().ok());
        self.keys.keys().max_by_key(number).map(String::as_str)
    }

    /// The ids of all keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub(super) fn to_text(&self) -> String {
        let keys = self.keys.iter();
        let file = File {
            current: self.current.clone(),
            keys: keys
                .map(|(id, key)| (id.clone(), BASE64.encode(key)))
                .collect(),
        };
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    /// Reads a ring, or one key as 32 bytes in Base64; that one is called by a part of its hash.
    pub(super) fn parse(text: &str, what: &str) -> Result<Self, KeyringError> {
        let form = || KeyringError::Form(what.to_owned());
        let key = |text: &str| -> Result<[u8; 32], KeyringError> {
            let raw = BASE64.decode(text.trim()).map_err(|_| form())?;
            <[u8; 32]>::try_from(raw).map_err(|_| form())
        };
        if !text.trim_start().starts_with('{') {
            let only = key(text)?;
            let digest = hex::encode(Sha256::digest(only));
            let id = format!("h{}", digest.get(..8).unwrap_or_default());
            return Ok(Self {
                current: id.clone(),
                keys: BTreeMap::from([(id, only)]),
            });
        }
        let file: File = serde_json::from_str(text).map_err(|_| form())?;
        let mut keys = BTreeMap::new();
        for (id, text) in &file.keys {
            keys.insert(id.clone(), key(text)?);
        }
        if !keys.contains_key(&file.current) {
            return Err(form());
        }
        Ok(Self {
            current: file.current,
            keys,
        })
    }

    fn cipher(&self, id: &str) -> Result<XChaCha20Poly1305, KeyringError> {
        let key = self.keys.get(id);
        let key = key.ok_or_else(|| KeyringError::UnknownKey(id.to_owned()))?;
        Ok(XChaCha20Poly1305::new(&Key::from(*key)))
    }
}

impl Keyring {
    /// Reads the keys from where they are; a file that is not there is made, with mode 0600.
    ///
    /// # Errors
    /// They cannot be read, or are no key ring.
    pub fn open_source(source: KeySource) -> Result<Self, KeyringError> {
        let (ring, stamp) = source.read_or_create()?;
        Ok(Self(Arc::new(Shared {
            source,
            ring: ArcSwap::from_pointee(ring),
            stamp: Mutex::new(stamp),
        })))
    }

    /// Reads the ring of a file, or makes one with mode 0600 at the first start.
    ///
    /// # Errors
    /// The file cannot be used, or is no key ring.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyringError> {
        Self::open_source(KeySource::File(path.to_owned()))
    }

    /// The keys as they are now.
    ///
    /// # Errors
    /// The file changed and cannot be read.
    pub fn ring(&self) -> Result<Arc<Ring>, KeyringError> {
        self.look()?;
        Ok(self.0.ring.load_full())
    }

    /// Writes a changed ring in place of the one in the file; readers see the old or the new one.
    ///
    /// # Errors
    /// The keys are not in a file, or it cannot be written.
    pub fn replace(&self, ring: &Ring) -> Result<(), KeyringError> {
        self.0.source.write(ring)?;
        self.look()
    }

    /// Whether the keys come from a command, which may print others one day.
    pub fn is_asked_for(&self) -> bool {
        matches!(self.0.source, KeySource::Command(_))
    }

    /// Asks the command for the keys again. Blocks while it runs.
    ///
    /// # Errors
    /// It failed; the keys stay as they are.
    pub fn ask_again(&self) -> Result<(), KeyringError> {
        if let KeySource::Command(_) = self.0.source {
            let (ring, _) = self.0.source.read_or_create()?;
            self.0.ring.store(Arc::new(ring));
        }
        Ok(())
    }

    /// Reads the file again if it is another than before.
    fn look(&self) -> Result<(), KeyringError> {
        let now = self.0.source.stamp();
        let mut known = self.0.stamp.lock();
        if now.is_some() && now != *known {
            let (ring, stamp) = self.0.source.read()?;
            self.0.ring.store(Arc::new(ring));
            *known = stamp;
        }
        Ok(())
    }

    /// Seals a text for the place that `aad` names. Returns the id of the key and the sealed bytes.
    ///
    /// # Errors
    /// The file of the keys was changed and cannot be read.
    pub fn seal(&self, aad: &str, text: &Secret) -> Result<(String, Vec<u8>), KeyringError> {
        self.look()?;
        let ring = self.0.ring.load();
        let cipher = ring.cipher(&ring.current)?;
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
        Ok((ring.current.clone(), sealed))
    }

    /// Opens a sealed text in the place that `aad` names. A key that is not known may have been added
    /// to the file meanwhile.
    ///
    /// # Errors
    /// The key is unknown, or does not fit.
    pub fn open(&self, aad: &str, key_id: &str, sealed: &[u8]) -> Result<Secret, KeyringError> {
        if !self.0.ring.load().keys.contains_key(key_id) {
            self.look()?;
        }
        let cipher = self.0.ring.load().cipher(key_id)?;
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
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.0.ring.load().keys.len())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    #[test]
    fn a_ring_turns_while_others_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let (mine, theirs) = (
            Keyring::load_or_create(&path).unwrap(),
            Keyring::load_or_create(&path).unwrap(),
        );
        let (old, sealed) = theirs.seal("x", &Secret::new("hush")).unwrap();
        let mut ring = Ring::clone(&mine.ring().unwrap());
        let id = ring.add();
        assert_eq!((old.as_str(), id.as_str()), ("k1", "k2"));
        mine.replace(&ring).unwrap();
        assert_eq!(theirs.seal("x", &Secret::new("hush")).unwrap().0, "k1");
        ring.promote(&id).unwrap();
        mine.replace(&ring).unwrap();
        let (new, again) = theirs.seal("x", &Secret::new("hush")).unwrap();
        assert_eq!(new, "k2", "the other one has noticed");
        assert_eq!(mine.open("x", &old, &sealed).unwrap().reveal(), "hush");
        assert_eq!(ring.retire(&["k1".to_owned()]), Vec::<String>::new());
        assert_eq!(ring.retire(&[]), ["k1"]);
        mine.replace(&ring).unwrap();
        assert!(mine.open("x", &old, &sealed).is_err());
        assert_eq!(mine.open("x", &new, &again).unwrap().reveal(), "hush");
        assert!(ring.promote("k1").is_err());
    }

    #[test]
    fn keys_come_from_elsewhere_too() {
        let key = BASE64.encode([7_u8; 32]);
        let plain = Keyring::open_source(KeySource::Text(Secret::new(key.clone()))).unwrap();
        let (id, sealed) = plain.seal("x", &Secret::new("hush")).unwrap();
        let command = KeySource::Command(format!("echo {key}"));
        let same = Keyring::open_source(command).unwrap();
        assert_eq!(same.open("x", &id, &sealed).unwrap().reveal(), "hush");
        same.ask_again().unwrap();
        assert!(matches!(
            plain.replace(&Ring::generate()),
            Err(KeyringError::NotOurs)
        ));
        for wrong in ["", "short", "{}", "{\"current\":\"a\",\"keys\":{}}"] {
            let source = KeySource::Text(Secret::new(wrong));
            assert!(Keyring::open_source(source).is_err(), "{wrong}");
        }
        let failing = KeySource::Command("echo planted; exit 3".to_owned());
        let error = Keyring::open_source(failing).unwrap_err().to_string();
        assert!(error.contains('3') && !error.contains("planted"), "{error}");
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
