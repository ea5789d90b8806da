//! Applying and planning.

use std::collections::BTreeSet;
use std::time::Duration;

use entity::{meta, node, workspace};
use openapi::config::{Change, File};
use openapi::problem::FieldError;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::FileError;
use super::current::Current;
use super::diff::compare;
use super::secret::Surroundings;
use super::wanted::{Wanted, at};
use super::write::Writer;
use crate::auth::Role;
use crate::clock::Clock;
use crate::connectors::Registry;
use crate::db::{Db, Transaction, bump_configuration};
use crate::lifecycle::{self, Message};
use crate::scope::Scope;
use crate::secrets::Keyring;
use crate::services::validate::{Kinds, error};
use crate::snapshot;

/// How often the nodes are looked at while waiting for them.
const LOOK: Duration = Duration::from_millis(100);

/// What a file is applied to.
#[derive(Clone, Debug)]
pub struct Store {
    /// The database.
    pub db: Db,
    /// The keys.
    pub keyring: Keyring,
    /// The connectors, for validation.
    pub registry: Registry,
    /// The clock.
    pub clock: Clock,
}

/// What came of an application, or would come of it.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The differences, in the order of their execution; empty: nothing to do.
    pub changes: Vec<Change>,
    /// Secrets that could not be read and were left as they are stored.
    pub warnings: Vec<String>,
    /// Revision of the configuration afterwards.
    pub revision: i64,
}

impl Store {
    /// The workspace of this slug, or the first one. The command line works with the rights of
    /// whoever can read the database and the key file.
    ///
    /// # Errors
    /// There is none, or the query failed.
    pub async fn scope(&self, slug: Option<&str>) -> Result<Scope, FileError> {
        let query = match slug {
            Some(slug) => workspace::Entity::find().filter(workspace::Column::Slug.eq(slug)),
            None => workspace::Entity::find()
                .order_by_asc(workspace::Column::CreatedAt)
                .order_by_asc(workspace::Column::Id),
        };
        match (query.one(self.db.read()).await?, slug) {
            (Some(row), _) => Ok(Scope::granted(row.id)),
            (None, Some(slug)) => Err(FileError::NoWorkspace(slug.to_owned())),
            (None, None) => Err(FileError::Empty),
        }
    }
}

/// What applying the file would change. Secrets that cannot be read here are warnings.
///
/// # Errors
/// The file is not acceptable, or a query failed.
pub async fn plan(
    store: &Store,
    scope: Scope,
    file: File,
    around: &Surroundings,
    prune: bool,
) -> Result<Applied, FileError> {
    let wanted = Wanted::of(file).map_err(FileError::Invalid)?;
    let db = store.db.read();
    let current = Current::load(db, scope, &store.keyring).await?;
    check(&wanted, &current, &store.registry, prune)?;
    let difference = compare(&wanted, &current, around, prune);
    let (missing, other): (Vec<_>, Vec<_>) = difference
        .errors
        .into_iter()
        .partition(|e| e.code == "secret_missing");
    if !other.is_empty() {
        return Err(FileError::Invalid(other));
    }
    let mut warnings = difference.warnings;
    warnings.extend(
        missing
            .into_iter()
            .map(|e| format!("{}: {}", e.field, e.message)),
    );
    Ok(Applied {
        changes: difference.steps.into_iter().map(|s| s.change).collect(),
        warnings,
        revision: revision(db, false).await?,
    })
}

/// Applies the file in one transaction. The revision grows only if something changes.
///
/// # Errors
/// The file is not acceptable, a secret cannot be read, or a statement failed; nothing was changed.
pub async fn apply(
    store: &Store,
    scope: Scope,
    file: File,
    around: &Surroundings,
    prune: bool,
) -> Result<Applied, FileError> {
    let wanted = Wanted::of(file).map_err(FileError::Invalid)?;
    let txn = store.db.begin().await?;
    // On PostgreSQL the row is the lock that makes one application wait for another.
    revision(&txn, store.db.is_postgres()).await?;
    let current = Current::load(&txn, scope, &store.keyring).await?;
    check(&wanted, &current, &store.registry, prune)?;
    let difference = compare(&wanted, &current, around, prune);
    if !difference.errors.is_empty() {
        return Err(FileError::Invalid(difference.errors));
    }
    if !difference.steps.is_empty() {
        let mut writer = Writer::new(&txn, scope, &store.keyring, &store.clock, &current).await?;
        writer.carry_out(&difference).await?;
        let resumed = std::mem::take(&mut writer.resumed);
        tell_resumed(store, &txn, resumed).await?;
        bump_configuration(&txn).await?;
    }
    let revision = revision(&txn, false).await?;
    txn.commit().await?;
    Ok(Applied {
        changes: difference.steps.into_iter().map(|s| s.change).collect(),
        warnings: difference.warnings,
        revision,
    })
}

