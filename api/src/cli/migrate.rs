//! The database schema, up and down.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use migration::{Migrator, MigratorTrait as _};

use super::{Done, block_on, load_beside, output, stores};
use crate::db::{DataLock, Location};
use crate::settings::StoreFlags;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    flags: StoreFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring it up to date (what happens without a word)
    Up(Flags),
    /// Undo the last N migrations; what they added is lost
    Down {
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        #[command(flatten)]
        flags: StoreFlags,
    },
    /// Print each migration and whether it was applied
    Status(Flags),
}

#[derive(Debug, Args)]
struct Flags {
    #[command(flatten)]
    flags: StoreFlags,
}

impl Migrate {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let mut flags = self.flags;
        let mut also = |more: StoreFlags| {
            flags.0.extend(more.0);
            load_beside(flags.clone(), config.clone())
        };
        match self.action {
            None => block_on(up(also(StoreFlags::default())?)),
            Some(Action::Up(more)) => block_on(up(also(more.flags)?)),
            Some(Action::Status(more)) => block_on(status(also(more.flags)?)),
            Some(Action::Down { steps, flags }) => block_on(down(also(flags)?, steps)),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn up(settings: crate::settings::Settings) -> anyhow::Result<()> {
    stores::open_new(&settings).await?;
    output::note("the database schema is up to date");
    Ok(())
}

async fn down(settings: crate::settings::Settings, steps: u32) -> anyhow::Result<()> {
    // A server that loses its tables under it helps nobody.
    let _lock = match settings.location() {
        Location::Sqlite(_) => Some(DataLock::take(&settings.data)?),
        Location::Postgres(_) => None,
    };
    let db = stores::open_existing(&settings).await?;
    db.undo(steps)
        .await
        .context("a migration cannot be undone")?;
    output::note(&format!("undone: {steps}"));
    Ok(())
}

async fn status(settings: crate::settings::Settings) -> anyhow::Result<()> {
    let db = stores::open_existing(&settings).await?;
    for migration in Migrator::get_migration_with_status(db.read()).await? {
        output::line(&format!(
            "{:<8} {}",
            migration.status().to_string().to_lowercase(),
            migration.name()
        ))?;
    }
    Ok(())
}
