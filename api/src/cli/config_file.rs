//! `apply`, `plan` and `export`: configuration as code on the command line.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use openapi::config::{Change, File};
use serde_json::json;

use super::{Done, block_on, load_beside, output, stores};
use crate::config_file::{self, Applied, FileError, LARGEST, Surroundings, parse};
use crate::settings::StoreFlags;

/// Exit code of `plan --exit-code` when there is a difference.
const DIFFERENT: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The file; `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    flags: StoreFlags,
    /// Slug of the workspace [default: the first one]
    #[arg(long, value_name = "SLUG")]
    workspace: Option<String>,
    /// Remove what the file does not name
    #[arg(long)]
    prune: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Seconds to wait until every running server serves the change
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The file; `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    flags: StoreFlags,
    /// Slug of the workspace [default: the first one]
    #[arg(long, value_name = "SLUG")]
    workspace: Option<String>,
    /// Remove what the file does not name
    #[arg(long)]
    prune: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// End with status 3 if there is a difference
    #[arg(long)]
    exit_code: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Where to write it; `-` or nothing: standard output
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: StoreFlags,
    /// Slug of the workspace [default: the first one]
    #[arg(long, value_name = "SLUG")]
    workspace: Option<String>,
}

impl Apply {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let settings = load_beside(self.flags, config)?;
        let (file, around) = read(&self.file)?;
        let (applied, nodes) = block_on(async {
            let store = stores::open_store(&settings).await?;
            let scope = store.scope(self.workspace.as_deref()).await?;
            let applied = named(
                config_file::apply(&store, scope, file, &around, self.prune).await,
                &self.file,
            )?;
            let limit = Duration::from_secs(self.wait);
            let waited = config_file::wait_for_nodes(&store, applied.revision, limit).await?;
            Ok((applied, waited.nodes))
        })?;
        say(&applied, self.json, &json!({ "nodes": nodes }))?;
        if !self.json {
            let what = match applied.changes.len() {
                0 => "nothing to change".to_owned(),
                1 => "1 change applied".to_owned(),
                n => format!("{n} changes applied"),
            };
            let who = match nodes {
                0 => "no server is running".to_owned(),
                1 => "the running server serves it".to_owned(),
                n => format!("{n} running servers serve it"),
            };
            output::note(&format!("{what}; {who}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Plan {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let settings = load_beside(self.flags, config)?;
        let (file, around) = read(&self.file)?;
        let planned = block_on(async {
            let store = stores::open_store(&settings).await?;
            let scope = store.scope(self.workspace.as_deref()).await?;
            named(
                config_file::plan(&store, scope, file, &around, self.prune).await,
                &self.file,
            )
        })?;
        say(&planned, self.json, &json!({}))?;
        if !self.json && planned.changes.is_empty() {
            output::note("nothing to change");
        }
        Ok(if self.exit_code && !planned.changes.is_empty() {
            ExitCode::from(DIFFERENT)
        } else {
            ExitCode::SUCCESS
        })
    }
}

impl Export {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let settings = load_beside(self.flags, config)?;
        let text = block_on(async {
            let store = stores::open_store(&settings).await?;
            let scope = store.scope(self.workspace.as_deref()).await?;
            Ok(config_file::export(&store, scope).await?)
        })?;
        match self.file.filter(|path| path != Path::new("-")) {
            None => output::line(text.trim_end())?,
            Some(path) => std::fs::write(&path, text)
                .with_context(|| format!("{} cannot be written", path.display()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads and parses a file, and finds what its references point into.
fn read(path: &Path) -> anyhow::Result<(File, Surroundings)> {
    let cap = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    let standard = path == Path::new("-");
    if standard {
        std::io::stdin().lock().take(cap).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(cap).read_to_string(&mut text))
    }
    .with_context(|| format!("{} cannot be read", path.display()))?;
    let folder = match path.parent() {
        Some(folder) if !standard => folder.to_owned(),
        _ => PathBuf::new(),
    };
    Ok((named(parse(&text), path)?, Surroundings::of_process(folder)))
}

/// Faults of the file begin with its name, one line each.
fn named<T>(result: Result<T, FileError>, path: &Path) -> anyhow::Result<T> {
    result.map_err(|e| match e {
        FileError::Form(_) | FileError::Invalid(_) | FileError::TooLarge => {
            let lines: Vec<String> = e
                .to_string()
                .lines()
                .map(|line| format!("{}: {line}", path.display()))
                .collect();
            anyhow::anyhow!("the file is not acceptable\n{}", lines.join("\n"))
        }
        other => other.into(),
    })
}

fn say(applied: &Applied, as_json: bool, more: &serde_json::Value) -> anyhow::Result<()> {
    for warning in &applied.warnings {
        output::note(&format!("warning: {warning}"));
    }
    if as_json {
        let mut shown = json!({
            "changes": applied.changes,
            "warnings": applied.warnings,
            "revision": applied.revision,
        });
        if let (Some(shown), Some(more)) = (shown.as_object_mut(), more.as_object()) {
            shown.extend(more.clone());
        }
        return output::json(&shown);
    }
    for change in &applied.changes {
        output::line(&describe(change))?;
    }
    Ok(())
}

/// `~ update rule "name" (priority, then)`
pub(super) fn describe(change: &Change) -> String {
    let sign = match change.action.as_str() {
        "create" => '+',
        "delete" => '-',
        _ => '~',
    };
    let fields = match change.fields.as_slice() {
        [] => String::new(),
        fields => format!(" ({})", fields.join(", ")),
    };
    format!(
        "{sign} {} {} \"{}\"{fields}",
        change.action, change.kind, change.name
    )
}
