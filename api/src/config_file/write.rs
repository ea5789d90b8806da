//! Carrying out the differences, within the one transaction of an application.

use std::collections::BTreeMap;

use entity::{
    breaker, connection, delivery, maintenance_window, role, rule, sealed_secret, source,
};
use openapi::config::{ConnectionEntry, MaintenanceEntry, RoleEntry, RuleEntry};
use openapi::people::MemberPolicy;
use openapi::quotas::QuotaSpec;
use openapi::retention::RetentionSpec;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, ModelTrait, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use serde_json::Value;
use uuid::Uuid;

use super::FileError;
use super::current::{
    Current, CurrentConnection, CurrentRole, CurrentRule, CurrentSource, CurrentWindow, place,
};
use super::diff::{Difference, SecretChange, Step, Target, json, text};
use super::wanted::{WantedSource, at, spec};
use crate::clock::Clock;
use crate::db::Transaction;
use crate::heartbeat;
use crate::ids;
use crate::journal::open_states;
use crate::maintenance;
use crate::scope::Scope;
use crate::secrets::{Keyring, Secret};
use crate::services::audit::{self, Actor};
use crate::services::maintenance::Names;
use crate::services::people::policy;
use crate::services::rules::record;
use crate::services::sealed::SOURCE_SECRET;
use crate::services::validate::error;
use crate::services::{quotas, roles};

/// What writing needs.
pub(super) struct Writer<'a> {
    pub txn: &'a Transaction,
    pub scope: Scope,
    pub keyring: &'a Keyring,
    pub clock: &'a Clock,
    /// Who is named in the audit log.
    by: Actor,
    /// Ids of the sources by slug; grows as sources are made.
    slugs: BTreeMap<String, Uuid>,
    /// Ids of the connections by name; grows as connections are made.
    names: BTreeMap<String, Uuid>,
    next_seq: i64,
    /// Connections that needed attention, and go on with what the file says.
    pub resumed: Vec<Uuid>,
}

impl<'a> Writer<'a> {
    /// A writer on this transaction.
    ///
    /// # Errors
    /// A query failed.
    pub async fn new(
        txn: &'a Transaction,
        scope: Scope,
        keyring: &'a Keyring,
        clock: &'a Clock,
        current: &Current,
    ) -> Result<Self, FileError> {
        let last: Option<Option<i64>> = rule::Entity::find()
            .select_only()
            .column_as(rule::Column::Seq.max(), "last")
            .into_tuple()
            .one(txn)
            .await?;
        Ok(Self {
            txn,
            scope,
            keyring,
            clock,
            by: Actor::system("apply"),
            slugs: current
                .sources
                .iter()
                .map(|s| (s.row.slug.clone(), s.row.id))
                .collect(),
            names: current
                .connections
                .iter()
                .map(|c| (c.row.name.clone(), c.row.id))
                .collect(),
            next_seq: last.flatten().unwrap_or(0).saturating_add(1),
            resumed: Vec::new(),
        })
    }

    /// Carries out all steps.
    ///
    /// # Errors
    /// A statement failed, a secret could not be sealed, or a connection to be removed is in use.
    pub async fn carry_out(&mut self, difference: &Difference<'_>) -> Result<(), FileError> {
        // Two sources may exchange their names; for a moment they have neither.
        for step in &difference.steps {
            if let Target::Source(Some(stored), wanted, _) = &step.target
                && stored.row.name != wanted.entry.name
            {
                source::Entity::update_many()
                    .col_expr(source::Column::Name, Expr::value(stored.row.id.to_string()))
                    .filter(source::Column::Id.eq(stored.row.id))
                    .exec(self.txn)
                    .await?;
            }
        }
        let before = quotas::counts(self.txn, self.scope).await?;
        for step in &difference.steps {
            self.step(step).await?;
        }
        let passed = quotas::passed(self.txn, self.scope, &before).await?;
        if passed.is_empty() {
            Ok(())
        } else {
            Err(FileError::Invalid(passed))
        }
    }

