//! The console, used as a person uses it: in a real browser, against the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod browser;
mod credentials;
mod maintenance;
mod pages;
mod passkeys;
mod people;
mod retries;
mod waiting;
mod workspaces;
