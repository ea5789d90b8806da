//! Use cases: what the API and the command line do. Each owns its checks and its transaction.
//!
//! Every function takes the [`Scope`](crate::scope::Scope) of its caller and touches nothing
//! outside it. A change of configuration is served by this node before the function returns.

pub mod actions;
pub mod aside;
pub mod audit;
pub mod change;
pub mod connections;
pub mod credentials;
pub mod cursor;
pub mod deliveries;
pub mod events;
pub mod explain;
pub mod jobs;
pub mod lanes;
pub mod maintenance;
pub mod names;
pub mod notices;
pub mod people;
pub mod queue;
pub mod quotas;
pub mod replay;
pub mod roles;
pub mod rules;
pub mod sealed;
pub mod sources;
pub mod stats;
pub mod validate;
pub mod workspaces;
