//! Files of the archive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Makes a file that was not there, and has it on disk.
///
/// # Errors
/// It could not be written, or there is one of this name.
pub async fn create(path: PathBuf, bytes: Bytes) -> io::Result<()> {
    tokio::task::spawn_blocking(move || create_now(&path, &bytes))
        .await
        .map_err(io::Error::other)?
}

fn create_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    make(folder)?;
    let mut file = OpenOptions::new().create_new(true).write(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // A torn piece would be in the way of whoever reads the archive.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    sync(folder)
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
}
