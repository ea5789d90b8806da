//! Looking at the audit log without the server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Subcommand};
use entity::workspace;
use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::json;

use super::{Done, block_on, load_beside, output, stores};
use crate::chain::{self, Kept, Known};
use crate::db::Db;
use crate::settings::StoreFlags;

/// The status when a chain does not hold.
const BROKEN: u8 = 4;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Look whether the audit log is as it was written
    #[command(after_help = "\
Examples:
  signalbox audit verify
  signalbox audit verify --json
  signalbox audit verify --kept main:42:5f2b1c9b…

Status 4 if a line was changed, is missing or was put in. It works beside a running server.
Number and hash of the end are printed: kept elsewhere and given with --kept, they show later
that the log was not written anew as a whole.")]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object for each workspace
    #[arg(long)]
    json: bool,
    /// The end of a chain as it was once, kept elsewhere: whether that line still is what it was
    #[arg(long, value_name = "WORKSPACE:NUMBER:HASH", value_parser = kept)]
    kept: Vec<(String, Kept)>,
}

fn kept(text: &str) -> Result<(String, Kept), String> {
    let form = || "expected WORKSPACE:NUMBER:HASH".to_owned();
    let [workspace, seq, hash] = text.split(':').collect::<Vec<_>>()[..] else {
        return Err(form());
    };
    let kept = Kept {
        seq: seq.parse().map_err(|_| form())?,
        hash: hash.to_owned(),
    };
    Ok((workspace.to_owned(), kept))
}

impl Audit {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let Audit::Verify(command) = self;
        let settings = load_beside(command.flags, config)?;
        let found = block_on(async {
            let db = stores::open_existing(&settings).await?;
            look(&db, &command.kept).await
        })?;
        let mut status = ExitCode::SUCCESS;
        for (name, report) in found {
            if report.broken.is_some() {
                status = ExitCode::from(BROKEN);
            }
            if command.json {
                output::json(&shown(&name, &report))?;
            } else {
                output::line(&told(&name, &report))?;
            }
        }
        Ok(status)
    }
}

async fn look(db: &Db, kept: &[(String, Kept)]) -> anyhow::Result<Vec<(String, chain::Report)>> {
    let workspaces = workspace::Entity::find()
        .order_by_asc(workspace::Column::Id)
        .all(db.read())
        .await?;
    let mut found = Vec::new();
    for (slug, _) in kept {
        ensure!(
            workspaces.iter().any(|w| w.slug == *slug),
            "there is no workspace {slug}"
        );
    }
    for workspace in workspaces {
        let mut report = chain::verify(db.read(), workspace.id).await?;
        for (_, kept) in kept.iter().filter(|(slug, _)| *slug == workspace.slug) {
            let known = chain::compare(db.read(), workspace.id, kept, &mut report).await?;
            if known == Known::Deleted {
                tracing::warn!(
                    workspace = %workspace.slug, seq = kept.seq,
                    "The line that was kept was deleted by age: nothing can be said of it."
                );
            }
        }
        found.push((workspace.slug, report));
    }
    Ok(found)
}

fn shown(name: &str, report: &chain::Report) -> serde_json::Value {
    json!({
        "workspace": name,
        "intact": report.broken.is_none(),
        "checked": report.checked,
        "waiting": report.waiting,
        "first_seq": report.anchor_seq + 1,
        "seq": report.seq,
        "hash": report.hash,
        "broken": report.broken.as_ref().map(|broken| json!({
            "seq": broken.seq, "id": broken.id, "what": broken.what,
        })),
    })
}

fn told(name: &str, report: &chain::Report) -> String {
    match &report.broken {
        None => format!(
            "{name}: {} lines hold; the end is {} {}; {} have not joined yet",
            report.checked, report.seq, report.hash, report.waiting
        ),
        Some(broken) => {
            let line = broken.id.map_or_else(String::new, |id| format!(" ({id})"));
            let what = match broken.what {
                "missing" => "is missing",
                "changed" => "was changed",
                "rewritten" => "is not the one that was kept: the log was written anew",
                _ => "is not the end that was noted",
            };
            format!("{name}: BROKEN: line {}{line} {what}", broken.seq)
        }
    }
}
