//! Whether the database takes writes: what `/readyz` and the lights show.
//!
//! A disk that is full answers every question and takes nothing, so only a write can tell. The
//! journal says how its commits went, each node how the renewal of its lease did. What is small may
//! pass where an event does not, so it clears the light only when no event has failed for a while.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sea_orm::DbErr;

use super::away::is_full;

/// How long a failed commit is believed over a renewal that passed.
const DOUBT: Duration = Duration::from_secs(5);

/// Why writes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No space is left, or a limit or quota is reached.
    Full,
    /// Something else; the log says what.
    Failing,
}

impl Trouble {
    /// A line for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Full => "no space is left on the disk of the database",
            Self::Failing => "does not take writes",
        }
    }
}

/// How the last writes went.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<Option<(Trouble, Instant)>>);

impl Writes {
    /// A commit of events came to this end.
    pub(super) fn committed(&self, error: Option<&DbErr>) {
        *self.0.lock() = error.map(|error| (trouble(error), Instant::now()));
    }

    /// Another write came to this end.
    pub(super) fn wrote(&self, error: Option<&DbErr>) {
        let mut last = self.0.lock();
        match error {
            Some(error) => *last = Some((trouble(error), Instant::now())),
            None if last.is_some_and(|(_, at)| at.elapsed() >= DOUBT) => *last = None,
            None => {}
        }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.0.lock().map(|(trouble, _)| trouble)
    }
}

fn trouble(error: &DbErr) -> Trouble {
    if is_full(error) {
        Trouble::Full
    } else {
        Trouble::Failing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_decides_and_a_renewal_waits() {
        let writes = Writes::default();
        let error = DbErr::Custom("x".to_owned());
        assert_eq!(writes.trouble(), None);
        writes.committed(Some(&error));
        assert_eq!(writes.trouble(), Some(Trouble::Failing));
        writes.wrote(None);
        assert_eq!(writes.trouble(), Some(Trouble::Failing));
        writes.committed(None);
        assert_eq!(writes.trouble(), None);
        writes.wrote(Some(&error));
        assert_eq!(writes.trouble(), Some(Trouble::Failing));
    }
}
