//! Roles of a workspace: the four that are built in, and those that it makes itself.
//!
//! Invariant: nobody makes, widens or narrows a role that permits more than they may themselves, and
//! a role that a member has is not deleted. Changes wait for each other, so that a member cannot be
//! given a role while it goes.

use entity::{member, role};
use openapi::problem::{Code, FieldError};
use openapi::roles::{ChangeRole, NewRole, Role};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use super::audit::{self, Actor};
use super::change::Change;
use super::validate::{check_name, error};
use crate::auth::{self, CUSTOM, Caller, Permission, stored_permissions};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;

/// Longest name of a role.
const LONGEST_NAME: usize = 100;

/// The word that a membership has for a role of the workspace.
pub fn word(id: Uuid) -> String {
    format!("{CUSTOM}{id}")
}

/// How many members have a role.
///
/// # Errors
/// The database failed.
pub async fn members(db: &impl ConnectionTrait, workspace: Uuid, word: &str) -> Result<u64, DbErr> {
    member::Entity::find()
        .filter(member::Column::WorkspaceId.eq(workspace))
        .filter(member::Column::Role.eq(word))
        .count(db)
        .await
}

/// All roles: the built-in ones, then those of the workspace by name.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, scope: Scope) -> ApiResult<Vec<Role>> {
    let db = core.db.read();
    let mut roles = Vec::new();
    for built_in in auth::Role::ALL {
        let word = built_in.word();
        roles.push(Role {
            id: None,
            word: word.to_owned(),
            name: name_of(*built_in).to_owned(),
            scopes: words(&built_in.permissions()),
            members: members(db, scope.workspace(), word).await?,
            revision: 0,
            created_at: None,
            updated_at: None,
        });
    }
    let rows = role::Entity::find()
        .filter(role::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(role::Column::Name)
        .all(db)
        .await?;
    for row in rows {
        roles.push(to_wire(db, row).await?);
    }
    Ok(roles)
}

/// One role of the workspace.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Role> {
    let row = find(core.db.read(), scope, id).await?;
    Ok(to_wire(core.db.read(), row).await?)
}

/// Makes a role.
///
/// # Errors
/// 403 for a scope that the caller lacks, 409 for a taken name, 422 for faults.
pub async fn create(core: &Core, caller: &Caller, new: NewRole) -> ApiResult<Role> {
    let scope = caller.scope;
    let permissions = check(&new.name, &new.scopes, Some(&caller.permissions))?;
    let change = Change::begin(core).await?;
    let row = role::Model {
        id: ids::new(&core.clock),
        workspace_id: scope.workspace(),
        name: new.name,
        permissions,
        revision: 1,
        created_at: change.now,
        updated_at: change.now,
    };
    role::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&change.txn)
        .await?;
    note(&change, core, caller, (None, Some(&row))).await?;
    change.commit().await?;
    Ok(to_wire(core.db.read(), row).await?)
}

/// Changes a role that was read at a revision.
///
/// # Errors
/// 403 when it permits, or would, what the caller may not; 404, 409, 412, 422.
pub async fn change(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeRole,
) -> ApiResult<Role> {
    let change = Change::begin(core).await?;
    let before = find(&change.txn, caller.scope, id).await?;
    revision.check(before.revision)?;
    must_be_within(&before, caller)?;
    let name = wanted.name.unwrap_or_else(|| before.name.clone());
    let scopes = match wanted.scopes {
        Some(scopes) => scopes,
        None => words(&stored_permissions(&before)),
    };
    let after = role::Model {
        permissions: check(&name, &scopes, Some(&caller.permissions))?,
        name,
        revision: before.revision + 1,
        updated_at: change.now,
        ..before.clone()
    };
    role::Entity::update(after.clone().into_active_model().reset_all())
        .exec(&change.txn)
        .await?;
    note(&change, core, caller, (Some(&before), Some(&after))).await?;
    change.commit().await?;
    Ok(to_wire(core.db.read(), after).await?)
}

/// Deletes a role that nobody has.
///
/// # Errors
/// 403 when it permits what the caller may not; 404, 409 while it is in use, 412.
pub async fn delete(core: &Core, caller: &Caller, id: Uuid, revision: IfMatch) -> ApiResult<()> {
    let change = Change::begin(core).await?;
    let row = find(&change.txn, caller.scope, id).await?;
    revision.check(row.revision)?;
    must_be_within(&row, caller)?;
    let users = members(&change.txn, row.workspace_id, &word(id)).await?;
    if users > 0 {
        return Err(ApiError::new(Code::InUse).detail(in_use(users)));
    }
    role::Entity::delete_by_id(id).exec(&change.txn).await?;
    note(&change, core, caller, (Some(&row), None)).await?;
    change.commit().await
}

