//! Tenants.

mod removal;

use entity::{member, workspace};
use openapi::workspaces::{NewWorkspace, RenameWorkspace, Workspace};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use super::audit::{self, Actor};
use super::change::Change;
use super::validate::{check_name, check_slug};
use crate::auth::{self, Caller, Role};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;

pub use removal::{Removal, preview as removal, remove};

/// Whether a workspace is that of the request: the permission was checked there and holds nowhere
/// else.
///
/// # Errors
/// 404.
pub fn must_be_own(caller: &Caller, id: Uuid) -> ApiResult<()> {
    if id == caller.scope.workspace() {
        return Ok(());
    }
    Err(ApiError::not_found()
        .detail("Send X-Workspace with the slug of the workspace that is meant."))
}

/// The wire form.
pub fn to_wire(row: workspace::Model) -> Workspace {
    Workspace {
        id: row.id,
        slug: row.slug,
        name: row.name,
        created_at: from_ms(row.created_at),
    }
}

/// The workspaces that the caller may enter, oldest first.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, caller: &Caller) -> ApiResult<Vec<Workspace>> {
    let own = match &caller.actor {
        auth::Actor::Credential { .. } => vec![caller.scope.workspace()],
        auth::Actor::Person { user_id, .. } => member::Entity::find()
            .filter(member::Column::UserId.eq(*user_id))
            .filter(member::Column::Enabled.eq(true))
            .all(core.db.read())
            .await?
            .into_iter()
            .map(|m| m.workspace_id)
            .collect(),
    };
    let rows = workspace::Entity::find()
        .filter(workspace::Column::Id.is_in(own))
        .order_by_asc(workspace::Column::CreatedAt)
        .order_by_asc(workspace::Column::Id)
        .all(core.db.read())
        .await?;
    Ok(rows.into_iter().map(to_wire).collect())
}

/// One of them.
///
/// # Errors
/// 404 if the caller may not enter it.
pub async fn get(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<Workspace> {
    list(core, caller)
        .await?
        .into_iter()
        .find(|w| w.id == id)
        .ok_or_else(ApiError::not_found)
}

/// Makes a workspace; the person who makes it becomes its owner. A credential belongs to one
/// workspace and can make none.
///
/// # Errors
/// 403 for a credential, 409 for a taken slug, 422 for a bad name.
pub async fn create(core: &Core, caller: &Caller, new: NewWorkspace) -> ApiResult<Workspace> {
    let auth::Actor::Person { user_id, .. } = &caller.actor else {
        return Err(ApiError::new(openapi::problem::Code::ScopeMissing)
            .detail("A credential belongs to one workspace; a person makes others."));
    };
    let mut faults = Vec::new();
    check_slug(&mut faults, "slug", &new.slug, 40);
    check_name(&mut faults, "name", &new.name, 100);
    ApiError::refuse(faults)?;
    let change = Change::begin(core).await?;
    let row = workspace::Model {
        id: ids::new(&core.clock),
        slug: new.slug,
        name: new.name,
        created_at: change.now,
        require_second_factor: false,
        deleting_at: None,
    };
    workspace::Entity::insert(workspace::ActiveModel {
        id: Set(row.id),
        slug: Set(row.slug.clone()),
        name: Set(row.name.clone()),
        created_at: Set(row.created_at),
        ..Default::default()
    })
    .exec_without_returning(&change.txn)
    .await?;
    let (by, scope) = (Actor::of(caller), Scope::granted(row.id));
    let (subject, rows) = ((row.id, row.slug.as_str()), (None, Some(&row)));
    audit::note_row(&change.txn, &core.clock, scope, &by, subject, rows, &[]).await?;
    member::Entity::insert(member::ActiveModel {
        workspace_id: Set(row.id),
        user_id: Set(*user_id),
        role: Set(Role::Owner.word().to_owned()),
        created_at: Set(change.now),
        ..Default::default()
    })
    .exec_without_returning(&change.txn)
    .await?;
    change.commit().await?;
    Ok(to_wire(row))
}

/// Renames the workspace that the caller acts in.
///
/// # Errors
/// 404 for another workspace, 422 for a bad name.
pub async fn rename(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    new: RenameWorkspace,
) -> ApiResult<Workspace> {
    must_be_own(caller, id)?;
    let mut faults = Vec::new();
    check_name(&mut faults, "name", &new.name, 100);
    ApiError::refuse(faults)?;
    let change = Change::begin(core).await?;
    let before = workspace::Entity::find_by_id(id)
        .one(&change.txn)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let after = workspace::Model {
        name: new.name,
        ..before.clone()
    };
    workspace::Entity::update(after.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    let (by, subject) = (Actor::of(caller), (id, after.slug.as_str()));
    let (clock, rows) = (&core.clock, (Some(&before), Some(&after)));
    audit::note_row(&change.txn, clock, caller.scope, &by, subject, rows, &[]).await?;
    change.commit().await?;
    get(core, caller, id).await
}
