//! Where the keys come from: a file of ours, a text (from the environment), or a command.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::Secret;
use super::keyring::{KeyringError, Ring};
use crate::settings::Settings;

/// Where the keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A file; made if it is not there. The only one that can be changed here.
    File(PathBuf),
    /// The text itself: a ring as in the file, or 32 bytes in Base64.
    Text(Secret),
    /// What this prints, run by the shell: the same.
    Command(String),
}

/// What a file looked like: enough to see that it was replaced.
pub(super) type Stamp = (SystemTime, u64, u64);

impl KeySource {
    /// Where these settings say that the keys are.
    pub fn of(settings: &Settings) -> Self {
        match (&settings.keys, &settings.key_command) {
            (Some(text), _) => Self::Text(text.clone()),
            (None, Some(line)) => Self::Command(line.clone()),
            (None, None) => Self::File(settings.key_file.clone()),
        }
    }

    /// Whether the ring is a file of ours, which can be changed here.
    pub const fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    pub(super) fn stamp(&self) -> Option<Stamp> {
        let KeySource::File(path) = self else {
            return None;
        };
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Some((metadata.modified().ok()?, metadata.len(), number))
    }

    pub(super) fn read_or_create(&self) -> Result<(Ring, Option<Stamp>), KeyringError> {
        match self {
            KeySource::File(path) if !path.exists() => {
                // Written aside and linked into place, so that of two first starts one wins.
                let aside = write_aside(path, &Ring::generate())?;
                let linked = fs::hard_link(&aside, path);
                fs::remove_file(&aside).map_err(|e| fault(path, e))?;
                match linked {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(fault(path, e)),
                }
                self.read()
            }
            _ => self.read(),
        }
    }

    pub(super) fn read(&self) -> Result<(Ring, Option<Stamp>), KeyringError> {
        match self {
            KeySource::File(path) => {
                // Looked at before it is read: a file that is replaced in between is read again.
                let stamp = self.stamp();
                let text = fs::read_to_string(path).map_err(|e| fault(path, e))?;
                let what = format!("the key file {}", path.display());
                Ok((Ring::parse(&text, &what)?, stamp))
            }
            KeySource::Text(text) => Ok((Ring::parse(text.reveal(), "the setting `keys`")?, None)),
            KeySource::Command(line) => {
                let what = "what `key_command` prints";
                Ok((Ring::parse(&print(line)?, what)?, None))
            }
        }
    }

    pub(super) fn write(&self, ring: &Ring) -> Result<(), KeyringError> {
        let KeySource::File(path) = self else {
            return Err(KeyringError::NotOurs);
        };
        let aside = write_aside(path, ring)?;
        fs::rename(&aside, path).map_err(|e| fault(path, e))?;
        // The new name is on disk before anything is sealed with a key that only it holds.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| fault(path, e))
    }
}

fn fault(path: &Path, source: std::io::Error) -> KeyringError {
    KeyringError::File {
        path: path.display().to_string(),
        source,
    }
}

/// What a command prints. Its own words go to our standard error, where a person sees them.
fn print(line: &str) -> Result<String, KeyringError> {
    let failed = |why: String| KeyringError::Command(why);
    let output = Command::new("/bin/sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("it did not print a text".to_owned()))
}

fn write_aside(path: &Path, ring: &Ring) -> Result<PathBuf, KeyringError> {
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&aside)?;
        file.write_all(ring.to_text().as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| fault(path, e))?;
    Ok(aside)
}
