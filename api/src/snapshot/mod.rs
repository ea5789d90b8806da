//! The configuration in memory: sources with opened secrets, connections, compiled rules.
//!
//! Invariant: a reader sees one revision, whole. A change in the database raises its revision;
//! every node is told, looks several times a second besides, and loads anew. A part that cannot be
//! loaded (a rule
//! that no longer compiles, a secret that cannot be opened) is set apart and named in the log; the
//! rest is served. Nothing here outlives the process.

mod load;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::lane::OnFailure;
use engine::model::MatchMode;
use engine::path::JsonPath;
use engine::retry::RetryPolicy;
use engine::rules::{CompiledNoMatch, RuleSet};
use engine::signature::Scheme;
use engine::split::Split;
use engine::status::Statuses;
use ipnet::IpNet;
use openapi::connections::RetrySettings;
use openapi::stream::Message;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connectors;
use crate::db::{Db, Outage};
use crate::dispatch;
use crate::lifecycle::Subscription;
use crate::live::Hub;
use crate::maintenance;
use crate::secrets::Keyring;

pub use load::{compile, load, revision};

/// How often the revision is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Where a request carries the sender's delivery id.
#[derive(Clone, Debug)]
pub enum SenderId {
    /// Nowhere.
    None,
    /// In a header.
    Header(&'static str),
    /// In the payload.
    Path(JsonPath),
}

/// A source, ready to receive.
#[derive(Debug)]
pub struct SourceConfig {
    /// Id.
    pub id: Uuid,
    /// The same as text: the engine's name for it.
    pub id_text: String,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Name in the address.
    pub slug: String,
    /// False: requests are refused.
    pub enabled: bool,
    /// How requests are authenticated.
    pub scheme: Scheme,
    /// Secrets that are valid now.
    pub secrets: Vec<engine::secret::Secret>,
    /// The token of the address at which a sender may tell its secret.
    pub registration: Option<engine::secret::Secret>,
    /// Networks that may send; empty: any.
    pub allow_cidrs: Vec<IpNet>,
    /// Requests a minute.
    pub rate_per_minute: Option<u32>,
    /// Bytes of a body.
    pub body_limit: Option<usize>,
    /// First match or all matches.
    pub match_mode: MatchMode,
    /// What becomes of an event that no rule takes.
    pub no_match: CompiledNoMatch,
    /// Where a request carries the sender's delivery id.
    pub sender_id: SenderId,
    /// How one request becomes many events.
    pub split: Option<Split>,
}

/// A connection, ready to be called.
#[derive(Debug)]
pub struct ConnectionConfig {
    /// As its connector sees it.
    pub view: connectors::Connection,
    /// False: its deliveries wait.
    pub enabled: bool,
    /// True: its credentials are refused.
    pub attention: bool,
    /// Since when it is in its state; milliseconds since 1970, later with each change of it.
    pub state_at: i64,
    /// Calls at once.
    pub concurrency: Option<usize>,
    /// Calls a minute.
    pub rate_per_minute: Option<u32>,
    /// What becomes of a lane whose head fails for good.
    pub on_failure: OnFailure,
    /// True: notes that wait in a lane become one.
    pub coalesce: bool,
    retry: RetrySettings,
    policy: OnceLock<Arc<RetryPolicy>>,
}

impl ConnectionConfig {
    /// Its retry policy, on top of the server's, which is the same at every call.
    pub fn retry(&self, default: &RetryPolicy) -> &Arc<RetryPolicy> {
        self.policy
            .get_or_init(|| Arc::new(retry_policy(&self.retry, default)))
    }

    /// What the journal has to know of it.
    pub const fn lanes(&self) -> dispatch::LanePolicy {
        dispatch::LanePolicy {
            on_failure: self.on_failure,
            coalesce: self.coalesce,
        }
    }
}

/// A retry policy: what a connection says, and the server's for the rest. What was stored has been
/// checked; a part that cannot be read is the server's.
pub fn retry_policy(own: &RetrySettings, default: &RetryPolicy) -> RetryPolicy {
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let seconds = |given: Option<f64>, or: Duration| given.and_then(duration).unwrap_or(or);
    RetryPolicy {
        first: seconds(own.first_seconds, default.first),
        factor: own.factor.unwrap_or(default.factor),
        max: seconds(own.max_seconds, default.max),
        horizon: seconds(own.horizon_seconds, default.horizon),
        jitter: own.jitter.unwrap_or(default.jitter),
        waits: own
            .waits_seconds
            .iter()
            .copied()
            .filter_map(duration)
            .collect(),
        asked_max: seconds(own.retry_after_max_seconds, default.asked_max),
        permanent: Statuses::parse(&own.permanent).unwrap_or_default(),
        retried: Statuses::parse(&own.retried).unwrap_or_default(),
    }
}

/// The rules of a workspace.
#[derive(Debug)]
pub struct WorkspaceConfig {
    /// Id.
    pub id: Uuid,
    /// Name in addresses.
    pub slug: String,
    /// Compiled.
    pub rules: RuleSet,
    /// Revision of each rule, by the engine's name for it.
    pub revisions: HashMap<String, (Uuid, i64)>,
    /// Connections by the name that rules use.
    pub connections: HashMap<String, Uuid>,
    /// Windows and the switch.
    pub maintenance: Arc<maintenance::Plan>,
    /// Events that may be accepted in a day; none: no limit.
    pub events_per_day: Option<u64>,
}

/// One revision of the whole configuration.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Its number.
    pub revision: i64,
    workspaces: HashMap<Uuid, Arc<WorkspaceConfig>>,
    workspace_slugs: HashMap<String, Uuid>,
    first_workspace: Option<Uuid>,
    sources: HashMap<Uuid, Arc<SourceConfig>>,
    source_slugs: HashMap<(Uuid, String), Uuid>,
    connections: HashMap<Uuid, Arc<ConnectionConfig>>,
    subscriptions: HashMap<Uuid, Vec<Subscription>>,
}

