//! Looking after people without the console: the first ones, and those who cannot get in.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use openapi::people::NewInvitation;
use serde_json::{Value, json};

use super::{Done, block_on, load_beside, output, stores};
use crate::clock::Clock;
use crate::db::Db;
use crate::http::problem::ApiError;
use crate::services::people;
use crate::settings::{Settings, StoreFlags};

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// List all accounts
    List(List),
    /// Invite somebody into a workspace; prints a link that works once
    #[command(after_help = "\
Examples:
  signalbox users invite ada@example.com --role operator
  signalbox users invite ada@example.com --role admin --workspace acme --days 2

No mail is sent: hand the link on yourself.")]
    Invite(Invite),
    /// Give a person a new password, print it once and end their sessions
    #[command(after_help = "\
Examples:
  signalbox users reset-password admin@localhost
  signalbox users reset-password ada@example.com --link

With --link nothing changes until the person has chosen a new password by the printed link, which
works once and for an hour.")]
    ResetPassword(ResetPassword),
    /// Give an account another address and end its sessions
    #[command(after_help = "\
Examples:
  signalbox users change-email ada@example.com ada.lee@example.com

No mail is sent, and nothing shows that the new address is the person's: be sure of it.")]
    ChangeEmail(ChangeEmail),
    /// Turn the second factor of a person off and end their sessions
    ResetSecondFactor(One),
    /// Let a person in nowhere any more, at once
    Disable(One),
    /// Let a person in again
    Enable(One),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Invite {
    /// Address of the person
    email: String,
    /// What the person will be: owner, admin, operator or viewer
    #[arg(long)]
    role: String,
    /// Slug of the workspace; needed where there are several
    #[arg(long)]
    workspace: Option<String>,
    /// Days until the link ends
    #[arg(long, default_value_t = 7)]
    days: u32,
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResetPassword {
    /// Address of the account
    email: String,
    /// Print a link instead, by which the person chooses a password
    #[arg(long)]
    link: bool,
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ChangeEmail {
    /// Address of the account
    email: String,
    /// The new one
    new: String,
    #[command(flatten)]
    flags: StoreFlags,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// Address of the account
    email: String,
    #[command(flatten)]
    flags: StoreFlags,
}

impl Users {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        match self {
            Self::List(command) => list(command, config),
            Self::Invite(command) => invite(command, config),
            Self::ResetPassword(command) => reset_password(command, config),
            Self::ChangeEmail(command) => change_email(command, config),
            Self::ResetSecondFactor(command) => one(
                command,
                config,
                async |db, email| people::reset_second_factor(db, &Clock::system(), email).await,
                "has no second factor now; the sessions have ended",
            ),
            Self::Disable(command) => one(
                command,
                config,
                async |db, email| people::disable(db, &Clock::system(), email).await,
                "is let in nowhere now; the sessions have ended",
            ),
            Self::Enable(command) => one(
                command,
                config,
                async |db, email| people::enable(db, &Clock::system(), email).await,
                "is let in again",
            ),
        }
    }
}

/// What went wrong, in words for the command line.
fn told(error: ApiError) -> anyhow::Error {
    let faults: Vec<&str> = error.errors.iter().map(|e| e.message.as_str()).collect();
    match (&error.detail, faults.as_slice()) {
        (Some(detail), _) => anyhow::anyhow!("{detail}"),
        (None, []) => anyhow::anyhow!("{}", error.code.title()),
        (None, faults) => anyhow::anyhow!("{}: {}", error.code.title(), faults.join("; ")),
    }
}

fn list(command: List, config: Option<PathBuf>) -> Done {
    let settings = load_beside(command.flags, config)?;
    let all = block_on(async {
        let db = stores::open_existing(&settings).await?;
        people::list_by_hand(&db).await.map_err(told)
    })?;
    if command.json {
        output::json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    for row in all {
        let mut marks = Vec::new();
        if row.second_factor {
            marks.push("second factor");
        }
        if row.disabled {
            marks.push("disabled");
        }
        output::line(
            format!(
                "{}  {}  {}  {}",
                row.email,
                row.name,
                row.workspaces.join(" "),
                marks.join(", ")
            )
            .trim_end(),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn invite(command: Invite, config: Option<PathBuf>) -> Done {
    let settings = load_beside(command.flags, config)?;
    let new = NewInvitation {
        email: command.email,
        role: command.role,
        expires_in_days: command.days,
    };
    let workspace = command.workspace;
    let link = block_on(async {
        let store = stores::open_store(&settings).await?;
        let scope = store.scope(workspace.as_deref()).await?;
        people::invite_by_hand(&store.db, &store.clock, &settings.public_url, scope, &new)
            .await
            .map_err(told)
    })?;
    let shown = json!({ "email": new.email, "link": link });
    print(
        command.json,
        &shown,
        &link,
        "The link works once and is not shown again.",
    )
}

fn reset_password(command: ResetPassword, config: Option<PathBuf>) -> Done {
    let settings = load_beside(command.flags, config)?;
    let email = command.email.trim().to_lowercase();
    if command.link {
        let link = block_on(link_of(&settings, &email))?;
        let shown = json!({ "email": email, "link": link });
        return print(
            command.json,
            &shown,
            &link,
            "The link works once, for an hour; until then the old password stays.",
        );
    }
    let password = block_on(async {
        let db = stores::open_existing(&settings).await?;
        reset(&db, &email).await
    })?;
    let shown = json!({ "email": email, "password": password });
    let note = format!("The new password of {email} is not shown again; its sessions have ended.");
    print(command.json, &shown, &password, &note)
}

fn change_email(command: ChangeEmail, config: Option<PathBuf>) -> Done {
    let settings = load_beside(command.flags, config)?;
    let new = block_on(async {
        let db = stores::open_existing(&settings).await?;
        let clock = Clock::system();
        people::change_email_by_hand(&db, &clock, &command.email, &command.new)
            .await
            .map_err(told)
    })?;
    output::note(&format!(
        "{} has the address {new} now; the sessions have ended.",
        command.email.trim()
    ));
    Ok(ExitCode::SUCCESS)
}

async fn link_of(settings: &Settings, email: &str) -> anyhow::Result<String> {
    let db = stores::open_existing(settings).await?;
    people::reset_link(&db, &Clock::system(), &settings.public_url, email)
        .await
        .map_err(told)
}

fn print(as_json: bool, shown: &Value, line: &str, note: &str) -> Done {
    if as_json {
        output::json(shown)?;
    } else {
        output::line(line)?;
        output::note(note);
    }
    Ok(ExitCode::SUCCESS)
}

fn one(
    command: One,
    config: Option<PathBuf>,
    act: impl AsyncFnOnce(&Db, &str) -> Result<(), ApiError>,
    done: &str,
) -> Done {
    let settings = load_beside(command.flags, config)?;
    block_on(async {
        let db = stores::open_existing(&settings).await?;
        act(&db, &command.email).await.map_err(told)
    })?;
    output::note(&format!("{} {done}.", command.email.trim()));
    Ok(ExitCode::SUCCESS)
}

/// Sets a new password and ends the sessions of its account.
///
/// # Errors
/// There is no such account, or a statement failed.
pub(super) async fn reset(db: &Db, email: &str) -> anyhow::Result<String> {
    people::set_password(db, &Clock::system(), email)
        .await
        .map_err(told)
}
