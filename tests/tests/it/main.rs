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
mod aside;
mod audit;
mod carriers;
mod clients;
mod clocks;
mod config;
mod contract;
mod credentials;
mod credentials_docs;
mod credentials_signed;
mod egress;
mod failures;
mod fairness;
mod fanout;
mod github;
mod hardening;
mod heartbeat;
mod ingest;
mod keys;
mod lanes;
mod leases;
mod live;
mod mail;
mod maintenance;
mod matrix;
mod nodes;
mod numbers;
mod oracle;
mod outage;
mod passkeys;
mod people;
mod pressure;
mod process;
mod rates;
mod refusals;
mod registration;
mod replay_done;
mod replay_lanes;
mod replay_rules;
mod replays;
mod retention;
mod retention_archive;
mod retention_limits;
mod retention_replays;
mod retention_size;
mod retries;
mod revisions;
mod roles;
mod routing;
mod scale;
mod schedule;
mod script;
mod second_factor;
mod secrets;
mod source_secrets;
mod sso;
mod support;
mod tickets;
mod upgrade;
mod webhooks;
mod workspaces;
