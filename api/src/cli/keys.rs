//! Looking after the keys that seal the stored secrets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Done, block_on, load_beside, output, stores};
use crate::clock::Clock;
use crate::secrets::{self, KeySource, Keyring, Ring};
use crate::settings::{Settings, StoreFlags};

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Show the keys of the ring, and how many secrets each seals
    Status(Common),
    /// Add a key that opens and does not seal yet
    #[command(after_help = "\
With several servers that have copies of the ring: add, copy the file to all of them, then rotate.")]
    Add(Common),
    /// Make the newest key the current one and seal every secret anew
    #[command(after_help = "\
Examples:
  signalbox keys rotate
  signalbox keys rotate --retire        and take the old keys out of the ring

It works beside running servers, and can be repeated. Without a key that was added before, one is
added. Backups from before need the old keys: keep a copy of the ring with them.")]
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    common: Common,
    /// Take keys that seal nothing any more out of the ring
    #[arg(long)]
    retire: bool,
}

impl Keys {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        match self {
            Self::Status(common) => {
                let settings = load_beside(common.flags, config)?;
                status(&settings, common.json)
            }
            Self::Add(common) => {
                let settings = load_beside(common.flags, config)?;
                let keyring = Keyring::open_source(KeySource::of(&settings))?;
                let mut ring = Ring::clone(&*keyring.ring()?);
                let id = ring.add();
                keyring.replace(&ring)?;
                if common.json {
                    output::json(&json!({ "added": id, "current": ring.current() }))?;
                } else {
                    output::line(&id)?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Rotate(command) => {
                let settings = load_beside(command.common.flags, config)?;
                rotate(&settings, command.common.json, command.retire)
            }
        }
    }
}

fn status(settings: &Settings, as_json: bool) -> Done {
    let keyring = Keyring::open_source(KeySource::of(settings))?;
    let used = block_on(async {
        let db = stores::open_existing(settings).await?;
        anyhow::Ok(secrets::in_use(&db).await?)
    })?;
    let ring = keyring.ring()?;
    let count = |id: &str| {
        used.iter()
            .find(|u| u.key_id == id)
            .map_or(0, |u| u.secrets)
    };
    let missing = used.iter().filter(|u| !ring.ids().any(|id| id == u.key_id));
    if as_json {
        let keys = ring
            .ids()
            .map(|id| json!({ "id": id, "current": id == ring.current(), "secrets": count(id) }));
        let missing = missing.map(|u| json!({ "id": u.key_id, "secrets": u.secrets }));
        let keys: Vec<_> = keys.collect();
        output::json(&json!({ "keys": keys, "missing": missing.collect::<Vec<_>>() }))?;
    } else {
        for id in ring.ids() {
            let mark = if id == ring.current() {
                "  seals new ones"
            } else {
                ""
            };
            output::line(&format!("{id}  {} secrets{mark}", count(id)))?;
        }
        for used in missing {
            output::line(&format!(
                "{}  {} secrets  NOT IN THE RING",
                used.key_id, used.secrets
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(settings: &Settings, as_json: bool, retire: bool) -> Done {
    let keyring = Keyring::open_source(KeySource::of(settings))?;
    let before = keyring.ring()?.current().to_owned();
    let (sealed, gone) = block_on(async {
        let db = stores::open_existing(settings).await?;
        secrets::check(&db, &keyring).await?;
        // A ring that is not ours was turned where it is kept; the rows follow it.
        if KeySource::of(settings).is_file() {
            let mut ring = Ring::clone(&*keyring.ring()?);
            let newest = ring.newest().filter(|id| *id != before).map(str::to_owned);
            let id = newest.unwrap_or_else(|| ring.add());
            ring.promote(&id)?;
            keyring.replace(&ring)?;
        }
        let sealed = secrets::rewrap(&db, &keyring, &Clock::system()).await?;
        let mut gone = Vec::new();
        if retire {
            let in_use = secrets::in_use(&db).await?;
            let in_use: Vec<String> = in_use.into_iter().map(|used| used.key_id).collect();
            let mut ring = Ring::clone(&*keyring.ring()?);
            gone = ring.retire(&in_use);
            keyring.replace(&ring)?;
        }
        anyhow::Ok((sealed, gone))
    })?;
    let current = keyring.ring()?.current().to_owned();
    if as_json {
        output::json(&json!({ "current": current, "sealed": sealed, "retired": gone }))?;
    } else {
        output::line(&format!(
            "{current} seals; {sealed} secrets were sealed anew"
        ))?;
        for id in gone {
            output::line(&format!("{id} is not in the ring any more"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
