//! Maintenance: what is open now, and what that means for a delivery.
//!
//! Invariant: ingest never refuses because of maintenance. While a window or the switch covers a
//! delivery, no call is made for it: what is made then waits as `windowed` (or, in the mode `skip`,
//! ends at once as `discarded`), and what was made before and comes due is put back as `windowed`.
//! Closes are never discarded: a ticket that was opened before must not stay open for good.
//!
//! Everything is decided in memory from the configuration that is served. The end of maintenance is
//! a timer ([`Release`]); it looks a second time a little later, so that an event that was routed
//! just before the end and committed just after it does not wait for the next one, and then once a
//! minute: a node whose clock is behind, or one that could not reach the database, may put
//! deliveries back much later. A crash changes nothing: waiting deliveries are rows, and so are the
//! timers.

mod release;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use engine::window::Window;
use openapi::maintenance::WindowMode;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::clock::from_ms;

pub use release::{Release, look_soon};

/// What a window is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Everything of the workspace.
    All,
    /// Events of these sources.
    Sources(HashSet<Uuid>),
    /// These connections.
    Connections(HashSet<Uuid>),
}

/// A window, ready to be asked.
#[derive(Debug)]
pub struct Planned {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// What becomes of deliveries.
    pub mode: WindowMode,
    /// What it is about.
    pub members: Members,
    window: Window,
    /// The last answer of the calendar: it holds until its end.
    known: Mutex<Known>,
}

/// From, until, open. The end is not part of it.
#[derive(Clone, Copy, Debug)]
struct Known {
    from: i64,
    until: i64,
    open: bool,
}

impl Planned {
    /// A window that nobody has asked yet.
    pub fn new(id: Uuid, name: String, mode: WindowMode, members: Members, window: Window) -> Self {
        let nothing = Known {
            from: i64::MAX,
            until: i64::MIN,
            open: false,
        };
        Self {
            id,
            name,
            mode,
            members,
            window,
            known: Mutex::new(nothing),
        }
    }

    fn known(&self, now: i64) -> Known {
        let mut known = self.known.lock();
        if !(known.from..known.until).contains(&now) {
            let phase = self.window.phase(from_ms(now));
            *known = Known {
                from: now,
                until: phase.until.map_or(i64::MAX, |at| at.timestamp_millis()),
                open: phase.open,
            };
        }
        *known
    }

    /// When the opening of now ends; none: it is closed.
    pub fn open_until(&self, now: i64) -> Option<Option<DateTime<Utc>>> {
        let known = self.known(now);
        known.open.then(|| moment(known.until))
    }
}

fn moment(ms: i64) -> Option<DateTime<Utc>> {
    (ms < i64::MAX).then(|| from_ms(ms))
}

/// The maintenance of a workspace.
#[derive(Debug, Default)]
pub struct Plan {
    /// Windows that are switched on.
    pub windows: Vec<Planned>,
    /// The switch is on, until then.
    pub switched_on: Option<Option<i64>>,
}

/// What covers a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover<'a> {
    /// What becomes of new deliveries.
    pub mode: WindowMode,
    /// Name of the window; none: the switch.
    pub name: Option<&'a str>,
}

/// What covers the deliveries of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// All of them.
    All,
    /// Those of events from these sources.
    Sources(Vec<Uuid>),
}

impl Plan {
    /// Whether the switch is on.
    pub fn is_on(&self, now: i64) -> bool {
        self.switched_on
            .is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Windows that are open, each with its end.
    pub fn open(&self, now: i64) -> impl Iterator<Item = (&Planned, Option<DateTime<Utc>>)> {
        self.windows
            .iter()
            .filter_map(move |window| Some((window, window.open_until(now)?)))
    }

    /// Whether anything may be covered now.
    pub fn any(&self, now: i64) -> bool {
        self.is_on(now) || self.open(now).next().is_some()
    }

    /// What covers a delivery now. Waiting wins over discarding.
    pub fn cover(&self, now: i64, source: Option<Uuid>, connection: Uuid) -> Option<Cover<'_>> {
        if self.is_on(now) {
            return Some(Cover {
                mode: WindowMode::Queue,
                name: None,
            });
        }
        let mut found: Option<Cover<'_>> = None;
        for (window, _) in self.open(now) {
            let covers = match &window.members {
                Members::All => true,
                Members::Sources(ids) => source.is_some_and(|id| ids.contains(&id)),
                Members::Connections(ids) => ids.contains(&connection),
            };
            if covers && found.is_none_or(|cover| cover.mode == WindowMode::Skip) {
                found = Some(Cover {
                    mode: window.mode,
                    name: Some(&window.name),
                });
            }
        }
        found
    }