/// Tells subscribers of connections that go on. Those that subscribed before this file was applied
/// are told; servers look for what is due every second.
async fn tell_resumed(
    store: &Store,
    txn: &Transaction,
    resumed: Vec<Uuid>,
) -> Result<(), FileError> {
    if resumed.is_empty() {
        return Ok(());
    }
    let before = snapshot::load(&store.db, &store.keyring, 0).await?;
    let now = store.clock.now_ms();
    for id in resumed {
        let message = before
            .connection(id)
            .and_then(|c| Message::resumed(&c, now));
        // Nobody here has carriers to wake.
        let _subscribers = lifecycle::publish_in(txn, &before, message).await?;
    }
    Ok(())
}

fn check(
    wanted: &Wanted,
    current: &Current,
    registry: &Registry,
    prune: bool,
) -> Result<(), FileError> {
    let fixed: Vec<_> = wanted
        .connections
        .iter()
        .filter(|entry| {
            current
                .connection(&entry.name)
                .is_some_and(|c| c.row.connector != entry.connector)
        })
        .map(|entry| {
            error(
                &format!("{}.connector", at("connections", &entry.name)),
                "connector_fixed",
                "the connector of a connection cannot be changed; take another name",
            )
        })
        .collect();
    if !fixed.is_empty() {
        return Err(FileError::Invalid(fixed));
    }
    let mut kinds = Kinds::new();
    let mut slugs = BTreeSet::new();
    if !prune {
        kinds.extend(
            current
                .connections
                .iter()
                .map(|c| (c.row.name.clone(), c.row.connector.clone())),
        );
        slugs.extend(current.sources.iter().map(|s| s.row.slug.clone()));
    }
    kinds.extend(
        wanted
            .connections
            .iter()
            .map(|c| (c.name.clone(), c.connector.clone())),
    );
    slugs.extend(wanted.sources.iter().map(|s| s.entry.slug.clone()));
    let mut errors = wanted.check(registry, &kinds, &slugs, |name| {
        current
            .connection(name)
            .filter(|_| !prune)
            .map(|c| c.secrets.keys().map(String::as_str).collect())
            .unwrap_or_default()
    });
    errors.extend(unknown_role(wanted, current));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(FileError::Invalid(errors))
    }
}

/// The role of those who register themselves, if it is neither built in nor one of the workspace.
fn unknown_role(wanted: &Wanted, current: &Current) -> Option<FieldError> {
    let role = &wanted.members.as_ref()?.self_registration.role;
    let known = Role::parse(role).is_some()
        || current.role(role).is_some()
        || wanted.roles.iter().any(|entry| entry.name == *role);
    (!known).then(|| {
        let place = "members.self_registration.role";
        error(place, "unknown_role", "there is no such role")
    })
}

/// The revision of the configuration.
async fn revision(db: &impl ConnectionTrait, lock: bool) -> Result<i64, FileError> {
    let mut query = meta::Entity::find_by_id("config_revision");
    if lock {
        query = query.lock_exclusive();
    }
    Ok(query.one(db).await?.map_or(0, |row| row.value))
}

/// What the wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Nodes that run and serve the revision; 0: none runs.
    pub nodes: usize,
}

/// Waits until every running node serves `revision`, for `limit` at most.
///
/// # Errors
/// Some did not in time, or a query failed. What was applied stays.
pub async fn wait_for_nodes(
    store: &Store,
    revision: i64,
    limit: Duration,
) -> Result<Wait, FileError> {
    let begin = tokio::time::Instant::now();
    loop {
        let running = node::Entity::find()
            .filter(node::Column::LeaseUntil.gt(store.clock.now_ms()))
            .all(store.db.read())
            .await?;
        let behind = running
            .iter()
            .filter(|n| n.config_revision < revision)
            .count();
        if behind == 0 {
            return Ok(Wait {
                nodes: running.len(),
            });
        }
        if begin.elapsed() >= limit {
            return Err(FileError::NotServed {
                revision,
                behind,
                running: running.len(),
                seconds: limit.as_secs(),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}
