//! The command line: the server, and everything that a person does beside it.
//!
//! Answers go to standard output, words about the work to standard error, so that output can be
//! piped. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 `plan --exit-code` found differences,
//! 4 `audit verify` found a broken chain.

mod archive;
mod audit;
mod bootstrap;
mod config_file;
mod events;
mod keys;
mod mail;
mod migrate;
mod output;
mod serve;
mod settings;
mod stores;
mod users;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Given, Loaded, ServeFlags, Settings, StoreFlags};

/// What went wrong, for people; the whole chain is shown.
type Done = anyhow::Result<ExitCode>;

/// Self-hosted integration gateway: events come in, rules decide, tickets and messages go out.
#[derive(Debug, Parser)]
#[command(
    name = "signalbox",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  signalbox serve                                  start on http://localhost:8080, data in ./data
  signalbox bootstrap                              make the first workspace and its admin
  signalbox plan -f signalbox.yaml                 show what a file would change
  signalbox apply -f signalbox.yaml                apply it, also beside a running server
  signalbox events tail --json | jq .title         watch what comes in

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 `plan --exit-code` found differences,
4 `audit verify` found a broken chain.
Every setting is also an environment variable and a key of a file: signalbox env-example")]
struct Cli {
    /// Settings file [SIGNALBOX_CONFIG] [default: signalbox.toml in the data folder, if there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    #[command(after_help = "\
Examples:
  signalbox serve
  signalbox serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
  signalbox serve --database-url postgres://signalbox@db/signalbox --role worker

Ctrl-C or SIGTERM stops it gently: what is in flight gets `shutdown_seconds`.")]
    Serve(ServeFlags),
    /// Make the first workspace, its admin and a credential; prints the secrets once
    #[command(after_help = "\
Examples:
  signalbox bootstrap --data ./data
  signalbox bootstrap --data ./data --json | jq -r .bearer.token

The bearer token may do everything, but only from this machine. It works beside a running server.")]
    Bootstrap(bootstrap::Bootstrap),
    /// Apply a file of connections, sources and rules to a workspace
    #[command(after_help = "\
Examples:
  signalbox apply -f signalbox.yaml
  signalbox apply -f - --workspace acme --prune < acme.yaml

Applying twice changes nothing. It returns when every running server serves the new rules.")]
    Apply(config_file::Apply),
    /// Show what applying a file would change
    #[command(after_help = "\
Examples:
  signalbox plan -f signalbox.yaml
  signalbox plan -f signalbox.yaml --exit-code     status 3 if there is a difference")]
    Plan(config_file::Plan),
    /// Write a workspace as a file; secrets become placeholders
    #[command(after_help = "\
Examples:
  signalbox export > signalbox.yaml
  signalbox export -f signalbox.yaml --workspace acme")]
    Export(config_file::Export),
    /// Print the JSON Schema of the workspace file
    Schema,
    /// Read the archive
    #[command(subcommand)]
    Archive(archive::Archive),
    /// Look at the audit log
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at events
    #[command(subcommand)]
    Events(events::Events),
    /// Look after the keys that seal the stored secrets
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Try the mail settings
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Look after the people
    #[command(subcommand)]
    Users(users::Users),
    /// Bring the database schema up, down, or say where it stands
    #[command(after_help = "\
Examples:
  signalbox migrate               bring it up to date, also beside a running server
  signalbox migrate status
  signalbox migrate down 1        undo the last one; no server may run")]
    Migrate(migrate::Migrate),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// Print every setting with its default, ready for a .env file
    EnvExample(settings::EnvExample),
    /// Look at the settings
    #[command(subcommand)]
    Config(settings::Config),
}

/// Runs the command line and says how it went.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Two cryptography providers could be linked; this is the one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            let code = u8::try_from(e.exit_code()).unwrap_or(2);
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(e) if output::is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::note(&format!("error: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Done {
    let config = cli.config;
    match cli.command {
        Command::Serve(flags) => serve::run(load(flags.0, config)?),
        Command::Bootstrap(command) => command.run(config),
        Command::Apply(command) => command.run(config),
        Command::Plan(command) => command.run(config),
        Command::Export(command) => command.run(config),
        Command::Schema => {
            output::json(&crate::config_file::schema())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Archive(command) => command.run(),
        Command::Audit(command) => command.run(config),
        Command::Events(command) => command.run(config),
        Command::Keys(command) => command.run(config),
        Command::Mail(command) => command.run(config),
        Command::Users(command) => command.run(config),
        Command::Migrate(command) => command.run(config),
        Command::Openapi => {
            output::json(crate::http::document())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::EnvExample(command) => command.run(),
        Command::Config(command) => command.run(config),
    }
}

type Flags = std::collections::BTreeMap<&'static str, String>;

/// The settings under these flags; warnings are left to the caller.
fn load(flags: Flags, config: Option<PathBuf>) -> anyhow::Result<Loaded> {
    Ok(Settings::load(&Given::by_process(flags, config))?)
}

/// The settings of a command beside the server; warnings go to standard error.
fn load_beside(flags: StoreFlags, config: Option<PathBuf>) -> anyhow::Result<Settings> {
    let loaded = load(flags.0, config)?;
    // What is risky about a server is no business of this command.
    for warning in loaded.unknown {
        output::note(&format!("warning: {warning}"));
    }
    Ok(loaded.settings)
}

/// Runs asynchronous work on one thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
