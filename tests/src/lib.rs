//! The harness: a real server process, clients that speak its contract, fake upstreams, builders.
//!
//! A test starts what it needs and everything it started ends with it, also when it panics. Nothing
//! here sleeps for a fixed time: a test waits for a condition, with a deadline that fails it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test helper fails by panicking"
)]

pub mod bench;
pub mod books;
pub mod client;
pub mod cluster;
pub mod database;
pub mod disk;
pub mod fakes;
pub mod passkey;
pub mod phone;
pub mod proxy;
pub mod redis;
pub mod server;
pub mod signing;
pub mod stream;
mod stuck;
pub mod wait;
pub mod yaml;

pub use books::{Books, Receipt};
pub use client::{Answer, Client};
pub use cluster::Cluster;
pub use database::Database;
pub use proxy::Proxy;
pub use server::{Options, Server};
pub use wait::{wait_until, wait_until_within};

/// Runs a test on SQLite and on PostgreSQL.
///
/// ```ignore
/// both! {
///     async fn an_alert_becomes_a_ticket(db) { let server = Server::start(db).await; }
/// }
/// ```
#[macro_export]
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "not every test needs all")]
            use super::*;

            async fn body($db: $crate::Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body($crate::Database::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(db) = $crate::Database::postgres() {
                    body(db).await;
                }
            }
        }
    )*};
}