    async fn step(&mut self, step: &Step<'_>) -> Result<(), FileError> {
        match &step.target {
            Target::Connection(stored, entry, secrets, gone) => {
                let secrets_changed: Vec<&str> = gone
                    .iter()
                    .copied()
                    .chain(secrets.iter().map(|(name, _)| *name))
                    .collect();
                let id = self.connection(*stored, entry, &secrets_changed).await?;
                self.names.insert(entry.name.clone(), id);
                for name in gone {
                    self.forget("connection", id, Some(name)).await?;
                }
                for (name, secret) in secrets {
                    self.seal("connection", id, name, secret).await?;
                }
            }
            Target::Source(stored, wanted, secret) => {
                let secret_changed = !matches!(secret, SecretChange::Keep);
                let id = self.source(*stored, wanted, secret_changed).await?;
                match secret {
                    SecretChange::Keep => {}
                    SecretChange::Remove => self.forget("source", id, None).await?,
                    SecretChange::Store(secret) => {
                        self.forget("source", id, None).await?;
                        self.seal("source", id, SOURCE_SECRET, secret).await?
                    }
                }
            }
            Target::Rule(stored, entry) => self.rule(*stored, entry).await?,
            Target::Retention(days) => self.retention(days).await?,
            Target::Window(stored, entry) => self.window(*stored, entry).await?,
            Target::Role(stored, entry) => self.role(*stored, entry).await?,
            Target::DropRole(role) => self.drop_role(role).await?,
            Target::Quotas(spec, revision) => self.quotas(spec, *revision).await?,
            Target::Members(wanted) => self.members(wanted).await?,
            Target::DropWindow(window) => {
                maintenance_window::Entity::delete_by_id(window.row.id)
                    .exec(self.txn)
                    .await?;
                maintenance::look_soon(self.txn, self.clock.now_ms()).await?;
            }
            Target::DropRule(rule) => {
                rule::Entity::delete_by_id(rule.row.id)
                    .exec(self.txn)
                    .await?;
                self.keep_rule(Some(&rule.row), None).await?;
            }
            Target::DropSource(source) => {
                self.forget("source", source.row.id, None).await?;
                heartbeat::forget(self.txn, source.row.id).await?;
                source::Entity::delete_by_id(source.row.id)
                    .exec(self.txn)
                    .await?;
                let (row, subject) = (&source.row, (source.row.id, source.row.name.as_str()));
                self.note(subject, (Some(row), None), &[]).await?;
                self.slugs.remove(&source.row.slug);
            }
            Target::DropConnection(connection) => self.drop_connection(connection).await?,
        }
        Ok(())
    }

    async fn connection(
        &mut self,
        stored: Option<&CurrentConnection>,
        entry: &ConnectionEntry,
        secrets: &[&str],
    ) -> Result<Uuid, FileError> {
        let now = self.clock.now_ms();
        let id = stored.map_or_else(|| ids::new(self.clock), |c| c.row.id);
        let row = connection::Model {
            id,
            workspace_id: self.scope.workspace(),
            name: entry.name.clone(),
            connector: entry.connector.clone(),
            settings: text(&entry.settings),
            allow_private: entry.allow_private,
            enabled: entry.enabled,
            concurrency: column(entry.concurrency),
            rate_per_minute: column(entry.rate_per_minute),
            retry: text(&entry.retry),
            // An edit is what a connection that needs attention waits for.
            state: "ok".to_owned(),
            state_reason: None,
            state_at: stored
                .filter(|c| c.row.state == "ok")
                .map_or(now, |c| c.row.state_at),
            failing_since: None,
            revision: stored.map_or(1, |c| c.row.revision.saturating_add(1)),
            created_at: stored.map_or(now, |c| c.row.created_at),
            updated_at: now,
            on_failure: entry.on_failure.as_str().to_owned(),
            coalesce: entry.coalesce,
            state_code: None,
        };
        let subject = (id, entry.name.as_str());
        self.note(subject, (stored.map(|c| &c.row), Some(&row)), secrets)
            .await?;
        let active: connection::ActiveModel = row.into();
        if stored.is_none() {
            connection::Entity::insert(active)
                .exec_without_returning(self.txn)
                .await?;
            return Ok(id);
        }
        connection::Entity::update(active.reset_all())
            .exec(self.txn)
            .await?;
        if stored.is_some_and(|before| before.row.state != "ok") {
            self.resumed.push(id);
        }
        Ok(id)
    }

