//! Looking at the settings.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::{Done, load, output};
use crate::auth::Providers;
use crate::settings::{Loaded, ServeFlags, env_example, markdown};

#[derive(Debug, Args)]
pub(super) struct EnvExample {
    /// Print the tables of the documentation instead
    #[arg(long)]
    markdown: bool,
}

impl EnvExample {
    pub fn run(self) -> Done {
        let text = if self.markdown {
            markdown()
        } else {
            env_example()
        };
        output::line(text.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Read flags, environment and file, and the file of providers, and say what is wrong with them
    Check(Check),
    /// Print every setting with its value and where it comes from; secrets are stars
    Print(Print),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    flags: ServeFlags,
}

#[derive(Debug, Args)]
pub(super) struct Print {
    #[command(flatten)]
    flags: ServeFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Config {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        match self {
            Config::Check(check) => {
                let loaded = load(check.flags.0, config)?;
                warn(&loaded);
                let providers = Providers::named_in(&loaded.settings)
                    .map_err(|fault| anyhow::anyhow!(fault))?;
                if !providers.is_empty() {
                    let names = providers.join(", ");
                    output::line(&format!("the file of providers is sound ({names})"))?;
                }
                let from = loaded.file.map_or_else(
                    || "no settings file".to_owned(),
                    |file| format!("settings file {}", file.display()),
                );
                output::line(&format!("the settings are sound ({from})"))?;
            }
            Config::Print(print) => {
                let loaded = load(print.flags.0, config)?;
                warn(&loaded);
                show(&loaded, print.json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn warn(loaded: &Loaded) {
    for warning in loaded.warnings() {
        output::note(&format!("warning: {warning}"));
    }
}

fn show(loaded: &Loaded, as_json: bool) -> anyhow::Result<()> {
    let origin = |name| {
        loaded
            .origins
            .get(name)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    if as_json {
        let all: Map<_, _> = loaded
            .settings
            .shown()
            .into_iter()
            .map(|(name, value)| {
                (
                    name.to_owned(),
                    json!({ "value": value, "from": origin(name) }),
                )
            })
            .collect();
        return output::json(&all);
    }
    for (name, value) in loaded.settings.shown() {
        output::line(&format!("{name:<24} {value:<40} ({})", origin(name)))?;
    }
    Ok(())
}
