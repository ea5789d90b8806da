//! Replaying: dead letters, parked deliveries and events, from the original bytes.
//!
//! A replay goes through the journal like an event: what is made and what it replaces are one
//! transaction. So a piece of a job that is begun twice, after a crash or by two nodes, finds what
//! it has done before and makes nothing twice; what it has not done is still there. Rows are taken
//! oldest first and get new, growing ids, so the order within a lane stays; a lane that was set aside
//! is taken whole. The counters of a job may miss a piece that a crash cut off between its commit and
//! theirs; the rows never do.

mod dead;
mod export;
mod heads;
mod lanes;
mod make;
mod pace;
mod parked;
mod piece;
mod preview;
mod query;
mod steps;

pub use dead::{AT_ONCE, DiscardWorker, ReplayWorker, discard, replay};
pub use export::export;
pub use heads::{HeadsWorker, retry_heads};
pub use make::event;
pub use parked::{ReleaseWorker, release};
pub use preview::preview;
pub use query::{dead_query, lane_query, parked_query};
