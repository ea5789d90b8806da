//! Carrying out the differences, within the one transaction of an application.

use std::collections::BTreeMap;

use entity::{connection, delivery, rule, sealed_secret, source};
use openapi::config::{ConnectionEntry, RuleEntry};
use openapi::retention::RetentionSpec;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DatabaseTransaction, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};
use serde_json::Value;
use uuid::Uuid;

use super::FileError;
use super::current::{Current, CurrentConnection, CurrentRule, CurrentSource, place};
use super::diff::{Difference, SecretChange, Step, Target, json, text};
use super::wanted::{WantedSource, at, spec};
use crate::clock::Clock;
use crate::ids;
use crate::journal::OPEN_STATES;
use crate::scope::Scope;
use crate::secrets::{Keyring, Secret};
use crate::services::sealed::SOURCE_SECRET;
use crate::services::validate::error;

/// What writing needs.
pub(super) struct Writer<'a> {
    pub txn: &'a DatabaseTransaction,
    pub scope: Scope,
    pub keyring: &'a Keyring,
    pub clock: &'a Clock,
    /// Ids of the sources by slug; grows as sources are made.
    slugs: BTreeMap<String, Uuid>,
    next_seq: i64,
}

impl<'a> Writer<'a> {
    /// A writer on this transaction.
    ///
    /// # Errors
    /// A query failed.
    pub async fn new(
        txn: &'a DatabaseTransaction,
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
            slugs: current
                .sources
                .iter()
                .map(|s| (s.row.slug.clone(), s.row.id))
                .collect(),
            next_seq: last.flatten().unwrap_or(0).saturating_add(1),
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
        for step in &difference.steps {
            self.step(step).await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step<'_>) -> Result<(), FileError> {
        match &step.target {
            Target::Connection(stored, entry, secrets, gone) => {
                let id = self.connection(*stored, entry).await?;
                for name in gone {
                    self.forget("connection", id, Some(name)).await?;
                }
                for (name, secret) in secrets {
                    self.seal("connection", id, name, secret).await?;
                }
            }
            Target::Source(stored, wanted, secret) => {
                let id = self.source(*stored, wanted).await?;
                match secret {
                    SecretChange::Keep => {}
                    SecretChange::Remove => self.forget("source", id, None).await?,
                    SecretChange::Store(secret) => {
                        self.seal("source", id, SOURCE_SECRET, secret).await?
                    }
                }
            }
            Target::Rule(stored, entry) => self.rule(*stored, entry).await?,
            Target::Retention(days) => self.retention(days).await?,
            Target::DropRule(rule) => {
                rule::Entity::delete_by_id(rule.row.id)
                    .exec(self.txn)
                    .await?;
            }
            Target::DropSource(source) => {
                self.forget("source", source.row.id, None).await?;
                source::Entity::delete_by_id(source.row.id)
                    .exec(self.txn)
                    .await?;
                self.slugs.remove(&source.row.slug);
            }
            Target::DropConnection(connection) => self.drop_connection(connection).await?,
        }
        Ok(())
    }

    async fn connection(
        &self,
        stored: Option<&CurrentConnection>,
        entry: &ConnectionEntry,
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
        };
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
        delivery::Entity::update_many()
            .col_expr(delivery::Column::State, Expr::value("ready"))
            .col_expr(delivery::Column::DueAt, Expr::value(now))
            .col_expr(delivery::Column::UpdatedAt, Expr::value(now))
            .filter(delivery::Column::ConnectionId.eq(id))
            .filter(delivery::Column::State.eq("paused"))
            .exec(self.txn)
            .await?;
        Ok(id)
    }

    async fn source(
        &mut self,
        stored: Option<&CurrentSource>,
        wanted: &WantedSource,
    ) -> Result<Uuid, FileError> {
        let now = self.clock.now_ms();
        let entry = &wanted.entry;
        let id = stored.map_or_else(|| ids::new(self.clock), |s| s.row.id);
        let match_mode = match json(&entry.match_mode) {
            Value::String(word) => word,
            other => other.to_string(),
        };
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
            revision: stored.map_or(1, |s| s.row.revision.saturating_add(1)),
            created_at: stored.map_or(now, |s| s.row.created_at),
            updated_at: now,
        };
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
        let active: rule::ActiveModel = row.into();
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
        Ok(())
    }

    async fn retention(&self, days: &RetentionSpec) -> Result<(), FileError> {
        let now = self.clock.now_ms();
        crate::retention::store(self.txn, self.scope, days, now).await?;
        Ok(())
    }

    async fn drop_connection(&self, connection: &CurrentConnection) -> Result<(), FileError> {
        let open = delivery::Entity::find()
            .filter(delivery::Column::ConnectionId.eq(connection.row.id))
            .filter(delivery::Column::State.is_in(OPEN_STATES))
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
        connection::Entity::delete_by_id(connection.row.id)
            .exec(self.txn)
            .await?;
        Ok(())
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
