//! The members of a workspace.

use std::collections::HashMap;

use entity::{member, user};
use openapi::people::{ChangeMember, Member};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::has_second_factor;
use super::rights::{OWNER, may_give, may_touch, must_leave_an_owner};
use crate::auth::Caller;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::change::Change;

/// All members of the workspace, by name.
///
/// # Errors
/// The database failed.
pub async fn members(core: &Core, scope: Scope) -> ApiResult<Vec<Member>> {
    let db = core.db.read();
    let rows = member::Entity::find()
        .filter(member::Column::WorkspaceId.eq(scope.workspace()))
        .all(db)
        .await?;
    let mut people: HashMap<Uuid, user::Model> = user::Entity::find()
        .filter(user::Column::Id.is_in(rows.iter().map(|row| row.user_id)))
        .all(db)
        .await?
        .into_iter()
        .map(|user| (user.id, user))
        .collect();
    let mut members: Vec<Member> = rows
        .into_iter()
        .filter_map(|row| Some(to_wire(people.remove(&row.user_id)?, row)))
        .collect();
    members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(members)
}

fn to_wire(user: user::Model, row: member::Model) -> Member {
    Member {
        id: user.id,
        second_factor: has_second_factor(&user),
        email: user.email,
        name: user.name,
        role: row.role,
        enabled: row.enabled,
        joined_at: (row.created_at > 0).then(|| from_ms(row.created_at)),
        last_seen_at: row.seen_at.map(from_ms),
        revision: row.revision,
    }
}

async fn find(
    db: &impl ConnectionTrait,
    scope: Scope,
    id: Uuid,
) -> ApiResult<(user::Model, member::Model)> {
    let row = member::Entity::find_by_id((scope.workspace(), id))
        .one(db)
        .await?;
    let user = user::Entity::find_by_id(id).one(db).await?;
    user.zip(row).ok_or_else(ApiError::not_found)
}

/// Gives a member another role, or switches the membership off and on. It holds at once, on every
/// node: who a person is in a workspace is looked up with every request.
///
/// # Errors
/// 403 for what the caller may not, 404, 409 for the last owner, 412, 422 for a role that is not there.
pub async fn change_member(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeMember,
) -> ApiResult<Member> {
    let change = Change::begin(core).await?;
    let (user, before) = find(&change.txn, caller.scope, id).await?;
    revision.check(before.revision)?;
    may_touch(&change.txn, caller, &before.role).await?;
    let mut after = before.clone();
    if let Some(role) = wanted.role.filter(|role| *role != before.role) {
        may_give(&change.txn, caller, &role).await?;
        after.role = role;
    }
    after.enabled = wanted.enabled.unwrap_or(before.enabled);
    if after == before {
        return Ok(to_wire(user, before));
    }
    after.revision += 1;
    if before.role == OWNER && before.enabled && (after.role != OWNER || !after.enabled) {
        must_leave_an_owner(&change.txn, caller.scope.workspace(), id).await?;
    }
    let mut row = after.clone().into_active_model().reset_all();
    row.not_set(member::Column::SeenAt);
    member::Entity::update(row).exec(&change.txn).await?;
    let (mut old, mut new) = (Map::new(), Map::new());
    if before.role != after.role {
        old.insert("role".to_owned(), json!(before.role));
        new.insert("role".to_owned(), json!(after.role));
    }
    if before.enabled != after.enabled {
        old.insert("enabled".to_owned(), json!(before.enabled));
        new.insert("enabled".to_owned(), json!(after.enabled));
    }
    let shown = (Value::Object(old), Value::Object(new));
    note(core, &change, caller, "member.change", &user, shown).await?;
    change.commit().await?;
    Ok(to_wire(user, after))
}

/// Takes a person out of the workspace. The account stays: it may belong to others.
///
/// # Errors
/// 403 for what the caller may not, 404, 409 for the last owner, 412.
pub async fn remove_member(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    revision: IfMatch,
) -> ApiResult<()> {
    let change = Change::begin(core).await?;
    let (user, row) = find(&change.txn, caller.scope, id).await?;
    revision.check(row.revision)?;
    may_touch(&change.txn, caller, &row.role).await?;
    if row.role == OWNER && row.enabled {
        must_leave_an_owner(&change.txn, caller.scope.workspace(), id).await?;
    }
    member::Entity::delete_by_id((caller.scope.workspace(), id))
        .exec(&change.txn)
        .await?;
    let shown = (
        json!({ "role": row.role, "enabled": row.enabled }),
        Value::Null,
    );
    note(core, &change, caller, "member.remove", &user, shown).await?;
    change.commit().await
}

async fn note(
    core: &Core,
    change: &Change<'_>,
    caller: &Caller,
    action: &'static str,
    user: &user::Model,
    shown: (Value, Value),
) -> ApiResult<()> {
    let act = Act {
        action,
        kind: "person",
        id: Some(user.id),
        name: &user.email,
        before: shown.0,
        after: shown.1,
    };
    let by = Actor::of(caller);
    audit::note(&change.txn, &core.clock, caller.scope, &by, act).await?;
    Ok(())
}
