//! The wire contract: what requests and answers look like, and the codes of problems.
//!
//! The server, the console and the tests share these types. Nothing here derives from a table.
//! Feature `schema` adds the OpenAPI derives; the console does without them.

pub mod account;
pub mod audit;
pub mod auth;
pub mod config;
pub mod connections;
pub mod credentials;
pub mod deliveries;
pub mod events;
pub mod jobs;
pub mod mail;
pub mod maintenance;
pub mod notices;
pub mod page;
pub mod passkeys;
pub mod people;
pub mod problem;
pub mod quotas;
pub mod retention;
pub mod roles;
pub mod rules;
pub mod sources;
pub mod stats;
pub mod stream;
pub mod webhooks;
pub mod workspaces;

/// A moment, RFC 3339 in UTC on the wire. Fields are written with this name, by which the schema
/// derive knows it.
pub type DateTime = chrono::DateTime<chrono::Utc>;

/// The same, under a shorter name.
pub type Time = DateTime;
