//! Files of the archive.
//!
//! Invariant: what has the name of a piece is whole. It is written beside, under a hidden name, and
//! gets its own when it is on disk. A crash leaves the hidden file; the next claim of this
//! installation that writes into the folder removes it, and no reader takes it for a piece.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// What the name of a piece that is being written begins and ends with.
const HIDDEN: &str = ".";
const PART: &str = ".part";
/// What a file system says that has no links.
const NO_LINKS: [io::ErrorKind; 2] = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];

/// Makes a file that was not there, and has it on disk.
///
/// # Errors
/// It could not be written, or there is one of this name.
pub async fn create(path: PathBuf, bytes: Bytes) -> io::Result<()> {
    tokio::task::spawn_blocking(move || create_now(&path, &bytes))
        .await
        .map_err(io::Error::other)?
}

/// Whether a file is a piece that is being written, or was when its server died.
pub fn is_part(path: &Path) -> bool {
    path.file_name().and_then(piece_of).is_some()
}

/// The name of the piece that a part is of.
fn piece_of(part: &OsStr) -> Option<&str> {
    part.to_str()?.strip_prefix(HIDDEN)?.strip_suffix(PART)
}

fn create_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default();
    make(folder)?;
    remove_left(folder, name)?;
    let mut hidden = OsString::from(HIDDEN);
    hidden.push(name);
    hidden.push(PART);
    let part = folder.join(hidden);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(&part)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| give_name(&part, path));
    // Under its own name it is another entry of the folder.
    let _ = fs::remove_file(&part);
    written?;
    sync(folder)
}

/// Gives a part its name, unless something has it.
fn give_name(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        // The name is random: nobody takes it in between.
        Err(error) if NO_LINKS.contains(&error.kind()) => {
            if path.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(part, path)
        }
        linked => linked,
    }
}

/// Removes what earlier claims of this installation left unfinished: their rows are still there, or
/// stand in another piece.
fn remove_left(folder: &Path, name: &OsStr) -> io::Result<()> {
    let Some(own) = name.to_str().and_then(claim) else {
        return Ok(());
    };
    for entry in fs::read_dir(folder)? {
        let found = entry?.file_name();
        let earlier = piece_of(&found)
            .and_then(claim)
            .is_some_and(|(of, number)| of == own.0 && number < own.1);
        if earlier {
            // Whoever may write it still fails, and has lost its claim.
            let _ = fs::remove_file(folder.join(found));
        }
    }
    Ok(())
}

/// The installation of a piece, and its claim.
fn claim(name: &str) -> Option<(&str, u64)> {
    let mut parts = name.split('-');
    let of = parts.next()?;
    Some((of, parts.next()?.parse().ok()?))
}

/// Makes a folder and those above it, each of them on disk.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder
        .parent()
        .filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    above.map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_over_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main/event/2026-01-01/piece.jsonl");
        create_now(&path, b"one\n").unwrap();
        let refused = create_now(&path, b"two\n").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    #[test]
    fn what_a_crash_left_is_no_piece_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let left = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "half").unwrap();
            path
        };
        let earlier = left(".0a-0000000003-000000-0000000a.jsonl.part");
        let others = left(".0b-0000000003-000000-0000000a.jsonl.part");
        let later = left(".0a-0000000005-000000-0000000a.jsonl.part");
        let own = folder.path().join("0a-0000000004-000000-0000000a.jsonl");
        create_now(&own, b"one\n").unwrap();
        assert!(is_part(&earlier) && !is_part(&own));
        assert!(!earlier.exists() && others.exists() && later.exists());
        assert_eq!(fs::read_to_string(&own).unwrap(), "one\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
