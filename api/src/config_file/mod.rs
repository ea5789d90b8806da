//! Configuration as code: one YAML file describes a workspace's sources, connections and rules.
//!
//! Invariant: a file is applied in one transaction or not at all, and applying it twice changes
//! nothing. What the file does not name stays, unless it is pruned. Secrets are read and sealed
//! when the file is applied and never written anywhere else; `export` writes placeholders. It works
//! beside a running server: the revision of the configuration grows within the same transaction,
//! and the servers load anew. A crash before the commit leaves everything as it was; one after it
//! loses only the wait for the servers.

mod current;
mod diff;
mod export;
mod parse;
mod schema;
mod secret;
mod wanted;
mod work;
mod write;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

use openapi::problem::FieldError;

pub use export::export;
pub use parse::{LARGEST, parse};
pub use schema::schema;
pub use secret::Surroundings;
pub use work::{Applied, Store, Wait, apply, plan, wait_for_nodes};

/// Why a file was not applied.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is larger than [`LARGEST`].
    #[error("the file is larger than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge,
    /// It is not YAML of this form; names line and column.
    #[error("{0}")]
    Form(String),
    /// It is of the form, but something in it is not acceptable.
    #[error("{}", lines(.0))]
    Invalid(Vec<FieldError>),
    /// There is nothing to apply it to.
    #[error("there is no workspace \"{0}\"")]
    NoWorkspace(String),
    /// Nothing was set up yet.
    #[error("there is no workspace yet; `signalbox bootstrap` makes the first one")]
    Empty,
    /// The database failed.
    #[error("the database refused: {0}")]
    Database(#[from] sea_orm::DbErr),
    /// A secret could not be sealed.
    #[error(transparent)]
    Keyring(#[from] crate::secrets::KeyringError),
    /// The servers did not take it in time.
    #[error(
        "applied as revision {revision}, but {behind} of {running} running nodes do not serve it after {seconds} seconds"
    )]
    NotServed {
        /// The revision that was committed.
        revision: i64,
        /// Nodes that serve an older one.
        behind: usize,
        /// Nodes that run.
        running: usize,
        /// How long was waited.
        seconds: u64,
    },
}

fn lines(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(|e| format!("{}: {}", e.field, e.message))
        .collect::<Vec<_>>()
        .join("\n")
}
