//! A file of the archive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Appends to a file of which `counted` bytes count, and has it on disk.
pub async fn append(path: PathBuf, counted: i64, bytes: Bytes) -> io::Result<()> {
    let counted = u64::try_from(counted).unwrap_or(0);
    tokio::task::spawn_blocking(move || append_now(&path, counted, &bytes))
        .await
        .map_err(io::Error::other)?
}

fn append_now(path: &Path, counted: u64, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    make(folder)?;
    let new = !path.exists();
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    let length = file.metadata()?.len();
    // What lies behind was written, but its rows were not deleted. A shorter file was moved away.
    if length > counted {
        file.set_len(counted)?;
    }
    file.seek(SeekFrom::End(0))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if new {
        sync(folder)?;
    }
    Ok(())
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
    fn what_does_not_count_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main/event/2026-01-01.jsonl");
        append_now(&path, 0, b"one\n").unwrap();
        append_now(&path, 4, b"two, not deleted\n").unwrap();
        append_now(&path, 4, b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        fs::remove_file(&path).unwrap();
        append_now(&path, 8, b"three\n").unwrap();
        append_now(&path, 14, b"four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\nfour\n");
    }
}
