//! Reading the archive.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use uuid::Uuid;

use super::Done;
use crate::retention::archive::is_part;

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Look at the archive.
#[derive(Debug, Subcommand)]
pub enum Archive {
    /// Print the lines of files and folders, compressed or not, each row once
    #[command(after_help = "\
A row that stands in several of the files, after a crash, is printed as the last of them has it.

Examples:
  signalbox archive cat /archive/main/event/2026-01-31 | jq .title")]
    Cat(Cat),
}

/// Which files.
#[derive(Debug, Args)]
pub struct Cat {
    /// Files, and folders with all that is in them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What tells rows apart.
#[derive(Deserialize)]
struct Row {
    id: Uuid,
}

impl Archive {
    /// Carries it out.
    pub fn run(self) -> Done {
        let Self::Cat(cat) = self;
        let mut files = Vec::new();
        for path in &cat.paths {
            collect(path, &mut files).with_context(|| path.display().to_string())?;
        }
        // The file that each row is printed from.
        let mut last: HashMap<Uuid, usize> = HashMap::new();
        if files.len() > 1 {
            each(&files, |file, line| {
                if let Some(id) = id_of(line) {
                    last.insert(id, file);
                }
                Ok(())
            })?;
        }
        let mut out = io::stdout().lock();
        each(&files, |file, line| {
            let other = |id| last.get(&id).is_some_and(|from| *from != file);
            if id_of(line).is_some_and(other) {
                return Ok(());
            }
            out.write_all(line)
        })?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn id_of(line: &[u8]) -> Option<Uuid> {
    serde_json::from_slice::<Row>(line).ok().map(|row| row.id)
}

/// The files of a path, in the order of their names.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut inside = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    // What a crash left half written is no piece.
    inside.retain(|path| !is_part(path));
    inside.sort();
    inside.iter().try_for_each(|path| collect(path, files))
}

/// Calls for each line, with the place of its file.
fn each(
    files: &[PathBuf],
    mut call: impl FnMut(usize, &[u8]) -> io::Result<()>,
) -> anyhow::Result<()> {
    for (n, path) in files.iter().enumerate() {
        lines(path, |line| call(n, line)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn lines(path: &Path, mut call: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file)
        .take(GZIP.len() as u64)
        .read_to_end(&mut head)?;
    let packed = head == GZIP;
    let all = BufReader::new(io::Cursor::new(head).chain(file));
    let mut all: Box<dyn BufRead> = if packed {
        Box::new(BufReader::new(MultiGzDecoder::new(all)))
    } else {
        Box::new(all)
    };
    let mut line = Vec::new();
    while all.read_until(b'\n', &mut line)? > 0 {
        call(&line)?;
        line.clear();
    }
    Ok(())
}
