//! Secrets of a file: references to where they are.

mod command;
mod vault;

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
        let text = match place(reference) {
            Some(Place::Env(name)) => self
                .env
                .get(name)
                .cloned()
                .ok_or_else(|| format!("the variable {name} is not set"))?,
            Some(Place::File(path)) => self.file(path)?,
            Some(Place::Command(line)) => self.command(line)?,
            Some(Place::Vault(path)) => self.vault(path)?,
            None => return Err(FORM.to_owned()),
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
        Ok(one_line_end_less(&text).to_owned())
    }
}

/// A text as editors and commands write it, without the line end that they add.
fn one_line_end_less(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surroundings({})", self.folder.display())
    }
}

/// What a reference must look like.
pub(super) const FORM: &str =
    "expected one of { env: NAME }, { file: PATH }, { command: LINE } and { vault: PATH#KEY }";

/// The one place that a reference names.
enum Place<'a> {
    Env(&'a str),
    File(&'a str),
    Command(&'a str),
    Vault(&'a str),
}

/// None: it names no place, or several.
fn place(reference: &SecretRef) -> Option<Place<'_>> {
    let SecretRef {
        env,
        file,
        command,
        vault,
    } = reference;
    let mut places = [
        env.as_deref().map(Place::Env),
        file.as_deref().map(Place::File),
        command.as_deref().map(Place::Command),
        vault.as_deref().map(Place::Vault),
    ]
    .into_iter()
    .flatten();
    let one = places.next()?;
    let (Place::Env(text) | Place::File(text) | Place::Command(text) | Place::Vault(text)) = &one;
    (!text.is_empty() && places.next().is_none()).then_some(one)
}

/// Whether a reference names exactly one place.
pub(super) fn is_sound(reference: &SecretRef) -> bool {
    match place(reference) {
        Some(Place::Vault(path)) => vault::parts(path).is_ok(),
        Some(_) => true,
        None => false,
    }
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
        ..SecretRef::default()
    }
}
