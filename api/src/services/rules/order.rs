//! The order of rules.

use std::collections::HashSet;

use entity::rule;
use openapi::problem::Code;
use openapi::rules::{Reorder, Rule};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _};

use super::{list, record, rows};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::audit::Actor;
use crate::services::change::Change;

/// Gives the rules a new order: priorities become 10, 20, 30 …
///
/// # Errors
/// 409 when a rule of the workspace is not named (it may be new), 422 for one that is unknown or
/// named twice.
pub async fn reorder(
    core: &Core,
    scope: Scope,
    by: &Actor,
    wanted: Reorder,
) -> ApiResult<Vec<Rule>> {
    let change = Change::begin(core).await?;
    let rows = rows(&change.txn, scope).await?;
    let mut seen = HashSet::new();
    for (i, id) in wanted.ids.iter().enumerate() {
        if !rows.iter().any(|row| row.id == *id) || !seen.insert(*id) {
            return Err(ApiError::invalid(
                &format!("ids[{i}]"),
                "unknown_rule",
                "The workspace has no such rule, or it was named before.",
            ));
        }
    }
    if seen.len() < rows.len() {
        return Err(ApiError::new(Code::Conflict)
            .detail("Every rule must be named, and there are more; read the rules again."));
    }
    for row in rows {
        let place = wanted.ids.iter().position(|id| *id == row.id);
        let priority = place
            .and_then(|place| i32::try_from(place).ok()?.checked_add(1)?.checked_mul(10))
            .unwrap_or(row.priority);
        if priority != row.priority {
            let changed = rule::Model {
                priority,
                revision: row.revision + 1,
                updated_at: change.now,
                ..row.clone()
            };
            rule::Entity::update(changed.clone().into_active_model().reset_all())
                .exec(&change.txn)
                .await?;
            let (old, new) = (Some(&row), Some(&changed));
            record(&change.txn, &core.clock, scope, by, old, new).await?;
        }
    }
    change.commit().await?;
    list(core, scope).await
}
