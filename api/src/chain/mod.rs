//! The chain of the audit log: each line has a number and a hash over itself and the line before it,
//! so that a line that was changed, taken out or put in between is found.
//!
//! Invariant: within a workspace the numbers have no gap, and each hash covers the one before it.
//! Lines are written without number and hash in the transaction of the change they tell of, so that
//! no change waits for another. Soon after, [`keep`] on any node lets them join in the order of
//! their ids; the end of the chain is a row that only moves on from where it was seen (a
//! compare-and-set within the transaction), so two nodes never continue the same place.
//!
//! Failure: a node that loses the race rolls back and looks again. A crash leaves lines that have
//! not joined; the next look of any node takes them. Lines that retention deletes are always the
//! first of the chain; its anchor, the number and hash of the last of them, moves in the same
//! transaction.

mod anchor;
mod hash;
mod link;
mod verify;

pub use anchor::{Cut, cut, move_anchor};
pub use link::keep;
pub use verify::{Break, Kept, Known, Report, compare, verify};
