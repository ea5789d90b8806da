//! The Signalbox server, its workers and its command line.
//!
//! The folders follow the way of an event: `http` and `ingest` take it in, `journal` makes it
//! durable, `dispatch` carries it out through `connectors` and `egress`, `live` tells who watches.

pub mod auth;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config_file;
pub mod connectors;
pub mod core;
pub mod db;
pub mod dispatch;
pub mod egress;
pub mod heartbeat;
pub mod http;
pub mod ids;
pub mod ingest;
pub mod journal;
pub mod lifecycle;
pub mod limits;
pub mod live;
pub mod mail;
pub mod maintenance;
pub mod mask;
pub mod metrics;
pub mod nodes;
pub mod quota;
pub mod redis;
pub mod request;
pub mod retention;
pub mod runtime;
pub mod schedule;
pub mod scope;
pub mod secrets;
pub mod services;
pub mod settings;
pub mod snapshot;
