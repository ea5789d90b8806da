//! What a workspace has, in the form of the file.

use std::collections::BTreeMap;

use engine::lane::OnFailure;
use engine::model::RuleSpec;
use engine::signature::Scheme;
use entity::{connection, maintenance_window, retention, role, rule, sealed_secret, source};
use openapi::config::{ConnectionEntry, MaintenanceEntry, RoleEntry, RuleEntry, SourceEntry};
use openapi::people::MemberPolicy;
use openapi::quotas::QuotaSpec;
use openapi::retention::RetentionSpec;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::scope::Scope;
use crate::secrets::{Keyring, Secret};
use crate::services::maintenance::{Names, mode};
use crate::services::people::policy;
use crate::services::sources::heartbeat;
use crate::services::{quotas, roles};

/// Stored secrets by name; none: it cannot be opened any more.
pub(super) type Secrets = BTreeMap<String, Option<Secret>>;

/// A stored connection.
#[derive(Clone, Debug)]
pub(super) struct CurrentConnection {
    pub row: connection::Model,
    /// As the file would say it, without secrets; none: the stored form is not understood.
    pub entry: Option<ConnectionEntry>,
    pub secrets: Secrets,
}

/// A stored source.
#[derive(Clone, Debug)]
pub(super) struct CurrentSource {
    pub row: source::Model,
    /// As the file would say it, without the secret.
    pub entry: Option<SourceEntry>,
    pub scheme: Option<Scheme>,
    pub secrets: Secrets,
}

/// A stored rule.
#[derive(Clone, Debug)]
pub(super) struct CurrentRule {
    pub row: rule::Model,
    /// As the file would say it.
    pub entry: Option<RuleEntry>,
}

/// A stored maintenance window.
#[derive(Clone, Debug)]
pub(super) struct CurrentWindow {
    pub row: maintenance_window::Model,
    /// As the file would say it.
    pub entry: Option<MaintenanceEntry>,
}

/// A stored role.
#[derive(Clone, Debug)]
pub(super) struct CurrentRole {
    pub row: role::Model,
    /// As the file would say it.
    pub entry: Option<RoleEntry>,
}

/// What a workspace has.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    pub connections: Vec<CurrentConnection>,
    pub sources: Vec<CurrentSource>,
    pub rules: Vec<CurrentRule>,
    /// None: nobody has changed it yet.
    pub retention: Option<RetentionSpec>,
    pub windows: Vec<CurrentWindow>,
    pub roles: Vec<CurrentRole>,
    /// With their revision; 0: nobody has set any.
    pub quotas: (QuotaSpec, i64),
    /// With the name of a role of the workspace in place of its word.
    pub members: MemberPolicy,
}

impl Current {
    /// Reads a workspace.
    ///
    /// # Errors
    /// A query failed.
    pub async fn load(
        db: &impl ConnectionTrait,
        scope: Scope,
        keyring: &Keyring,
    ) -> Result<Self, DbErr> {
        let workspace = scope.workspace();
        let mut secrets: BTreeMap<Uuid, Secrets> = BTreeMap::new();
        let sealed = sealed_secret::Entity::find()
            .filter(sealed_secret::Column::WorkspaceId.eq(workspace))
            .filter(sealed_secret::Column::Slot.eq(0))
            .all(db)
            .await?;
        for row in sealed {
            let place = place(&row.owner_kind, row.owner_id, &row.name);
            let opened = keyring.open(&place, &row.key_id, &row.sealed).ok();
            secrets
                .entry(row.owner_id)
                .or_default()
                .insert(row.name, opened);
        }
        let connections: Vec<CurrentConnection> = connection::Entity::find()
            .filter(connection::Column::WorkspaceId.eq(workspace))
            .order_by_asc(connection::Column::Id)
            .all(db)
            .await?
            .into_iter()
            .map(|row| CurrentConnection {
                entry: connection_entry(&row),
                secrets: secrets.remove(&row.id).unwrap_or_default(),
                row,
            })
            .collect();
        let sources: Vec<CurrentSource> = source::Entity::find()
            .filter(source::Column::WorkspaceId.eq(workspace))
            .order_by_asc(source::Column::Id)
            .all(db)
            .await?
            .into_iter()
            .map(|row| CurrentSource {
                entry: source_entry(&row),
                scheme: read(&row.auth),
                secrets: secrets.remove(&row.id).unwrap_or_default(),
                row,
            })
            .collect();
        let slugs: BTreeMap<Uuid, &str> = sources
            .iter()
            .map(|s| (s.row.id, s.row.slug.as_str()))
            .collect();
        let rules = rule::Entity::find()
            .filter(rule::Column::WorkspaceId.eq(workspace))
            .order_by_asc(rule::Column::Priority)
            .order_by_asc(rule::Column::Seq)
            .all(db)
            .await?
            .into_iter()
            .map(|row| CurrentRule {
                entry: rule_entry(&row, &slugs),
                row,
            })
            .collect();
        let retention = retention::Entity::find_by_id(workspace)
            .one(db)
            .await?
            .and_then(|row| read(&row.spec));
        let names = Names::of(
            sources
                .iter()
                .map(|s| (s.row.id, s.row.slug.clone()))
                .collect(),
            connections
                .iter()
                .map(|c| (c.row.id, c.row.name.clone()))
                .collect(),
        );
        let windows = maintenance_window::Entity::find()
            .filter(maintenance_window::Column::WorkspaceId.eq(workspace))
            .order_by_asc(maintenance_window::Column::Id)
            .all(db)
            .await?
            .into_iter()
            .map(|row| CurrentWindow {
                entry: window_entry(&row, &names),
                row,
            })
            .collect();
        let roles: Vec<CurrentRole> = role::Entity::find()
            .filter(role::Column::WorkspaceId.eq(workspace))
            .order_by_asc(role::Column::Id)
            .all(db)
            .await?
            .into_iter()
            .map(|row| CurrentRole {
                entry: read(&row.permissions).map(|scopes| RoleEntry {
                    name: row.name.clone(),
                    scopes,
                }),
                row,
            })
            .collect();
        let mut members = policy::load(db, scope).await?.unwrap_or_default();
        let own = roles
            .iter()
            .find(|role: &&CurrentRole| roles::word(role.row.id) == members.self_registration.role);
        if let Some(own) = own {
            members.self_registration.role.clone_from(&own.row.name);
        }
        Ok(Self {
            roles,
            members,
            quotas: quotas::load(db, scope).await?,
            connections,
            sources,
            rules,
            retention,
            windows,
        })
    }