    async fn source(
        &mut self,
        stored: Option<&CurrentSource>,
        wanted: &WantedSource,
        secret: bool,
    ) -> Result<Uuid, FileError> {
        let now = self.clock.now_ms();
        let entry = &wanted.entry;
        let id = stored.map_or_else(|| ids::new(self.clock), |s| s.row.id);
        let match_mode = match json(&entry.match_mode) {
            Value::String(word) => word,
            other => other.to_string(),
        };
        let silent_after = entry.heartbeat.map(|h| i64::from(h.after));
        let beats_anew = stored.map_or(silent_after.is_some(), |s| {
            s.row.silent_after != silent_after || s.row.enabled != entry.enabled
        });
        if beats_anew {
            heartbeat::look_soon(self.txn, id, now).await?;
        }
        let row = source::Model {
            id,
            workspace_id: self.scope.workspace(),
            name: entry.name.clone(),
            slug: entry.slug.clone(),
            kind: "webhook".to_owned(),
            enabled: entry.enabled,
            auth: text(&wanted.scheme),
            allow_cidrs: text(&entry.allow_cidrs),
            rate_per_minute: column(entry.rate_per_minute),
            body_limit: column(entry.body_limit),
            retention_days: column(entry.retention_days),
            match_mode,
            on_no_match: text(&entry.on_no_match),
            event_id_path: entry.event_id_path.clone(),
            split: entry.split.as_ref().map(text),
            silent_after,
            heartbeat_since: if beats_anew {
                silent_after.map(|_| now)
            } else {
                stored.and_then(|s| s.row.heartbeat_since)
            },
            rotate_days: column(entry.rotate_days),
            // A secret from the file is the only one from then on.
            old_secret_until: stored
                .filter(|_| !secret)
                .and_then(|s| s.row.old_secret_until),
            revision: stored.map_or(1, |s| s.row.revision.saturating_add(1)),
            created_at: stored.map_or(now, |s| s.row.created_at),
            updated_at: now,
        };
        let secrets: &[&str] = if secret { &[SOURCE_SECRET] } else { &[] };
        let subject = (id, entry.name.as_str());
        self.note(subject, (stored.map(|s| &s.row), Some(&row)), secrets)
            .await?;
        let active: source::ActiveModel = row.into();
        if stored.is_some() {
            source::Entity::update(active.reset_all())
                .exec(self.txn)
                .await?;
        } else {
            source::Entity::insert(active)
                .exec_without_returning(self.txn)
                .await?;
            self.slugs.insert(entry.slug.clone(), id);
        }
        Ok(id)
    }

    async fn rule(
        &mut self,
        stored: Option<&CurrentRule>,
        entry: &RuleEntry,
    ) -> Result<(), FileError> {
        let now = self.clock.now_ms();
        let seq = stored.map_or(self.next_seq, |r| r.row.seq);
        let row = rule::Model {
            id: stored.map_or_else(|| ids::new(self.clock), |r| r.row.id),
            workspace_id: self.scope.workspace(),
            source_id: entry
                .source
                .as_ref()
                .and_then(|slug| self.slugs.get(slug).copied()),
            name: entry.name.clone(),
            priority: entry.priority,
            seq,
            enabled: entry.enabled,
            spec: text(&spec(entry)),
            revision: stored.map_or(1, |r| r.row.revision.saturating_add(1)),
            created_at: stored.map_or(now, |r| r.row.created_at),
            updated_at: now,
        };
        let active: rule::ActiveModel = row.clone().into();
        if stored.is_some() {
            rule::Entity::update(active.reset_all())
                .exec(self.txn)
                .await?;
        } else {
            rule::Entity::insert(active)
                .exec_without_returning(self.txn)
                .await?;
            self.next_seq = self.next_seq.saturating_add(1);
        }
        self.keep_rule(stored.map(|r| &r.row), Some(&row)).await
    }

