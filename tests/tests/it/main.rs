//! Every test that crosses crates: the crates' arrows, the real binary with real databases and fake
//! upstreams, and the oracle that looks for lost events.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrows;
mod oracle;
mod support;
mod tickets;
