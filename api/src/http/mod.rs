//! The HTTP side: routes, problems, limits, documents.
//!
//! Invariant: whatever happens, the answer of a failed request is a problem document that carries
//! the request's id and repeats nothing of the request. What is not open to all stands behind
//! [`crate::auth::needs`], which comes before everything that reads the request. Stopping ends the
//! streams first, then waits for the requests in flight, each of which is committed or is not.

pub mod app;
pub mod console;
pub mod doc;
pub mod docs;
pub mod extract;
pub mod fallback;
pub mod finish;
pub mod health;
mod hooks;
pub mod problem;
pub mod routes;
mod scrapers;
mod server;
mod tls;
pub mod trace;

pub use doc::document;
pub use server::serve;
