//! What every part of the server is handed: the shared services, once each.

use std::sync::Arc;

use crate::auth::{Providers, Uses};
use crate::clock::Clock;
use crate::connectors::Registry;
use crate::db::Db;
use crate::dispatch;
use crate::egress::Egress;
use crate::heartbeat::Beats;
use crate::journal;
use crate::limits::Limits;
use crate::live::Hub;
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::quota::Daily;
use crate::redis::Redis;
use crate::secrets::Keyring;
use crate::settings::Settings;
use crate::snapshot::Snapshots;

/// The shared services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core {
    /// The settings of this process.
    pub settings: Arc<Settings>,
    /// A name for the installation that its nodes share.
    pub installation: Arc<str>,
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// The keys.
    pub keyring: Keyring,
    /// The connectors.
    pub registry: Registry,
    /// The one way out.
    pub egress: Egress,
    /// The compiled configuration.
    pub snapshots: Snapshots,
    /// The only writer of the hot path.
    pub journal: journal::Handle,
    /// The carrier of deliveries.
    pub dispatch: dispatch::Handle,
    /// Events of the day of workspaces that have a limit.
    pub daily: Daily,
    /// When sources were heard.
    pub beats: Beats,
    /// When credentials were used.
    pub uses: Uses,
    /// What this node knows of the others.
    pub nodes: Nodes,
    /// Who watches.
    pub live: Hub,
    /// What is shared for speed, if it is set.
    pub redis: Redis,
    /// Rates and failed sign-ins, over all nodes.
    pub limits: Limits,
    /// Who people sign in with.
    pub providers: Providers,
    /// Mail to people.
    pub mail: Mail,
    /// What is counted.
    pub metrics: Metrics,
}
