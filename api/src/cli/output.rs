//! Standard output and standard error.

use std::io::{ErrorKind, Write as _};

use serde::Serialize;

/// Prints a line of the answer.
///
/// # Errors
/// Nobody reads it, or the disk is full.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints the answer as indented JSON.
///
/// # Errors
/// Nobody reads it, or the disk is full.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Says something about the work. That nobody listens is no reason to stop.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether the reader of our output has gone away, as `head` does.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
