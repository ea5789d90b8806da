//! Giving a rule an earlier version again, or bringing a deleted one back.

use entity::{rule, source};
use openapi::problem::Code;
use openapi::rules::Rule;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};
use uuid::Uuid;

use super::write::{check, next_seq};
use super::{get, revisions};
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::audit::Actor;
use crate::services::change::Change;
use crate::services::quotas::{Counted, room_for};
use crate::services::sources::stored;

/// Saves an earlier version as the newest one. `current` is the revision that the caller has seen
/// last; of a deleted rule that of its last version.
///
/// # Errors
/// 404, 409 when its source is gone or its name is taken, 412, 422 when it is not valid today.
pub async fn restore(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    current: IfMatch,
    revision: i64,
) -> ApiResult<Rule> {
    let change = Change::begin(core).await?;
    let before = rule::Entity::find_by_id(id)
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .one(&change.txn)
        .await?;
    let last = match &before {
        Some(row) => row.revision,
        None => revisions::newest(&change.txn, scope, id).await?.revision,
    };
    current.check(last)?;
    let version = revisions::find(&change.txn, scope, id, revision).await?;
    if let Some(source) = version.source_id {
        let there = source::Entity::find_by_id(source).one(&change.txn).await?;
        if there.is_none() {
            return Err(ApiError::new(Code::Conflict)
                .detail("The source that this version listens to is gone."));
        }
    }
    let spec = stored("rule_revision.spec", &version.spec)?;
    check(core, &change, scope, &version.name, &spec).await?;
    // Another rule may have the number of a deleted one.
    let seq = match &before {
        Some(row) => row.seq,
        None => {
            room_for(&change.txn, scope, Counted::Rules).await?;
            next_seq(&change).await?
        }
    };
    let row = rule::Model {
        id: version.rule_id,
        workspace_id: version.workspace_id,
        source_id: version.source_id,
        name: version.name,
        priority: version.priority,
        seq,
        enabled: version.enabled,
        spec: version.spec,
        revision: last + 1,
        created_at: version.created_at,
        updated_at: change.now,
    };
    let active = row.clone().into_active_model();
    if before.is_some() {
        rule::Entity::update(active.reset_all())
            .exec(&change.txn)
            .await?;
    } else {
        rule::Entity::insert(active)
            .exec_without_returning(&change.txn)
            .await?;
    }
    revisions::record(
        &change.txn,
        &core.clock,
        scope,
        by,
        before.as_ref(),
        Some(&row),
    )
    .await?;
    change.commit().await?;
    get(core, scope, id).await
}
