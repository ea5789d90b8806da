//! Secrets of a file: references to variables and files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use openapi::config::SecretRef;

use crate::secrets::Secret;

/// Largest secret, in bytes.
const LARGEST: u64 = 64 * 1024;

/// What the references of a file point into.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Folder of the file: relative paths start there.
    pub folder: PathBuf,
}

impl Surroundings {
    /// The environment of the process.
    pub fn of_process(folder: PathBuf) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Self { env, folder }
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn read(&self, reference: &SecretRef) -> Result<Secret, String> {
        let text = match (&reference.env, &reference.file) {
            (Some(name), None) => self
                .env
                .get(name)
                .cloned()
                .ok_or_else(|| format!("the variable {name} is not set"))?,
            (None, Some(path)) => self.file(path)?,
            _ => return Err(FORM.to_owned()),
        };
        if text.is_empty() {
            return Err("the secret is empty".to_owned());
        }
        Ok(Secret::new(text))
    }

    /// The same for other files that refer to secrets.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn secret(&self, reference: &SecretRef) -> Result<Secret, String> {
        self.read(reference)
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let path = self.folder.join(path);
        let shown = path.display();
        let size = std::fs::metadata(&path)
            .map_err(|e| format!("the file {shown} cannot be read: {e}"))?
            .len();
        if size > LARGEST {
            return Err(format!("the file {shown} is too large for a secret"));
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|e| format!("the file {shown} cannot be read: {e}"))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surroundings({})", self.folder.display())
    }
}

/// What a reference must look like.
pub(super) const FORM: &str = "expected { env: NAME } or { file: PATH }";

/// Whether a reference names exactly one place.
pub(super) fn is_sound(reference: &SecretRef) -> bool {
    let one = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    one(&reference.env) != one(&reference.file)
        && (reference.env.is_none() || reference.file.is_none())
}

/// The variable that an exported secret is expected in: `PSA_PRIVATE_KEY`.
pub(super) fn placeholder(owner: &str, name: &str) -> SecretRef {
    let word = format!("{owner}_{name}")
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
            _ => '_',
        })
        .collect();
    SecretRef {
        env: Some(word),
        file: None,
    }
}
