//! The one clock. Tests hand in their own.
//!
//! Invariant: leases, limits and waits inside a process go by the machine's monotonic time, which
//! nobody can set. The wall clock made here is for what is stored and shown; when it is set while
//! the server runs, the jump is noticed at the next look, and [`Clock::steady`] leaves it out of a
//! distance in time.

mod jumps;
mod turned;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use jumps::Jumps;

/// Tells the time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    read: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// None: the clock of a test inside the process, which may be turned as it likes.
    jumps: Option<Mutex<Jumps>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::watched(Box::new(machine))
    }

    /// The clock of a server: the machine's, or one that a test turns from outside. See
    /// `docs/testing.md`.
    pub fn of_server() -> Self {
        match std::env::var_os(turned::VARIABLE) {
            None => Self::system(),
            Some(path) => {
                let offset = turned::Offset::new(path.into());
                Self::watched(Box::new(move || machine() + offset.read()))
            }
        }
    }

    /// A clock that tells what `read` says.
    pub fn from_fn(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            read: Box::new(read),
            jumps: None,
        }))
    }

    fn watched(read: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>) -> Self {
        let jumps = Jumps::new(read().timestamp_millis(), Instant::now());
        Self(Arc::new(Inner {
            read,
            jumps: Some(Mutex::new(jumps)),
        }))
    }

    /// Now.
    pub fn now(&self) -> DateTime<Utc> {
        let Some(jumps) = &self.0.jumps else {
            return (self.0.read)();
        };
        // Read while nobody else looks: a reading from before a jump that came after one from
        // behind it would be a second jump, back.
        let mut jumps = jumps.lock();
        let now = (self.0.read)();
        jumps.look(now.timestamp_millis(), Instant::now());
        now
    }

    /// Now, in milliseconds since 1970: the form of the database.
    pub fn now_ms(&self) -> i64 {
        self.now().timestamp_millis()
    }

    /// What this clock would have shown at a moment of the past, had it always stood as it stands
    /// now: the distance to now is the time that really passed. Knows of the jumps that this
    /// process saw. Milliseconds since 1970.
    pub fn steady(&self, moment: i64) -> i64 {
        let jumps = self.0.jumps.as_ref();
        moment + jumps.map_or(0, |jumps| jumps.lock().since(moment))
    }

    /// How often the clock was set back while this process looked, and by how many milliseconds
    /// the last time.
    pub fn set_back(&self) -> (u64, i64) {
        let jumps = self.0.jumps.as_ref();
        jumps.map_or((0, 0), |jumps| jumps.lock().set_back())
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

fn machine() -> DateTime<Utc> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    Utc::now()
}

/// The moment of a column.
pub fn from_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}
