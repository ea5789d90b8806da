//! The versions of a rule.
//!
//! Invariant: whoever writes a rule calls [`record`] in the same transaction, which closes the
//! version in force and keeps the new one; so of every moment it is known which versions were in
//! force. A server of an older version does not do that while it still runs beside this one:
//! [`catch_up`] keeps what it wrote.

use std::collections::BTreeMap;

use engine::model::RuleSpec;
use entity::{connection, rule, rule_revision};
use openapi::page::Page;
use openapi::rules::{RuleDiff, RuleRevision};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;
use uuid::Uuid;

use super::compare;
use crate::clock::{Clock, from_ms};
use crate::core::Core;
use crate::db::Db;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::journal::sql;
use crate::scope::Scope;
use crate::services::audit::{self, Actor};
use crate::services::connections::operations_mut;
use crate::services::cursor::Window;
use crate::services::names;
use crate::services::sources::stored;

/// Keeps what becomes of a rule: made (nothing before), changed, or deleted (nothing after). Also
/// writes the line of the audit log.
///
/// # Errors
/// A statement failed.
pub async fn record(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    scope: Scope,
    by: &Actor,
    before: Option<&rule::Model>,
    after: Option<&rule::Model>,
) -> Result<(), DbErr> {
    let Some(either) = after.or(before) else {
        return Ok(());
    };
    let at = after.map_or_else(|| clock.now_ms(), |row| row.updated_at);
    if either.revision > 1 || before.is_some() {
        close(txn, either.id, at).await?;
    }
    if let Some(row) = before
        && !known(txn, row).await?
    {
        // A server that keeps no versions wrote it.
        insert(txn, clock, row, "", (saved_at(row), Some(at))).await?;
    }
    if let Some(row) = after {
        insert(txn, clock, row, by.name(), (at, None)).await?;
    }
    let subject = (either.id, either.name.as_str());
    audit::note_row(txn, clock, scope, by, subject, (before, after), &[]).await
}

/// Keeps what was written by servers that keep no versions. Cheap when there is nothing.
///
/// # Errors
/// A statement failed.
pub async fn catch_up(db: &Db, clock: &Clock) -> Result<(), DbErr> {
    let missing = "SELECT r.id AS id FROM rule r WHERE NOT EXISTS (SELECT 1 FROM rule_revision v \
                   WHERE v.rule_id = r.id AND v.revision = r.revision) \
                   UNION ALL SELECT v.rule_id AS id FROM rule_revision v WHERE v.ended_at IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM rule r WHERE r.id = v.rule_id)";
    if sql::rows(db.read(), missing, Vec::new()).await?.is_empty() {
        return Ok(());
    }
    let txn = db.begin().await?;
    for row in sql::rows(&txn, missing, Vec::new()).await? {
        let id: Uuid = row.try_get("", "id")?;
        match rule::Entity::find_by_id(id).one(&txn).await? {
            Some(rule) if known(&txn, &rule).await? => {}
            Some(rule) => {
                close(&txn, id, saved_at(&rule)).await?;
                insert(&txn, clock, &rule, "", (saved_at(&rule), None)).await?;
            }
            None => close(&txn, id, clock.now_ms()).await?,
        }
    }
    txn.commit().await
}

/// When the version that a row holds was saved.
fn saved_at(row: &rule::Model) -> i64 {
    if row.revision == 1 {
        row.created_at
    } else {
        row.updated_at
    }
}

async fn close(txn: &impl ConnectionTrait, rule: Uuid, at: i64) -> Result<(), DbErr> {
    sql::execute(
        txn,
        "UPDATE rule_revision SET ended_at = $2 WHERE rule_id = $1 AND ended_at IS NULL",
        vec![rule.into(), at.into()],
    )
    .await?;
    Ok(())
}

/// Whether this version is kept.
async fn known(txn: &impl ConnectionTrait, row: &rule::Model) -> Result<bool, DbErr> {
    let kept = rule_revision::Entity::find()
        .filter(rule_revision::Column::RuleId.eq(row.id))
        .filter(rule_revision::Column::Revision.eq(row.revision))
        .one(txn)
        .await?;
    Ok(kept.is_some())
}

async fn insert(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    row: &rule::Model,
    actor: &str,
    (saved_at, ended_at): (i64, Option<i64>),
) -> Result<(), DbErr> {
    let version = rule_revision::Model {
        id: ids::new(clock),
        workspace_id: row.workspace_id,
        rule_id: row.id,
        revision: row.revision,
        name: row.name.clone(),
        source_id: row.source_id,
        priority: row.priority,
        seq: row.seq,
        enabled: row.enabled,
        spec: row.spec.clone(),
        connections: connections(txn, row).await?,
        actor: actor.to_owned(),
        created_at: row.created_at,
        saved_at,
        ended_at,
    };
    rule_revision::Entity::insert(version.into_active_model())
        .exec_without_returning(txn)
        .await?;
    Ok(())
}