    pub fn connection(&self, name: &str) -> Option<&CurrentConnection> {
        self.connections.iter().find(|c| c.row.name == name)
    }

    pub fn source(&self, slug: &str) -> Option<&CurrentSource> {
        self.sources.iter().find(|s| s.row.slug == slug)
    }

    pub fn window(&self, name: &str) -> Option<&CurrentWindow> {
        self.windows.iter().find(|w| w.row.name == name)
    }

    pub fn role(&self, name: &str) -> Option<&CurrentRole> {
        self.roles.iter().find(|r| r.row.name == name)
    }

    pub fn rule(&self, name: &str) -> Option<&CurrentRule> {
        self.rules.iter().find(|r| r.row.name == name)
    }
}

/// The place that a sealed secret is bound to.
pub(super) fn place(kind: &str, owner: Uuid, name: &str) -> String {
    format!("{kind}:{owner}:{name}:0")
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn limit(value: Option<i32>) -> Option<u32> {
    value.and_then(|v| u32::try_from(v).ok())
}

fn connection_entry(row: &connection::Model) -> Option<ConnectionEntry> {
    Some(ConnectionEntry {
        name: row.name.clone(),
        connector: row.connector.clone(),
        allow_private: row.allow_private,
        enabled: row.enabled,
        concurrency: limit(row.concurrency),
        rate_per_minute: limit(row.rate_per_minute),
        retry: read(&row.retry)?,
        on_failure: OnFailure::parse(&row.on_failure)?,
        coalesce: row.coalesce,
        settings: read(&row.settings)?,
        secrets: BTreeMap::new(),
    })
}

fn source_entry(row: &source::Model) -> Option<SourceEntry> {
    Some(SourceEntry {
        name: row.name.clone(),
        slug: row.slug.clone(),
        auth: read(&row.auth)?,
        enabled: row.enabled,
        allow_cidrs: read(&row.allow_cidrs)?,
        rate_per_minute: limit(row.rate_per_minute),
        body_limit: limit(row.body_limit),
        retention_days: limit(row.retention_days),
        match_mode: serde_json::from_value(Value::String(row.match_mode.clone())).ok()?,
        on_no_match: read(&row.on_no_match)?,
        event_id_path: row.event_id_path.clone(),
        split: match &row.split {
            None => None,
            Some(text) => Some(read(text)?),
        },
        heartbeat: heartbeat(row.silent_after),
        rotate_days: limit(row.rotate_days),
    })
}

fn window_entry(row: &maintenance_window::Model, names: &Names) -> Option<MaintenanceEntry> {
    let members: Vec<Uuid> = read(&row.members)?;
    Some(MaintenanceEntry {
        name: row.name.clone(),
        enabled: row.enabled,
        mode: mode(&row.mode),
        zone: row.zone.clone(),
        schedule: read(&row.schedule)?,
        scope: names.scope(&row.scope, &members),
    })
}

fn rule_entry(row: &rule::Model, slugs: &BTreeMap<Uuid, &str>) -> Option<RuleEntry> {
    let spec: RuleSpec = read(&row.spec)?;
    let source = match row.source_id {
        None => None,
        Some(id) => Some((*slugs.get(&id)?).to_owned()),
    };
    Some(RuleEntry {
        name: row.name.clone(),
        source,
        priority: row.priority,
        enabled: row.enabled,
        when: spec.when,
        then: spec.then,
    })
}
