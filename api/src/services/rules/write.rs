//! Making, changing and deleting rules.

use engine::model::RuleSpec;
use entity::rule;
use openapi::problem::FieldError;
use openapi::rules::{ChangeRule, NewRule, Rule};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::{find, get, record, rows, source_id};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;
use crate::services::audit::Actor;
use crate::services::change::Change;
use crate::services::names;
use crate::services::quotas::{Counted, room_for};
use crate::services::sources::{store, stored};
use crate::services::validate::{validate_rule, validate_rule_name, within};

/// Distance between priorities that the server gives.
const STEP: i32 = 10;
/// Longest name.
const NAME: usize = 200;

/// Makes a rule.
///
/// # Errors
/// 409 for a taken name, 422 for faults, each with its place.
pub async fn create(core: &Core, scope: Scope, by: &Actor, new: NewRule) -> ApiResult<Rule> {
    let change = Change::begin(core).await?;
    room_for(&change.txn, scope, Counted::Rules).await?;
    check(core, &change, scope, &new.name, &new.spec).await?;
    let source_id = source_id(&change.txn, scope, new.source.as_deref()).await?;
    let priority = match new.priority {
        Some(priority) => priority,
        None => next_priority(&change, scope).await?,
    };
    let row = rule::Model {
        id: ids::new(&core.clock),
        workspace_id: scope.workspace(),
        source_id,
        name: new.name,
        priority,
        seq: next_seq(&change).await?,
        enabled: new.enabled,
        spec: store(&new.spec)?,
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
    };
    insert(core, scope, by, change, row).await
}

/// Makes a copy of a rule right after it, switched off, so that it can be changed first.
///
/// # Errors
/// 404.
pub async fn duplicate(core: &Core, scope: Scope, by: &Actor, id: Uuid) -> ApiResult<Rule> {
    let change = Change::begin(core).await?;
    let original = find(&change.txn, scope, id).await?;
    room_for(&change.txn, scope, Counted::Rules).await?;
    let taken: Vec<String> = rows(&change.txn, scope)
        .await?
        .into_iter()
        .map(|row| row.name)
        .collect();
    let row = rule::Model {
        id: ids::new(&core.clock),
        name: copy_name(&original.name, &taken),
        seq: next_seq(&change).await?,
        enabled: false,
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
        ..original
    };
    insert(core, scope, by, change, row).await
}

/// Changes a rule that was read at a revision.
///
/// # Errors
/// 404, 409, 412, 422.
pub async fn change(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeRule,
) -> ApiResult<Rule> {
    let change = Change::begin(core).await?;
    let row = find(&change.txn, scope, id).await?;
    revision.check(row.revision)?;
    let source_id = match &wanted.source {
        None => row.source_id,
        Some(slug) => source_id(&change.txn, scope, slug.as_deref()).await?,
    };
    let name = wanted.name.unwrap_or_else(|| row.name.clone());
    let spec = match &wanted.spec {
        Some(spec) => {
            check(core, &change, scope, &name, spec).await?;
            store(spec)?
        }
        // A quarantined rule can still be renamed, moved and switched off.
        None => {
            ApiError::refuse(validate_rule_name(&name))?;
            row.spec.clone()
        }
    };
    let changed = rule::Model {
        name,
        source_id,
        priority: wanted.priority.unwrap_or(row.priority),
        enabled: wanted.enabled.unwrap_or(row.enabled),
        spec,
        revision: row.revision + 1,
        updated_at: change.now,
        ..row.clone()
    };
    rule::Entity::update(changed.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    let (old, new) = (Some(&row), Some(&changed));
    record(&change.txn, &core.clock, scope, by, old, new).await?;
    change.commit().await?;
    get(core, scope, id).await
}

/// Deletes a rule. What it did stays, and so do its versions.
///
/// # Errors
/// 404, 412.
pub async fn delete(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<()> {
    let change = Change::begin(core).await?;
    let row = find(&change.txn, scope, id).await?;
    revision.check(row.revision)?;
    rule::Entity::delete_by_id(id).exec(&change.txn).await?;
    record(&change.txn, &core.clock, scope, by, Some(&row), None).await?;
    change.commit().await
}

async fn insert(
    core: &Core,
    scope: Scope,
    by: &Actor,
    change: Change<'_>,
    row: rule::Model,
) -> ApiResult<Rule> {
    let id = row.id;
    // What is stored must be readable by the version that stores it.
    stored::<RuleSpec>("rule.spec", &row.spec)?;
    rule::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    record(&change.txn, &core.clock, scope, by, None, Some(&row)).await?;
    change.commit().await?;
    get(core, scope, id).await
}

pub(super) async fn check(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    name: &str,
    spec: &RuleSpec,
) -> ApiResult<()> {
    let kinds = names::kinds(&change.txn, scope).await?;
    let mut faults: Vec<FieldError> = validate_rule_name(name);
    faults.extend(within("spec", validate_rule(&core.registry, &kinds, spec)));
    ApiError::refuse(faults)
}

async fn next_priority(change: &Change<'_>, scope: Scope) -> ApiResult<i32> {
    let last = rule::Entity::find()
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_desc(rule::Column::Priority)
        .limit(1)
        .one(&change.txn)
        .await?;
    Ok(last.map_or(STEP, |row| row.priority.saturating_add(STEP)))
}

/// The next number in the order of creation. Changes wait for each other, so it is free.
pub(super) async fn next_seq(change: &Change<'_>) -> ApiResult<i64> {
    let last = rule::Entity::find()
        .order_by_desc(rule::Column::Seq)
        .limit(1)
        .one(&change.txn)
        .await?;
    Ok(last.map_or(1, |row| row.seq + 1))
}

/// `name (copy)`, `name (copy 2)` …, cut so that it fits.
fn copy_name(name: &str, taken: &[String]) -> String {
    let mut number = 1;
    loop {
        let suffix = match number {
            1 => " (copy)".to_owned(),
            n => format!(" (copy {n})"),
        };
        let room = NAME - suffix.len();
        let head: String = name.chars().take(room).collect();
        let candidate = format!("{}{suffix}", head.trim_end());
        if !taken.contains(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_names_of_their_own() {
        assert_eq!(copy_name("a", &[]), "a (copy)");
        assert_eq!(copy_name("a", &["a (copy)".to_owned()]), "a (copy 2)");
        let long = "x".repeat(200);
        assert_eq!(copy_name(&long, &[]).chars().count(), 200);
    }
}
