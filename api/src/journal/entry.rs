//! What goes into the journal.

use entity::{delivery, event};
use openapi::deliveries::{Exchange, State};
use uuid::Uuid;

use crate::connectors::{Effect, Fault, LinkChange, RecordRef};

/// One request with its events, or the replay of an event.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The events, with the deliveries that the rules made of each. At least one.
    pub events: Vec<AcceptEvent>,
}

/// An event and its deliveries.
#[derive(Clone, Debug)]
pub struct AcceptEvent {
    /// The event as it will be stored; of a replay, as it is stored already.
    pub event: event::Model,
    /// Slug of its source, for the live feed.
    pub source: String,
    /// Names of the rules that took it, for the live feed.
    pub rules: Vec<String>,
    /// True: only the deliveries are new.
    pub replay: bool,
    /// What the rules made of it.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery to be written.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The row. The journal fills in state, lane order and lease of those that are `ready`.
    pub row: delivery::Model,
    /// Name of the connection, for the live feed.
    pub connection: String,
    /// For how many the row stands before others become part of it.
    stands_for: i32,
}

impl NewDelivery {
    /// A delivery that was not placed yet.
    pub const fn new(row: delivery::Model, connection: String) -> Self {
        let stands_for = row.repeats;
        Self {
            row,
            connection,
            stands_for,
        }
    }

    /// Takes its place back, after a commit that failed.
    pub fn unplace(&mut self) {
        super::place::unplace(&mut self.row);
        self.row.repeats = self.stands_for;
    }
}

/// The answer after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Ids of the events; for a repeat, those of the first time.
    pub event_ids: Vec<Uuid>,
    /// Correlation id; for a repeat, that of the first time.
    pub correlation_id: String,
    /// Ids of the deliveries that were written.
    pub delivery_ids: Vec<Uuid>,
    /// True: every event was here before.
    pub duplicate: bool,
}

/// What came of an attempt, as decided by the dispatcher.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The delivery as it was claimed, with its fence.
    pub claimed: delivery::Model,
    /// Name of the connection, for the live feed.
    pub connection: String,
    /// Revision of the connection that was called: what a change has mended must not be held
    /// against it.
    pub revision: i64,
    /// Since when the connection was in its state, as the call knew it; milliseconds since 1970. What
    /// a passed test or a person has mended since must not be held against it either.
    pub state_at: i64,
    /// When the attempt began, in milliseconds since 1970; none: no attempt was made.
    pub started_at: Option<i64>,
    /// How long it took.
    pub duration_ms: i64,
    /// The word of the outcome.
    pub outcome: &'static str,
    /// Where the delivery goes.
    pub next: NewState,
    /// What it did upstream.
    pub effect: Option<Effect>,
    /// The upstream record.
    pub record: Option<RecordRef>,
    /// The fault.
    pub fault: Option<Fault>,
    /// What the ledger should remember.
    pub link: LinkChange,
    /// Requests and responses.
    pub exchanges: Vec<Exchange>,
}

/// Where a delivery goes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewState {
    /// Done.
    Delivered,
    /// Again, not before so much time; `unsure` if the last attempt may have reached the upstream.
    Retrying {
        /// Milliseconds from when this is written: a clock that is set before that changes nothing.
        wait_ms: i64,
        /// See above.
        unsure: bool,
    },
    /// Given up.
    Dead,
    /// Given up, together with all that wait behind it in its lane.
    DeadWithLane,
    /// Failed for good, but it keeps its place: the lane waits for a person.
    Parked,
    /// The connection needs attention.
    Paused,
    /// Maintenance covers it.
    Windowed,
    /// Back as it was, without an attempt: this server stops, or may not work on it now.
    Ready,
}

impl NewState {
    /// Whether the delivery is set aside with its lane.
    pub const fn is_lane_parked(self) -> bool {
        matches!(self, NewState::DeadWithLane | NewState::Parked)
    }

    /// The state of the row.
    pub const fn state(self) -> State {
        match self {
            NewState::Delivered => State::Delivered,
            NewState::Retrying { .. } => State::Retrying,
            NewState::Dead | NewState::DeadWithLane => State::Dead,
            NewState::Parked => State::Parked,
            NewState::Paused => State::Paused,
            NewState::Windowed => State::Windowed,
            NewState::Ready => State::Ready,
        }
    }
}