    /// Keeps the version of a rule.
    async fn keep_rule(
        &self,
        before: Option<&rule::Model>,
        after: Option<&rule::Model>,
    ) -> Result<(), FileError> {
        record(self.txn, self.clock, self.scope, &self.by, before, after).await?;
        Ok(())
    }

    /// Writes the line of the audit log.
    async fn note<M: ModelTrait>(
        &self,
        subject: (Uuid, &str),
        rows: (Option<&M>, Option<&M>),
        secrets: &[&str],
    ) -> Result<(), FileError> {
        let (txn, clock) = (self.txn, self.clock);
        audit::note_row(txn, clock, self.scope, &self.by, subject, rows, secrets).await?;
        Ok(())
    }

    async fn retention(&self, days: &RetentionSpec) -> Result<(), FileError> {
        let now = self.clock.now_ms();
        crate::retention::store(self.txn, self.scope, days, now).await?;
        Ok(())
    }

    async fn role(&self, stored: Option<&CurrentRole>, entry: &RoleEntry) -> Result<(), FileError> {
        let now = self.clock.now_ms();
        let row = role::Model {
            id: stored.map_or_else(|| ids::new(self.clock), |r| r.row.id),
            workspace_id: self.scope.workspace(),
            name: entry.name.clone(),
            permissions: text(&entry.scopes),
            revision: stored.map_or(1, |r| r.row.revision.saturating_add(1)),
            created_at: stored.map_or(now, |r| r.row.created_at),
            updated_at: now,
        };
        let active: role::ActiveModel = row.clone().into();
        if stored.is_some() {
            role::Entity::update(active.reset_all())
                .exec(self.txn)
                .await?;
        } else {
            role::Entity::insert(active)
                .exec_without_returning(self.txn)
                .await?;
        }
        let rows = (stored.map(|r| &r.row), Some(&row));
        self.note((row.id, &row.name), rows, &[]).await
    }

    async fn drop_role(&self, role: &CurrentRole) -> Result<(), FileError> {
        let row = &role.row;
        let word = roles::word(row.id);
        let members = roles::members(self.txn, self.scope.workspace(), &word).await?;
        if members > 0 {
            let place = at("roles", &row.name);
            let text = roles::in_use(members);
            return Err(FileError::Invalid(vec![error(&place, "in_use", text)]));
        }
        role::Entity::delete_by_id(row.id).exec(self.txn).await?;
        self.note((row.id, &row.name), (Some(row), None), &[]).await
    }

    async fn quotas(&self, spec: &QuotaSpec, revision: i64) -> Result<(), FileError> {
        let (before, _) = quotas::load(self.txn, self.scope).await?;
        quotas::write(self.txn, self.scope, revision, spec, self.clock.now_ms()).await?;
        let act = quotas::act(self.scope, &before, spec);
        Ok(audit::note(self.txn, self.clock, self.scope, &self.by, act).await?)
    }

    async fn members(&self, wanted: &MemberPolicy) -> Result<(), FileError> {
        let mut after = wanted.clone();
        let named = role::Entity::find()
            .filter(role::Column::WorkspaceId.eq(self.scope.workspace()))
            .filter(role::Column::Name.eq(&after.self_registration.role))
            .one(self.txn)
            .await?;
        if let Some(row) = named {
            after.self_registration.role = roles::word(row.id);
        }
        let own = &after.self_registration;
        if !policy::has_role(self.txn, self.scope, own).await? {
            let place = "members.self_registration.role";
            let fault = error(place, "unknown_role", "there is no such role");
            return Err(FileError::Invalid(vec![fault]));
        }
        let before = policy::load(self.txn, self.scope)
            .await?
            .unwrap_or_default();
        let change = (&before, &after);
        Ok(policy::write(self.txn, self.clock, self.scope, &self.by, change).await?)
    }

