//! The configuration in memory: sources with opened secrets, connections, compiled rules.
//!
//! Invariant: a reader sees one revision, whole. A change in the database raises its revision;
//! every node looks several times a second and loads anew. A part that cannot be loaded (a rule
//! that no longer compiles, a secret that cannot be opened) is set apart and named in the log; the
//! rest is served. Nothing here outlives the process.

mod load;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::model::MatchMode;
use engine::path::JsonPath;
use engine::retry::RetryPolicy;
use engine::rules::{CompiledNoMatch, RuleSet};
use engine::signature::Scheme;
use ipnet::IpNet;
use openapi::connections::RetrySettings;
use openapi::stream::Message;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connectors;
use crate::db::Db;
use crate::dispatch;
use crate::lifecycle::Subscription;
use crate::live::Hub;
use crate::secrets::Keyring;

pub use load::place_of;

/// How often the revision is looked at.
const LOOK: Duration = Duration::from_millis(250);

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
    /// Where the payload carries the sender's delivery id.
    pub event_id_path: Option<JsonPath>,
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
    /// Calls at once.
    pub concurrency: Option<usize>,
    /// Calls a minute.
    pub rate_per_minute: Option<u32>,
    retry: RetrySettings,
}

impl ConnectionConfig {
    /// Its retry policy, on top of the server's.
    pub fn retry(&self, default: &RetryPolicy) -> RetryPolicy {
        let seconds = |given: Option<f64>, or: Duration| {
            given
                .and_then(|s| Duration::try_from_secs_f64(s).ok())
                .unwrap_or(or)
        };
        RetryPolicy {
            first: seconds(self.retry.first_seconds, default.first),
            factor: self.retry.factor.unwrap_or(default.factor),
            max: seconds(self.retry.max_seconds, default.max),
            horizon: seconds(self.retry.horizon_seconds, default.horizon),
            jitter: default.jitter,
        }
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
        let snapshot = load::load(&self.0.db, &self.0.keyring, revision).await?;
        for connection in snapshot.connections.values() {
            if connection.attention {
                self.0.dispatch.needs_attention_known(connection.view.id);
            } else {
                self.0.dispatch.attention_over(connection.view.id);
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

    /// Keeps what is served up to date until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.cancelled() => return,
            }
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "The configuration could not be looked at.");
            }
        }
    }
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshots({})", self.0.current.load().revision)
    }
}