/// Why a role is not deleted.
pub fn in_use(members: u64) -> String {
    match members {
        1 => "One member has this role; give them another first.".to_owned(),
        n => format!("{n} members have this role; give them others first."),
    }
}

/// The permissions of a role as they are stored: in their one order, once each. `own` are those of
/// whoever asks; the command line has them all.
///
/// # Errors
/// 403 for one that is not their own, 422 for faults.
pub fn check(name: &str, scopes: &[String], own: Option<&[Permission]>) -> ApiResult<String> {
    let mut lacking = Vec::new();
    let faults = validate(name, scopes);
    for (n, word) in scopes.iter().enumerate() {
        let known = Permission::parse(word);
        if known.is_some_and(|p| own.is_some_and(|own| !own.contains(&p))) {
            let field = format!("scopes[{n}]");
            lacking.push(error(&field, "not_yours", "you do not have this scope"));
        }
    }
    if !lacking.is_empty() {
        return Err(ApiError {
            errors: lacking,
            ..ApiError::new(Code::ScopeMissing)
                .detail("Nobody makes a role that may do more than they may.")
        });
    }
    ApiError::refuse(faults)?;
    Ok(stored(scopes)?)
}

/// The stored form of a list of scopes that was checked.
///
/// # Errors
/// It has no JSON form.
pub fn stored(scopes: &[String]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&in_order(scopes))
}

/// Scopes in their one order, once each; those that are not known stay at the end, to be complained
/// of.
pub fn in_order(scopes: &[String]) -> Vec<String> {
    let known: Vec<Permission> = scopes.iter().filter_map(|w| Permission::parse(w)).collect();
    let unknown = scopes.iter().filter(|w| Permission::parse(w).is_none());
    words(&known).into_iter().chain(unknown.cloned()).collect()
}

/// The faults of a role, whoever makes it.
pub fn validate(name: &str, scopes: &[String]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    check_name(&mut faults, "name", name, LONGEST_NAME);
    let taken = auth::Role::ALL
        .iter()
        .any(|role| name_of(*role).eq_ignore_ascii_case(name.trim()));
    if taken {
        let text = "a built-in role has this name";
        faults.push(error("name", "name_built_in", text));
    }
    for (n, word) in scopes.iter().enumerate() {
        if Permission::parse(word).is_none() {
            let field = format!("scopes[{n}]");
            faults.push(error(&field, "unknown_scope", "there is no such scope"));
        }
    }
    if scopes.is_empty() {
        faults.push(error("scopes", "required", "at least one scope"));
    }
    faults
}

fn must_be_within(row: &role::Model, caller: &Caller) -> ApiResult<()> {
    let lacking = stored_permissions(row)
        .iter()
        .any(|p| !caller.permissions.contains(p));
    if lacking {
        return Err(ApiError::new(Code::ScopeMissing).detail("The role may do what you may not."));
    }
    Ok(())
}

async fn find(db: &impl ConnectionTrait, scope: Scope, id: Uuid) -> ApiResult<role::Model> {
    role::Entity::find_by_id(id)
        .filter(role::Column::WorkspaceId.eq(scope.workspace()))
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)
}

async fn to_wire(db: &impl ConnectionTrait, row: role::Model) -> Result<Role, DbErr> {
    let word = word(row.id);
    Ok(Role {
        id: Some(row.id),
        scopes: words(&stored_permissions(&row)),
        members: members(db, row.workspace_id, &word).await?,
        word,
        name: row.name,
        revision: row.revision,
        created_at: Some(from_ms(row.created_at)),
        updated_at: Some(from_ms(row.updated_at)),
    })
}

async fn note(
    change: &Change<'_>,
    core: &Core,
    caller: &Caller,
    rows: (Option<&role::Model>, Option<&role::Model>),
) -> ApiResult<()> {
    if let Some(row) = rows.1.or(rows.0) {
        let (txn, clock, by) = (&change.txn, &core.clock, Actor::of(caller));
        let subject = (row.id, row.name.as_str());
        audit::note_row(txn, clock, caller.scope, &by, subject, rows, &[]).await?;
    }
    Ok(())
}

/// The words, in the order of the documentation, once each.
fn words(permissions: &[Permission]) -> Vec<String> {
    Permission::ALL
        .iter()
        .filter(|p| permissions.contains(p))
        .map(|p| p.word().to_owned())
        .collect()
}

const fn name_of(role: auth::Role) -> &'static str {
    match role {
        auth::Role::Owner => "Owner",
        auth::Role::Admin => "Admin",
        auth::Role::Operator => "Operator",
        auth::Role::Viewer => "Viewer",
    }
}
