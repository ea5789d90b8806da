//! Every test that crosses crates: the crates' arrows, the real binary with real databases and fake
//! upstreams, and the oracle that looks for lost events.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and the oracle says its seed"
)]

mod access;
mod arrows;
mod config;
mod contract;
mod failures;
mod ingest;
mod live;
mod oracle;
mod process;
mod retention;
mod routing;
mod script;
mod support;
mod tickets;
mod webhooks;
