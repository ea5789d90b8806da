//! Reading one revision from the database.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use engine::lane::OnFailure;
use engine::path::JsonPath;
use engine::rules::{CompiledNoMatch, RuleInput, RuleSet};
use engine::signature::{IdempotencyKey, Scheme};
use engine::split::Split;
use engine::window::Window;
use entity::{
    connection, maintenance_switch, maintenance_window, meta, rule, sealed_secret, source,
    workspace, workspace_quota,
};
use openapi::maintenance::WindowMode;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{ConnectionConfig, SenderId, Snapshot, SourceConfig, WorkspaceConfig};
use crate::connectors;
use crate::db::Db;
use crate::lifecycle::Subscription;
use crate::maintenance::{Members, Plan, Planned};
use crate::secrets::{Keyring, Secret};
use crate::services::quotas;
use crate::services::sealed::{HANDSHAKE_SECRET, SOURCE_SECRET, place_of};

/// The revision in the database.
pub async fn revision(db: &Db) -> Result<i64, DbErr> {
    Ok(meta::Entity::find_by_id("config_revision")
        .one(db.read())
        .await?
        .map_or(0, |row| row.value))
}

/// Secrets of an owner by name; the current one before one that is being rotated out.
type Secrets = HashMap<Uuid, BTreeMap<String, Vec<Secret>>>;

/// Reads everything. Rows that are newer than `revision` do no harm: the next look loads again.
pub async fn load(db: &Db, keyring: &Keyring, revision: i64) -> Result<Snapshot, DbErr> {
    let read = db.read();
    let secrets = open(
        keyring,
        sealed_secret::Entity::find()
            .filter(sealed_secret::Column::OwnerKind.is_in(["source", "connection"]))
            .order_by_asc(sealed_secret::Column::Slot)
            .all(read)
            .await?,
    );
    let mut snapshot = Snapshot {
        revision,
        ..Snapshot::default()
    };
    let mut names: HashMap<Uuid, HashMap<String, Uuid>> = HashMap::new();
    for row in connection::Entity::find().all(read).await? {
        names
            .entry(row.workspace_id)
            .or_default()
            .insert(row.name.clone(), row.id);
        if let Some(config) = connection_config(row, &secrets) {
            if let Some(subscription) = Subscription::of(&config.view).filter(|_| config.enabled) {
                snapshot
                    .subscriptions
                    .entry(config.view.workspace_id)
                    .or_default()
                    .push(subscription);
            }
            snapshot
                .connections
                .insert(config.view.id, Arc::new(config));
        }
    }
    let workspaces = workspace::Entity::find()
        .order_by_asc(workspace::Column::CreatedAt)
        .order_by_asc(workspace::Column::Id)
        .all(read)
        .await?;
    let shut: HashSet<Uuid> = workspaces
        .iter()
        .filter(|row| row.deleting_at.is_some())
        .map(|row| row.id)
        .collect();
    for row in source::Entity::find().all(read).await? {
        if shut.contains(&row.workspace_id) {
            continue;
        }
        if let Some(config) = source_config(row, &secrets) {
            snapshot
                .source_slugs
                .insert((config.workspace_id, config.slug.clone()), config.id);
            snapshot.sources.insert(config.id, Arc::new(config));
        }
    }
    let mut rules: HashMap<Uuid, Vec<rule::Model>> = HashMap::new();
    for row in rule::Entity::find()
        .order_by_asc(rule::Column::Seq)
        .all(read)
        .await?
    {
        rules.entry(row.workspace_id).or_default().push(row);
    }
    let mut plans = plans(read).await?;
    let limits: HashMap<Uuid, u64> = workspace_quota::Entity::find()
        .all(read)
        .await?
        .iter()
        .filter_map(|row| Some((row.workspace_id, quotas::spec_of(row).events_per_day?)))
        .collect();
    for row in workspaces {
        snapshot.first_workspace.get_or_insert(row.id);
        snapshot.workspace_slugs.insert(row.slug.clone(), row.id);
        let mut config = compile(
            row.id,
            &row.slug,
            rules.remove(&row.id).unwrap_or_default(),
            names.remove(&row.id).unwrap_or_default(),
            Arc::new(plans.remove(&row.id).unwrap_or_default()),
        );
        config.events_per_day = limits.get(&row.id).copied();
        snapshot.workspaces.insert(row.id, Arc::new(config));
    }
    Ok(snapshot)
}

