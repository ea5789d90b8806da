//! One server at a time on an SQLite file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Held while a server runs on a data folder; the system lets go of it when the process ends, also
/// after a crash.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server works on this folder.
    #[error("another Signalbox server is running on this data folder")]
    Taken,
    /// The lock file cannot be opened or locked.
    #[error("the lock file cannot be used: {0}")]
    Io(#[from] std::io::Error),
}

impl DataLock {
    /// Takes the lock of a data folder.
    ///
    /// # Errors
    /// It is taken, or the file cannot be used.
    pub fn take(data: &Path) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(data.join("signalbox.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken),
            Err(TryLockError::Error(e)) => Err(e.into()),
        }
    }
}
