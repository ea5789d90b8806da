//! From text to the form of the file, under limits.

use openapi::config::File;
use serde_saphyr::{Options, alias_limits, budget, options};

use super::FileError;
use crate::services::validate::error;

/// Largest file, in bytes.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// Reads a file. Anchors and aliases may be used, a few of them; a key that is not known is refused
/// with its line and column.
///
/// # Errors
/// Too large, too deep, not YAML, not of the form, or of another version.
pub fn parse(text: &str) -> Result<File, FileError> {
    if text.len() > LARGEST {
        return Err(FileError::TooLarge);
    }
    let file: File = serde_saphyr::from_str_with_options(text, limits()).map_err(|e| {
        let fault = e.without_snippet();
        // With the place in front, as compilers do, so that editors can jump there.
        let place = fault
            .location()
            .map(|l| format!("line {}, column {}: ", l.line(), l.column()))
            .unwrap_or_default();
        FileError::Form(format!("{place}{}", message(fault)))
    })?;
    if file.version != 1 {
        return Err(FileError::Invalid(vec![error(
            "version",
            "unknown_version",
            "this server knows version 1",
        )]));
    }
    Ok(file)
}

fn message(fault: &serde_saphyr::Error) -> String {
    let text = fault.to_string();
    // The library ends its messages with the place, which is said already.
    match text.rfind(" at line ") {
        Some(at) if fault.location().is_some() => text.get(..at).unwrap_or(&text).to_owned(),
        _ => text,
    }
}

fn limits() -> Options {
    options! {
        budget: budget! {
            max_depth: 48,
            max_aliases: 2_000,
            max_anchors: 500,
            max_documents: 1,
            max_nodes: 250_000,
            max_total_scalar_bytes: 8 * 1024 * 1024,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: 8 * 1024 * 1024,
            max_merge_keys: 500,
        },
        alias_limits: alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 500,
        },
        // Only `true` and `false`: a channel named `on` stays a text.
        strict_booleans: true,
    }
}
