//! Who may make whom what.
//!
//! Nobody hands out a role that permits more than they may themselves, and nobody touches a member
//! who may do more. What an owner is, only owners give and take.

use entity::member;
use openapi::problem::Code;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::auth::{Actor, Caller, permissions_of};
use crate::http::problem::{ApiError, ApiResult};

/// The role that always stays in a workspace.
pub(super) const OWNER: &str = "owner";

/// Refuses to hand out a role.
///
/// # Errors
/// 403 when it permits more than the caller may, 422 when there is none of this name.
pub(super) async fn may_give(
    db: &impl ConnectionTrait,
    caller: &Caller,
    role: &str,
) -> ApiResult<()> {
    let workspace = caller.scope.workspace();
    let Some(permissions) = permissions_of(db, workspace, role).await? else {
        return Err(ApiError::invalid(
            "role",
            "unknown_role",
            "there is no such role",
        ));
    };
    let lacking = permissions
        .iter()
        .any(|permission| !caller.permissions.contains(permission));
    if lacking || (role == OWNER && !is_owner(db, caller).await?) {
        return Err(ApiError::new(Code::ScopeMissing)
            .detail("Nobody hands out a role that may do more than they may.")
            .at("role", "not_yours", "you may not hand out this role"));
    }
    Ok(())
}

/// Refuses to change or remove a member of this role.
///
/// # Errors
/// 403 when the member may do more than the caller.
pub(super) async fn may_touch(
    db: &impl ConnectionTrait,
    caller: &Caller,
    role: &str,
) -> ApiResult<()> {
    let permissions = permissions_of(db, caller.scope.workspace(), role).await?;
    let more = permissions
        .unwrap_or_default()
        .iter()
        .any(|permission| !caller.permissions.contains(permission));
    if more || (role == OWNER && !is_owner(db, caller).await?) {
        return Err(ApiError::new(Code::ScopeMissing)
            .detail("This person may do more than you; somebody of that role has to do it."));
    }
    Ok(())
}

async fn is_owner(db: &impl ConnectionTrait, caller: &Caller) -> ApiResult<bool> {
    let Actor::Person { user_id, .. } = &caller.actor else {
        return Ok(false);
    };
    let row = member::Entity::find_by_id((caller.scope.workspace(), *user_id))
        .one(db)
        .await?;
    Ok(row.is_some_and(|row| row.enabled && row.role == OWNER))
}

/// Refuses to leave a workspace without an owner.
///
/// # Errors
/// 409 when this is the last one.
pub(super) async fn must_leave_an_owner(
    db: &impl ConnectionTrait,
    workspace: Uuid,
    leaving: Uuid,
) -> ApiResult<()> {
    let owners = member::Entity::find()
        .filter(member::Column::WorkspaceId.eq(workspace))
        .filter(member::Column::Role.eq(OWNER))
        .filter(member::Column::Enabled.eq(true))
        .filter(member::Column::UserId.ne(leaving))
        .all(db)
        .await?;
    let living = entity::user::Entity::find()
        .filter(entity::user::Column::Id.is_in(owners.iter().map(|m| m.user_id)))
        .filter(entity::user::Column::DisabledAt.is_null())
        .one(db)
        .await?;
    if living.is_some() {
        return Ok(());
    }
    Err(ApiError::new(Code::Conflict)
        .detail("A workspace always has an owner; make somebody else one first."))
}
