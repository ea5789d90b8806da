//! Reading the archive.

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use flate2::bufread::MultiGzDecoder;

use super::Done;

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Look at the archive.
#[derive(Debug, Subcommand)]
pub enum Archive {
    /// Print the lines of files, compressed or not, one after the other
    #[command(after_help = "\
Examples:
  signalbox archive cat /archive/main/event/2026-01-31.jsonl.gz | jq .title")]
    Cat(Cat),
}

/// Which files.
#[derive(Debug, Args)]
pub struct Cat {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Archive {
    /// Carries it out.
    pub fn run(self) -> Done {
        let Self::Cat(cat) = self;
        for path in cat.files {
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            copy(file).with_context(|| path.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn copy(mut file: File) -> std::io::Result<()> {
    let mut head = Vec::new();
    Read::by_ref(&mut file)
        .take(GZIP.len() as u64)
        .read_to_end(&mut head)?;
    let packed = head == GZIP;
    let all = BufReader::new(std::io::Cursor::new(head).chain(file));
    let mut out = std::io::stdout().lock();
    if packed {
        std::io::copy(&mut MultiGzDecoder::new(all), &mut out)?;
    } else {
        std::io::copy(&mut { all }, &mut out)?;
    }
    out.flush()
}
