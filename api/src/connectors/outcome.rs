//! What came of a call.

use std::collections::HashSet;
use std::time::Duration;

use openapi::deliveries::Exchange;

/// What a connector reports of one attempt.
#[derive(Clone, Debug)]
pub struct Report {
    /// What came of it.
    pub outcome: Outcome,
    /// What the ledger should remember.
    pub link: LinkChange,
    /// Requests and responses, masked and cut.
    pub exchanges: Vec<Exchange>,
}

impl Report {
    /// Whether the linked record is gone and nothing was written yet: without the link the operation
    /// would look for another, and make one if there is none.
    pub fn is_ghost(&self) -> bool {
        matches!(self.outcome, Outcome::Gone(_)) && self.link == LinkChange::Clear
    }
}

/// Which upstream records are there.
#[derive(Clone, Debug)]
pub struct Census {
    /// The ids of those that are, or why that could not be learnt.
    pub there: Result<HashSet<String>, Outcome>,
    /// Requests and responses, masked and cut.
    pub exchanges: Vec<Exchange>,
}

/// What came of it. The dispatcher decides what happens next.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done.
    Delivered {
        /// What it did upstream.
        effect: Effect,
        /// The upstream record, where there is one.
        record: Option<RecordRef>,
    },
    /// It did not reach the upstream, or the upstream said "later".
    Retry {
        /// Not before.
        after: Option<Duration>,
        /// Why.
        fault: Fault,
    },
    /// It may or may not have happened; look before doing it again.
    Unknown(Fault),
    /// The upstream refuses this request for good.
    Permanent(Fault),
    /// The record is gone and could not be replaced. With [`LinkChange::Clear`] it is the linked one,
    /// and nothing was written: the dispatcher decides whether that is to be believed.
    Gone(Fault),
    /// The upstream's schema no longer fits the rule.
    SchemaDrift(Fault),
    /// The credentials are refused: the connection needs attention.
    AuthFailed(Fault),
    /// Too many calls.
    RateLimited {
        /// As the upstream said.
        after: Option<Duration>,
        /// Why.
        fault: Fault,
    },
}

/// The words of all outcomes.
pub const OUTCOMES: [&str; 8] = [
    "delivered",
    "retry",
    "unknown",
    "permanent",
    "gone",
    "schema_drift",
    "auth_failed",
    "rate_limited",
];

impl Outcome {
    /// The word in the log of attempts.
    pub const fn word(&self) -> &'static str {
        match self {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Unknown(_) => "unknown",
            Outcome::Permanent(_) => "permanent",
            Outcome::Gone(_) => "gone",
            Outcome::SchemaDrift(_) => "schema_drift",
            Outcome::AuthFailed(_) => "auth_failed",
            Outcome::RateLimited { .. } => "rate_limited",
        }
    }

    /// The fault, if it is one.
    pub const fn fault(&self) -> Option<&Fault> {
        match self {
            Outcome::Delivered { .. } => None,
            Outcome::Retry { fault, .. } | Outcome::RateLimited { fault, .. } => Some(fault),
            Outcome::Unknown(fault)
            | Outcome::Permanent(fault)
            | Outcome::Gone(fault)
            | Outcome::SchemaDrift(fault)
            | Outcome::AuthFailed(fault) => Some(fault),
        }
    }
}

/// What an operation did upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A record was created.
    Created,
    /// A record was changed.
    Updated,
    /// A note was added.
    Noted,
    /// A record was closed.
    Closed,
    /// A request or message was sent.
    Sent,
    /// There was nothing to do, as with the close of a record that never was.
    None,
}

impl Effect {
    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Effect::Created => "created",
            Effect::Updated => "updated",
            Effect::Noted => "noted",
            Effect::Closed => "closed",
            Effect::Sent => "sent",
            Effect::None => "none",
        }
    }
}

/// Why it did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable code, by which dead letters are grouped: `http_400`, `connect`, `timeout` …
    pub code: String,
    /// For people; no secrets, at most 500 characters.
    pub message: String,
    /// Last HTTP status.
    pub status: Option<u16>,
}

/// An upstream record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Its id upstream.
    pub id: String,
    /// Its address for people.
    pub url: Option<String>,
}

/// What the ledger should remember of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkChange {
    /// As it was.
    #[default]
    Keep,
    /// The key is tied to this record now.
    Set {
        /// The record.
        record: RecordRef,
        /// Whether it is open.
        open: bool,
    },
    /// The key is tied to nothing.
    Clear,
}