impl Snapshot {
    /// A workspace.
    pub fn workspace(&self, id: Uuid) -> Option<&Arc<WorkspaceConfig>> {
        self.workspaces.get(&id)
    }

    /// All workspaces.
    pub fn workspaces(&self) -> impl Iterator<Item = &Arc<WorkspaceConfig>> {
        self.workspaces.values()
    }

    /// A workspace by its name in addresses.
    pub fn workspace_by_slug(&self, slug: &str) -> Option<&Arc<WorkspaceConfig>> {
        self.workspaces.get(self.workspace_slugs.get(slug)?)
    }

    /// The oldest workspace: where short addresses lead.
    pub fn first_workspace(&self) -> Option<&Arc<WorkspaceConfig>> {
        self.workspaces.get(&self.first_workspace?)
    }

    /// A source.
    pub fn source(&self, id: Uuid) -> Option<&Arc<SourceConfig>> {
        self.sources.get(&id)
    }

    /// A source by its name in addresses.
    pub fn source_by_slug(&self, workspace: Uuid, slug: &str) -> Option<&Arc<SourceConfig>> {
        self.sources
            .get(self.source_slugs.get(&(workspace, slug.to_owned()))?)
    }

    /// A connection.
    pub fn connection(&self, id: Uuid) -> Option<Arc<ConnectionConfig>> {
        self.connections.get(&id).cloned()
    }

    /// Who wants to be told what happens in a workspace.
    pub fn subscriptions(&self, workspace: Uuid) -> &[Subscription] {
        self.subscriptions
            .get(&workspace)
            .map_or(&[], Vec::as_slice)
    }

    /// Whether anybody wants to be told anything.
    pub fn has_subscriptions(&self) -> bool {
        !self.subscriptions.is_empty()
    }

    /// All connections.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<ConnectionConfig>> {
        self.connections.values()
    }
}

struct Shared {
    db: Db,
    keyring: Keyring,
    dispatch: dispatch::Handle,
    live: Hub,
    current: ArcSwap<Snapshot>,
    loading: Mutex<()>,
    look: Notify,
}

/// The configuration that is served. Cheap to clone.
#[derive(Clone)]
pub struct Snapshots(Arc<Shared>);

impl Snapshots {
    /// Nothing loaded yet.
    pub fn new(db: Db, keyring: Keyring, dispatch: dispatch::Handle, live: Hub) -> Self {
        Self(Arc::new(Shared {
            db,
            keyring,
            dispatch,
            live,
            current: ArcSwap::default(),
            loading: Mutex::new(()),
            look: Notify::new(),
        }))
    }

    /// What is served now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }

    /// Loads the configuration if it has changed, and notes on this node's row what it serves.
    /// After it returns, a change that was committed before the call is served.
    ///
    /// # Errors
    /// The database did not answer; what was served before still is.
    pub async fn refresh(&self) -> Result<(), DbErr> {
        let _one_at_a_time = self.0.loading.lock().await;
        let revision = load::revision(&self.0.db).await?;
        if revision == self.0.current.load().revision {
            return Ok(());
        }
        let snapshot = load(&self.0.db, &self.0.keyring, revision).await?;
        let before = self.current();
        for connection in snapshot.connections.values() {
            self.0
                .dispatch
                .configure(connection.view.id, connection.lanes());
            if connection.attention {
                self.0.dispatch.needs_attention_known(connection.view.id);
            } else {
                let view = &connection.view;
                let known = before.connection(view.id).map(|c| c.view.revision);
                let repaired = known != Some(view.revision);
                self.0.dispatch.attention_over(view.id, repaired);
            }
        }
        let workspaces: Vec<Uuid> = snapshot.workspaces.keys().copied().collect();
        self.0.current.store(Arc::new(snapshot));
        for workspace in workspaces {
            self.0
                .live
                .publish(workspace, Message::Configuration { revision });
        }
        use entity::node;
        node::Entity::update_many()
            .col_expr(
                node::Column::ConfigRevision,
                sea_orm::sea_query::Expr::val(revision),
            )
            .filter(node::Column::Id.eq(self.0.dispatch.node()))
            .exec(self.0.db.write())
            .await?;
        Ok(())
    }

    /// Says that there may be a new revision: it is looked for at once.
    pub fn look(&self) {
        self.0.look.notify_one();
    }

    /// Keeps what is served up to date until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut outage = Outage::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.0.look.notified() => {}
                () = shutdown.cancelled() => return,
            }
            match self.refresh().await {
                Ok(()) => outage.over(),
                Err(error) => outage.failed("The configuration could not be looked at.", &error),
            }
        }
    }
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshots({})", self.0.current.load().revision)
    }
}
