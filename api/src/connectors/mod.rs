//! Connectors: the code that speaks to upstreams.
//!
//! A connector says what happened; the dispatcher decides what happens next. A connector keeps no
//! state that a crash could lose: what must be remembered goes into the link that it returns.

mod common;
pub mod connectwise;
pub mod http;
mod outcome;
mod registry;
pub mod sandbox;
pub mod webhook;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use engine::rules::Action;
use openapi::connections::{Connector as Description, MetadataItem, TestResult};
use openapi::problem::FieldError;
use openapi::rules::PlannedRequest;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::Db;
use crate::egress::Egress;
use crate::secrets::Secret;

pub use outcome::{Census, Effect, Fault, LinkChange, OUTCOMES, Outcome, RecordRef, Report};
pub use registry::Registry;

/// Every connector of this server: the one place that lists them.
///
/// `egress` is how they call, `db` where the sandbox records, `clock` tells the time of signatures
/// and of what is cached.
pub fn standard(egress: Egress, db: Db, clock: Clock) -> Registry {
    Registry::new(vec![
        Arc::new(connectwise::ConnectWise::new(egress.clone(), clock.clone())),
        Arc::new(http::Http::new(egress.clone(), clock.clone())),
        Arc::new(sandbox::Sandbox::new(db, clock.clone())),
        Arc::new(webhook::Webhook::new(egress, clock)),
    ])
}

/// A connection as a connector sees it: settings in clear, secrets opened.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Id.
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Name that rules use.
    pub name: String,
    /// Kind of upstream.
    pub connector: String,
    /// Settings, as the connector's `validate` accepted them.
    pub settings: Value,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Whether private and loopback addresses may be called.
    pub allow_private: bool,
    /// Grows with every change; what is cached under an older one is stale.
    pub revision: i64,
    /// The settings in the connector's own shape, read at the first call.
    pub parsed: Parsed,
}

/// Settings that are read once for each revision of the configuration, not once for each call.
#[derive(Default)]
pub struct Parsed(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Parsed {
    /// What was read, or what `read` makes now. A fault is not kept.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn get_or_read<T: Any + Send + Sync, E>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(kept) = self.0.get()
            && let Ok(kept) = Arc::clone(kept).downcast()
        {
            return Ok(kept);
        }
        let made = Arc::new(read()?);
        // Another call may have been quicker; both made the same.
        let _ = self.0.set(Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        Ok(made)
    }
}

impl Clone for Parsed {
    /// Empty: whoever copies a connection may change its settings.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parsed")
    }
}

/// An operation to be carried out.
#[derive(Clone, Debug)]
pub struct Job {
    /// The delivery.
    pub delivery_id: Uuid,
    /// The same over all repeats; upstreams that take one get it as their idempotency key.
    pub message_id: String,
    /// Follows the event; for upstream headers and notes.
    pub correlation_id: String,
    /// What is asked, one of the connector's operations.
    pub operation: String,
    /// Record key.
    pub key: Option<String>,
    /// What the lifecycle decided.
    pub action: Option<Action>,
    /// The rendered fields.
    pub fields: Map<String, Value>,
    /// The upstream record that the key is tied to.
    pub link: Option<Link>,
    /// True: an earlier attempt may have reached the upstream; look before doing it again.
    pub unsure: bool,
    /// Which attempt this is, from 1. From the second on, part of the work may be done already.
    pub attempt: u32,
    /// How many notes this one stands for, itself included.
    pub repeats: u32,
    /// When the event was received.
    pub received_at: chrono::DateTime<chrono::Utc>,
}

/// The upstream record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Upstream record.
    pub record_id: String,
    /// Whether we last saw it open.
    pub open: bool,
}

/// The code that speaks to one kind of upstream.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Its name, its settings, what it can do. Drives forms, validation and the documentation.
    fn describe(&self) -> Description;

    /// Checks settings and the names of the secrets before they are saved; what is unknown is
    /// refused. Fields are named `settings.x` and `secrets.y`.
    fn validate(&self, settings: &Value, secrets: &[&str]) -> Vec<FieldError>;

    /// What is wrong with a secret before it is saved, where that can be told.
    fn validate_secret(&self, _name: &str, _secret: &str) -> Option<FieldError> {
        None
    }

    /// A new secret by its name, where we and not the upstream choose it.
    fn new_secret(&self) -> Option<(&'static str, String)> {
        None
    }

    /// Checks an operation of a rule before it is saved: known operation, key where one is needed,
    /// no unknown or missing field. Fields are named relative to the operation, as `map.summary`.
    fn validate_operation(&self, operation: &engine::model::OperationSpec) -> Vec<FieldError>;

    /// The requests that `execute` would send, secrets masked, without sending anything. Where it
    /// looks first, each request says in `note` when it is sent.
    fn plan(&self, connection: &Connection, job: &Job) -> Vec<PlannedRequest>;

    /// Carries the operation out. Never panics; takes no longer than its own timeouts allow.
    async fn execute(&self, connection: &Connection, job: &Job) -> Report;

    /// Which of these linked records are there, by few calls that only read. Asked when one of them is
    /// gone, to see whether it is the only one.
    async fn census(&self, _connection: &Connection, records: &[String]) -> Census {
        Census {
            there: Ok(records.iter().cloned().collect()),
            exchanges: Vec::new(),
        }
    }

    /// Whether the upstream answers and accepts the credentials.
    async fn test(&self, connection: &Connection) -> TestResult;

    /// A list of the upstream to choose values from, all pages. `filter` narrows it, as
    /// `board=Service Board` does for statuses.
    ///
    /// # Errors
    /// A fault of the upstream, or an unknown list.
    async fn metadata(
        &self,
        connection: &Connection,
        list: &str,
        filter: &BTreeMap<String, String>,
    ) -> Result<Vec<MetadataItem>, Fault>;
}
