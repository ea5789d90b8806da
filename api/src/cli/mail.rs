//! Trying the mail settings without the server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Done, block_on, load_beside, output};
use crate::clock::Clock;
use crate::mail::{EmailAddress, Mail, Refusal, test_message};
use crate::secrets::Keyring;
use crate::settings::StoreFlags;

#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// Send a mail that tries the settings, and print what the mail server says
    #[command(after_help = "\
Example:
  signalbox mail test ann@example.com

It takes the same settings as the server: SIGNALBOX_SMTP_HOST and those beside it.")]
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// To whom
    address: String,
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl MailCommand {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let MailCommand::Test(command) = self;
        let settings = load_beside(command.flags, config)?;
        let to = EmailAddress::parse(&command.address)?;
        crate::db::make_folder(&settings.data)?;
        let keyring = Keyring::load_or_create(&settings.key_file)?;
        let mail = Mail::new(&settings, keyring, Clock::system())
            .map_err(|error| anyhow::anyhow!("smtp_ca cannot be used: {error}"))?;
        let message = test_message(to, &settings.public_url);
        let id = block_on(async { mail.send_now(&message).await.map_err(told) })?;
        if command.json {
            output::json(&json!({ "id": id }))?;
        } else {
            output::line(&id.to_string())?;
            output::note("The mail server took it.");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told(refusal: Option<Refusal>) -> anyhow::Error {
    match refusal {
        None => anyhow::anyhow!("no mail server is set; set smtp_host and mail_from"),
        // It goes to the one who asked, so the server may speak.
        Some(refusal) => anyhow::anyhow!("the mail was not sent: {}", refusal.text()),
    }
}
