//! A clock that a test turns while the server runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use parking_lot::Mutex;

/// Names a file that holds milliseconds to be added to the machine's clock. For tests only, so it is
/// no setting: it is not in the documentation of settings, and nothing shows it.
pub(super) const VARIABLE: &str = "SIGNALBOX_TEST_CLOCK_FILE";

/// How long what was read is believed.
const FRESH: Duration = Duration::from_millis(20);

/// The offset in the file.
pub(super) struct Offset {
    path: PathBuf,
    read: Mutex<(Option<Instant>, TimeDelta)>,
}

impl Offset {
    pub(super) fn new(path: PathBuf) -> Self {
        tracing::warn!(path = %path.display(), "A test turns the clock of this server.");
        Self {
            path,
            read: Mutex::default(),
        }
    }

    /// The offset; one that cannot be read stays as it was.
    pub(super) fn read(&self) -> TimeDelta {
        let mut read = self.read.lock();
        if read.0.is_none_or(|at| at.elapsed() >= FRESH) {
            read.0 = Some(Instant::now());
            let text = std::fs::read_to_string(&self.path).ok();
            let ms = text.and_then(|text| text.trim().parse().ok());
            read.1 = ms.and_then(TimeDelta::try_milliseconds).unwrap_or(read.1);
        }
        read.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_turns_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("offset");
        let offset = Offset::new(path.clone());
        assert_eq!(offset.read(), TimeDelta::zero());
        std::fs::write(&path, "-3600000\n").unwrap();
        let begun = Instant::now();
        while offset.read() != TimeDelta::hours(-1) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
    }
}