    async fn window(
        &self,
        stored: Option<&CurrentWindow>,
        entry: &MaintenanceEntry,
    ) -> Result<(), FileError> {
        let now = self.clock.now_ms();
        let by_id = |all: &BTreeMap<String, Uuid>| {
            all.iter().map(|(name, id)| (*id, name.clone())).collect()
        };
        let names = Names::of(by_id(&self.slugs), by_id(&self.names));
        let (kind, members) = names.members(&entry.scope);
        let row = maintenance_window::Model {
            id: stored.map_or_else(|| ids::new(self.clock), |w| w.row.id),
            workspace_id: self.scope.workspace(),
            name: entry.name.clone(),
            enabled: entry.enabled,
            mode: entry.mode.word().to_owned(),
            zone: entry.zone.clone(),
            schedule: text(&entry.schedule),
            scope: kind.to_owned(),
            members: text(&members),
            revision: stored.map_or(1, |w| w.row.revision.saturating_add(1)),
            created_at: stored.map_or(now, |w| w.row.created_at),
            updated_at: now,
        };
        let active: maintenance_window::ActiveModel = row.into();
        if stored.is_some() {
            maintenance_window::Entity::update(active.reset_all())
                .exec(self.txn)
                .await?;
        } else {
            maintenance_window::Entity::insert(active)
                .exec_without_returning(self.txn)
                .await?;
        }
        Ok(maintenance::look_soon(self.txn, now).await?)
    }

    async fn drop_connection(&self, connection: &CurrentConnection) -> Result<(), FileError> {
        let open = delivery::Entity::find()
            .filter(delivery::Column::ConnectionId.eq(connection.row.id))
            .filter(open_states())
            .count(self.txn)
            .await?;
        if open > 0 {
            return Err(FileError::Invalid(vec![error(
                &at("connections", &connection.row.name),
                "in_use",
                format!("cannot be removed: {open} of its deliveries are open"),
            )]));
        }
        self.forget("connection", connection.row.id, None).await?;
        breaker::Entity::delete_by_id(connection.row.id)
            .exec(self.txn)
            .await?;
        connection::Entity::delete_by_id(connection.row.id)
            .exec(self.txn)
            .await?;
        let row = &connection.row;
        self.note((row.id, &row.name), (Some(row), None), &[]).await
    }

    async fn seal(
        &self,
        kind: &str,
        owner: Uuid,
        name: &str,
        secret: &Secret,
    ) -> Result<(), FileError> {
        let (key_id, sealed) = self.keyring.seal(&place(kind, owner, name), secret)?;
        self.forget(kind, owner, Some(name)).await?;
        sealed_secret::Entity::insert(sealed_secret::ActiveModel {
            id: Set(ids::new(self.clock)),
            workspace_id: Set(self.scope.workspace()),
            owner_kind: Set(kind.to_owned()),
            owner_id: Set(owner),
            name: Set(name.to_owned()),
            slot: Set(0),
            key_id: Set(key_id),
            sealed: Set(sealed),
            created_at: Set(self.clock.now_ms()),
        })
        .exec_without_returning(self.txn)
        .await?;
        Ok(())
    }

    /// Removes one secret of an owner, or all of them.
    async fn forget(&self, kind: &str, owner: Uuid, name: Option<&str>) -> Result<(), FileError> {
        let mut query = sealed_secret::Entity::delete_many()
            .filter(sealed_secret::Column::OwnerKind.eq(kind))
            .filter(sealed_secret::Column::OwnerId.eq(owner));
        if let Some(name) = name {
            query = query.filter(sealed_secret::Column::Name.eq(name));
        }
        query.exec(self.txn).await?;
        Ok(())
    }
}

/// A limit as its column holds it; the validation has seen that it fits.
fn column(value: Option<u32>) -> Option<i32> {
    value.and_then(|v| i32::try_from(v).ok())
}