fn open(keyring: &Keyring, rows: Vec<sealed_secret::Model>) -> Secrets {
    let mut secrets = Secrets::new();
    for row in rows {
        match keyring.open(&place_of(&row), &row.key_id, &row.sealed) {
            Ok(secret) => secrets
                .entry(row.owner_id)
                .or_default()
                .entry(row.name)
                .or_default()
                .push(secret),
            Err(error) => {
                tracing::error!(%error, owner.kind = %row.owner_kind, owner.id = %row.owner_id, "A secret cannot be opened; its owner goes without.");
            }
        }
    }
    secrets
}

fn parsed<T: DeserializeOwned>(what: &str, id: Uuid, text: &str) -> Option<T> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(%error, %id, what, "A stored value cannot be read."))
        .ok()
}

fn connection_config(row: connection::Model, secrets: &Secrets) -> Option<ConnectionConfig> {
    let own = secrets.get(&row.id);
    Some(ConnectionConfig {
        enabled: row.enabled,
        attention: row.state != "ok",
        state_at: row.state_at,
        concurrency: row.concurrency.and_then(|n| usize::try_from(n).ok()),
        rate_per_minute: row.rate_per_minute.and_then(|n| u32::try_from(n).ok()),
        on_failure: OnFailure::parse(&row.on_failure).unwrap_or_default(),
        coalesce: row.coalesce,
        retry: parsed("connection.retry", row.id, &row.retry)?,
        policy: OnceLock::new(),
        view: connectors::Connection {
            settings: parsed("connection.settings", row.id, &row.settings)?,
            secrets: own
                .into_iter()
                .flatten()
                .filter_map(|(name, all)| Some((name.clone(), all.first()?.clone())))
                .collect(),
            id: row.id,
            workspace_id: row.workspace_id,
            name: row.name,
            connector: row.connector,
            allow_private: row.allow_private,
            revision: row.revision,
            parsed: connectors::Parsed::default(),
        },
    })
}

fn source_config(row: source::Model, secrets: &Secrets) -> Option<SourceConfig> {
    let no_match = CompiledNoMatch::compile(&parsed("source.on_no_match", row.id, &row.on_no_match)?)
        .inspect_err(|faults| tracing::error!(source.id = %row.id, ?faults, "A default target cannot be compiled."))
        .ok()?;
    let scheme: Scheme = parsed("source.auth", row.id, &row.auth)?;
    let sender_id = sender_id(row.event_id_path.as_deref(), &scheme)
        .inspect_err(|error| tracing::error!(source.id = %row.id, %error, "The path of the delivery id cannot be read."))
        .ok()?;
    let split = match &row.split {
        None => None,
        Some(text) => Some(
            Split::compile(&parsed("source.split", row.id, text)?)
                .inspect_err(|faults| tracing::error!(source.id = %row.id, ?faults, "The way into many events cannot be read."))
                .ok()?,
        ),
    };
    let own = secrets.get(&row.id);
    let named = |name: &str| -> Vec<engine::secret::Secret> {
        own.and_then(|own| own.get(name))
            .into_iter()
            .flatten()
            .map(|s| engine::secret::Secret::new(s.reveal().as_bytes()))
            .collect()
    };
    let told = matches!(scheme, Scheme::Asana(_));
    Some(SourceConfig {
        scheme,
        allow_cidrs: parsed("source.allow_cidrs", row.id, &row.allow_cidrs)?,
        match_mode: parsed(
            "source.match_mode",
            row.id,
            &format!("\"{}\"", row.match_mode),
        )?,
        secrets: named(if told {
            HANDSHAKE_SECRET
        } else {
            SOURCE_SECRET
        }),
        registration: if told {
            named(SOURCE_SECRET).into_iter().next()
        } else {
            None
        },
        id_text: row.id.to_string(),
        id: row.id,
        workspace_id: row.workspace_id,
        slug: row.slug,
        enabled: row.enabled,
        rate_per_minute: row.rate_per_minute.and_then(|n| u32::try_from(n).ok()),
        body_limit: row.body_limit.and_then(|n| usize::try_from(n).ok()),
        no_match,
        sender_id,
        split,
    })
}

