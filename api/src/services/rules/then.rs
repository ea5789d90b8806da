//! The rules that were in force at a moment.
//!
//! A version is in force from when it was saved until the next one was saved or the rule was
//! deleted. Where an event says by which versions it was taken, those count: a node serves a change
//! a moment after it is saved. Sources and connections are those of today; a connection is found by
//! the id that its name meant then, and one that is gone since is missing.

use std::collections::HashMap;
use std::sync::Arc;

use entity::{event, rule, rule_revision};
use openapi::events::MatchedRule;
use sea_orm::{ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::core::Core;
use crate::journal::sql;
use crate::scope::Scope;
use crate::snapshot::{WorkspaceConfig, compile};

/// Compiled sets that are kept; a replay goes from the oldest event to the newest, so the last few
/// are enough.
const KEPT: usize = 8;

/// The rules of that moment are not known: they were saved before versions were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// Compiles the rules of past moments, and keeps the last few.
#[derive(Debug, Default)]
pub struct RulesThen {
    kept: Vec<(i64, Arc<WorkspaceConfig>)>,
}

impl RulesThen {
    /// Nothing kept yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The rules that were in force when an event was received.
    ///
    /// # Errors
    /// A query failed.
    pub async fn of(
        &mut self,
        core: &Core,
        scope: Scope,
        event: &event::Model,
    ) -> Result<Result<Arc<WorkspaceConfig>, Unknown>, DbErr> {
        let at = event.received_at;
        if unknown(core, scope, at).await? {
            return Ok(Err(Unknown));
        }
        let taken: Vec<MatchedRule> = serde_json::from_str(&event.matched).unwrap_or_default();
        let began = last_change(core, scope, at).await?;
        let known = self.kept.iter().find(|(since, _)| *since == began);
        if let Some((_, rules)) = known
            && agrees(rules, &taken)
        {
            return Ok(Ok(Arc::clone(rules)));
        }
        let mut versions = in_force(core, scope, at).await?;
        let exact = replace(core, scope, &mut versions, &taken).await?;
        let rules = Arc::new(compiled(core, scope, versions));
        if !exact {
            if self.kept.len() == KEPT {
                self.kept.remove(0);
            }
            self.kept.push((began, Arc::clone(&rules)));
        }
        Ok(Ok(rules))
    }
}

/// Whether these rules hold every version that took the event.
fn agrees(rules: &WorkspaceConfig, taken: &[MatchedRule]) -> bool {
    taken.iter().all(|rule| {
        rule.id.is_none_or(|id| {
            let held = rules.revisions.get(&id.to_string());
            held.is_some_and(|(_, revision)| *revision == rule.revision)
        })
    })
}

/// Whether a rule was there at that moment whose version of then is not kept.
async fn unknown(core: &Core, scope: Scope, at: i64) -> Result<bool, DbErr> {
    let query = "SELECT 1 AS one FROM rule_revision v WHERE v.workspace_id = $1 AND v.saved_at > $2 \
                 AND v.created_at <= $2 AND v.revision > 1 AND NOT EXISTS (SELECT 1 FROM \
                 rule_revision p WHERE p.rule_id = v.rule_id AND p.revision < v.revision) LIMIT 1";
    let values = vec![scope.workspace().into(), at.into()];
    Ok(!sql::rows(core.db.read(), query, values).await?.is_empty())
}

/// When the rules of a moment came into force: the last time before it that one was saved or
/// deleted.
async fn last_change(core: &Core, scope: Scope, at: i64) -> Result<i64, DbErr> {
    let query = "SELECT MAX(t) AS t FROM (SELECT MAX(saved_at) AS t FROM rule_revision WHERE \
                 workspace_id = $1 AND saved_at <= $2 UNION ALL SELECT MAX(ended_at) AS t FROM \
                 rule_revision WHERE workspace_id = $1 AND ended_at <= $2) AS changes";
    let values = vec![scope.workspace().into(), at.into()];
    let row = sql::rows(core.db.read(), query, values).await?;
    let newest: Option<Option<i64>> = row.first().map(|row| row.try_get("", "t")).transpose()?;
    Ok(newest.flatten().unwrap_or(0))
}

async fn in_force(core: &Core, scope: Scope, at: i64) -> Result<Vec<rule_revision::Model>, DbErr> {
    rule_revision::Entity::find()
        .filter(rule_revision::Column::WorkspaceId.eq(scope.workspace()))
        .filter(rule_revision::Column::SavedAt.lte(at))
        .filter(
            Condition::any()
                .add(rule_revision::Column::EndedAt.is_null())
                .add(rule_revision::Column::EndedAt.gt(at)),
        )
        .all(core.db.read())
        .await
}

/// Puts the versions that took the event in the place of those that the time names. Returns whether
/// that made a difference.
async fn replace(
    core: &Core,
    scope: Scope,
    versions: &mut Vec<rule_revision::Model>,
    taken: &[MatchedRule],
) -> Result<bool, DbErr> {
    let mut different = false;
    for rule in taken {
        let Some(id) = rule.id else { continue };
        let held = versions
            .iter()
            .any(|v| v.rule_id == id && v.revision == rule.revision);
        if held {
            continue;
        }
        let exact = rule_revision::Entity::find()
            .filter(rule_revision::Column::WorkspaceId.eq(scope.workspace()))
            .filter(rule_revision::Column::RuleId.eq(id))
            .filter(rule_revision::Column::Revision.eq(rule.revision))
            .one(core.db.read())
            .await?;
        if let Some(exact) = exact {
            versions.retain(|v| v.rule_id != id);
            versions.push(exact);
            different = true;
        }
    }
    Ok(different)
}

fn compiled(core: &Core, scope: Scope, versions: Vec<rule_revision::Model>) -> WorkspaceConfig {
    let snapshot = core.snapshots.current();
    let today = snapshot.workspace(scope.workspace());
    let mut connections: HashMap<String, Uuid> =
        today.map_or_else(HashMap::new, |today| today.connections.clone());
    for version in &versions {
        let then: HashMap<String, Uuid> =
            serde_json::from_str(&version.connections).unwrap_or_default();
        for (name, id) in then {
            // A name that means nothing today is not found: the outcome says so.
            if snapshot.connection(id).is_some() {
                connections.insert(name, id);
            }
        }
    }
    let rules = versions.into_iter().map(row).collect();
    let slug = today.map_or("", |today| today.slug.as_str());
    compile(scope.workspace(), slug, rules, connections)
}

fn row(version: rule_revision::Model) -> rule::Model {
    rule::Model {
        id: version.rule_id,
        workspace_id: version.workspace_id,
        source_id: version.source_id,
        name: version.name,
        priority: version.priority,
        seq: version.seq,
        enabled: version.enabled,
        spec: version.spec,
        revision: version.revision,
        created_at: version.created_at,
        updated_at: version.saved_at,
    }
}