    /// What covers the deliveries of a connection now.
    pub fn covered(&self, now: i64, connection: Uuid) -> Covered {
        let mut sources = HashSet::new();
        if self.is_on(now) {
            return Covered::All;
        }
        for (window, _) in self.open(now) {
            match &window.members {
                Members::All => return Covered::All,
                Members::Connections(ids) if ids.contains(&connection) => return Covered::All,
                Members::Connections(_) => {}
                Members::Sources(ids) => sources.extend(ids.iter().copied()),
            }
        }
        Covered::Sources(sources.into_iter().collect())
    }

    /// The next moment at which something opens or closes.
    pub fn next_change(&self, now: i64) -> Option<i64> {
        let windows = self.windows.iter().map(|window| window.known(now).until);
        let switch = self.switched_on.flatten().filter(|until| *until > now);
        windows.chain(switch).filter(|at| *at < i64::MAX).min()
    }
}

#[cfg(test)]
mod tests {
    use engine::window::Schedule;

    use super::*;

    fn window(mode: WindowMode, members: Members, end: i64) -> Planned {
        let schedule = Schedule::Once {
            start: from_ms(1_000_000).to_rfc3339(),
            end: from_ms(end).to_rfc3339(),
        };
        let window = Window::compile("UTC", &schedule).unwrap();
        Planned::new(Uuid::nil(), end.to_string(), mode, members, window)
    }

    #[test]
    fn waiting_wins_over_discarding_and_scopes_are_kept() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let plan = Plan {
            windows: vec![
                window(WindowMode::Skip, Members::Sources([one].into()), 5_000_000),
                window(
                    WindowMode::Queue,
                    Members::Connections([two].into()),
                    3_000_000,
                ),
            ],
            switched_on: None,
        };
        let mode = |now, source, connection| plan.cover(now, source, connection).map(|c| c.mode);
        assert_eq!(mode(999_999, Some(one), two), None);
        assert_eq!(mode(1_000_000, Some(one), three), Some(WindowMode::Skip));
        assert_eq!(mode(1_000_000, Some(one), two), Some(WindowMode::Queue));
        assert_eq!(mode(1_000_000, Some(three), three), None);
        assert_eq!(mode(1_000_000, None, two), Some(WindowMode::Queue));
        assert_eq!(mode(3_000_000, Some(one), two), Some(WindowMode::Skip));
        assert_eq!(mode(5_000_000, Some(one), two), None);
        assert_eq!(plan.covered(2_000_000, two), Covered::All);
        assert_eq!(plan.covered(4_000_000, two), Covered::Sources(vec![one]));
        assert_eq!(plan.next_change(0), Some(1_000_000));
        assert_eq!(plan.next_change(1_000_000), Some(3_000_000));
        assert_eq!(plan.next_change(5_000_000), None);
    }

    #[test]
    fn the_switch_covers_everything_until_its_end() {
        let plan = Plan {
            windows: Vec::new(),
            switched_on: Some(Some(2_000)),
        };
        assert!(plan.any(1_999) && !plan.any(2_000));
        assert_eq!(plan.next_change(1_000), Some(2_000));
        assert_eq!(plan.covered(1_000, Uuid::nil()), Covered::All);
        assert!(
            Plan {
                switched_on: Some(None),
                ..Plan::default()
            }
            .any(i64::MAX - 1)
        );
    }
}