/// The ids of the connections that the steps name: a connection may get another name later.
async fn connections(txn: &impl ConnectionTrait, row: &rule::Model) -> Result<String, DbErr> {
    let mut ids: BTreeMap<String, Uuid> = BTreeMap::new();
    if let Ok(mut spec) = serde_json::from_str::<RuleSpec>(&row.spec) {
        let names: Vec<String> = operations_mut(&mut spec)
            .map(|operation| operation.connection.clone())
            .collect();
        if !names.is_empty() {
            ids = connection::Entity::find()
                .filter(connection::Column::WorkspaceId.eq(row.workspace_id))
                .filter(connection::Column::Name.is_in(names))
                .all(txn)
                .await?
                .into_iter()
                .map(|row| (row.name, row.id))
                .collect();
        }
    }
    Ok(json!(ids).to_string())
}

/// The query of a page.
pub fn query(scope: Scope, rule: Uuid, window: Window) -> sea_orm::Select<rule_revision::Entity> {
    let mut query = rule_revision::Entity::find()
        .filter(rule_revision::Column::RuleId.eq(rule))
        .filter(rule_revision::Column::WorkspaceId.eq(scope.workspace()));
    if let Some(before) = window.before {
        query = query.filter(rule_revision::Column::Id.lt(before));
    }
    query
        .order_by_desc(rule_revision::Column::Id)
        .limit(window.limit + 1)
}

/// The versions of a rule, newest first; also of a deleted one.
///
/// # Errors
/// 404.
pub async fn revisions(
    core: &Core,
    scope: Scope,
    rule: Uuid,
    window: Window,
) -> ApiResult<Page<RuleRevision>> {
    let rows = query(scope, rule, window).all(core.db.read()).await?;
    if rows.is_empty() && window.before.is_none() {
        return Err(ApiError::not_found());
    }
    let slugs = names::sources(core.db.read(), scope).await?;
    let page = window.page(
        rows,
        |row| row.id,
        |row| {
            Ok(RuleRevision {
                rule_id: row.rule_id,
                revision: row.revision,
                name: row.name,
                source: source_then(row.source_id, &slugs),
                priority: row.priority,
                enabled: row.enabled,
                spec: stored("rule_revision.spec", &row.spec)?,
                actor: row.actor,
                saved_at: from_ms(row.saved_at),
                ended_at: row.ended_at.map(from_ms),
            })
        },
    );
    Ok(Page {
        items: page.items.into_iter().collect::<ApiResult<_>>()?,
        next_cursor: page.next_cursor,
    })
}

/// The slug of a source; one that is gone is shown as such, not as "every source".
fn source_then(
    id: Option<Uuid>,
    slugs: &std::collections::HashMap<Uuid, String>,
) -> Option<String> {
    id.map(|id| {
        slugs
            .get(&id)
            .cloned()
            .unwrap_or_else(|| names::DELETED.to_owned())
    })
}

/// What differs between two versions.
///
/// # Errors
/// 404.
pub async fn difference(
    core: &Core,
    scope: Scope,
    rule: Uuid,
    from: i64,
    to: i64,
) -> ApiResult<RuleDiff> {
    let slugs = names::sources(core.db.read(), scope).await?;
    let mut sides = Vec::with_capacity(2);
    for revision in [from, to] {
        let row = find(core.db.read(), scope, rule, revision).await?;
        sides.push(json!({
            "name": row.name,
            "source": source_then(row.source_id, &slugs),
            "priority": row.priority,
            "enabled": row.enabled,
            "spec": stored::<serde_json::Value>("rule_revision.spec", &row.spec)?,
        }));
    }
    let changes = match sides.as_slice() {
        [old, new] => compare::changes(old, new),
        _ => Vec::new(),
    };
    Ok(RuleDiff { from, to, changes })
}

/// One version.
///
/// # Errors
/// 404.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    scope: Scope,
    rule: Uuid,
    revision: i64,
) -> ApiResult<rule_revision::Model> {
    rule_revision::Entity::find()
        .filter(rule_revision::Column::RuleId.eq(rule))
        .filter(rule_revision::Column::Revision.eq(revision))
        .filter(rule_revision::Column::WorkspaceId.eq(scope.workspace()))
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// The newest version of a rule.
pub(super) async fn newest(
    db: &impl ConnectionTrait,
    scope: Scope,
    rule: Uuid,
) -> ApiResult<rule_revision::Model> {
    rule_revision::Entity::find()
        .filter(rule_revision::Column::RuleId.eq(rule))
        .filter(rule_revision::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_desc(rule_revision::Column::Revision)
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)
}