/// From the path that the source names, else where its preset says.
fn sender_id(path: Option<&str>, scheme: &Scheme) -> Result<SenderId, engine::Fault> {
    let known = scheme.preset().and_then(|preset| preset.idempotency_key);
    match (path, known) {
        (Some(path), _) => Ok(SenderId::Path(JsonPath::parse(path)?)),
        (None, Some(IdempotencyKey::Header(name))) => Ok(SenderId::Header(name)),
        (None, Some(IdempotencyKey::Path(path))) => Ok(SenderId::Path(JsonPath::parse(path)?)),
        (None, None) => Ok(SenderId::None),
    }
}

/// The maintenance of each workspace.
async fn plans(read: &impl ConnectionTrait) -> Result<HashMap<Uuid, Plan>, DbErr> {
    let mut plans: HashMap<Uuid, Plan> = HashMap::new();
    for row in maintenance_switch::Entity::find().all(read).await? {
        plans.entry(row.workspace_id).or_default().switched_on = row.active.then_some(row.until);
    }
    for row in maintenance_window::Entity::find().all(read).await? {
        if row.enabled {
            let workspace = row.workspace_id;
            plans
                .entry(workspace)
                .or_default()
                .windows
                .extend(planned(row));
        }
    }
    Ok(plans)
}

fn planned(row: maintenance_window::Model) -> Option<Planned> {
    let schedule = parsed("maintenance_window.schedule", row.id, &row.schedule)?;
    let window = Window::compile(&row.zone, &schedule)
        .inspect_err(|faults| tracing::error!(window.id = %row.id, ?faults, "A maintenance window cannot be compiled; it stays closed."))
        .ok()?;
    let members = match row.scope.as_str() {
        "workspace" => Members::All,
        "sources" => Members::Sources(parsed("maintenance_window.members", row.id, &row.members)?),
        _ => Members::Connections(parsed("maintenance_window.members", row.id, &row.members)?),
    };
    let mode = if row.mode == WindowMode::Skip.word() {
        WindowMode::Skip
    } else {
        WindowMode::Queue
    };
    Some(Planned::new(row.id, row.name, mode, members, window))
}

/// Compiles the rules of a workspace.
pub fn compile(
    id: Uuid,
    slug: &str,
    rules: Vec<rule::Model>,
    connections: HashMap<String, Uuid>,
    maintenance: Arc<Plan>,
) -> WorkspaceConfig {
    let mut revisions = HashMap::new();
    let inputs = rules
        .into_iter()
        .filter_map(|rule| {
            let id = rule.id.to_string();
            revisions.insert(id.clone(), (rule.id, rule.revision));
            Some(RuleInput {
                id,
                spec: parsed("rule.spec", rule.id, &rule.spec)?,
                name: rule.name,
                source: rule.source_id.map(|id| id.to_string()),
                priority: rule.priority,
                order: u64::try_from(rule.seq).unwrap_or(0),
                enabled: rule.enabled,
            })
        })
        .collect();
    let (rules, faulty) = RuleSet::compile_lenient(inputs);
    for (id, faults) in faulty {
        tracing::error!(rule.id = %id, ?faults, "A rule is in quarantine: it cannot be compiled.");
    }
    WorkspaceConfig {
        id,
        slug: slug.to_owned(),
        rules,
        revisions,
        connections,
        maintenance,
        events_per_day: None,
    }
}
