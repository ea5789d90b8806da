//! The shape of the tables, and nothing else: no query, no rule.
//!
//! Times are milliseconds since 1970 in UTC, so that both databases compare them as numbers.
//! Ids are time-ordered UUIDs. JSON is text that the owner of the column reads and writes.

pub mod archive_file;
pub mod attempt;
pub mod audit;
pub mod audit_chain;
pub mod breaker;
pub mod ceremony;
pub mod connection;
pub mod credential;
pub mod credential_secret;
pub mod delivery;
pub mod event;
pub mod identity;
pub mod invitation;
pub mod job;
pub mod link;
pub mod mail;
pub mod maintenance_switch;
pub mod maintenance_window;
pub mod member;
pub mod meta;
pub mod node;
pub mod passkey;
pub mod recovery_code;
pub mod refusal;
pub mod registration;
pub mod retention;
pub mod retention_run;
pub mod role;
pub mod rule;
pub mod rule_revision;
pub mod sandbox_record;
pub mod sealed_secret;
pub mod self_registration;
pub mod session;
pub mod source;
pub mod source_beat;
pub mod source_silence;
pub mod stat_hour;
pub mod timer;
pub mod user;
pub mod user_token;
pub mod workspace;
pub mod workspace_quota;
