//! Secrets of sources, connections, credentials and people, sealed and bound to their owner.

use entity::sealed_secret;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::change::Change;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::ids;
use crate::scope::Scope;
use crate::secrets::Secret;

/// Whose secret it is.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// `source`, `connection`, `credential` or `user`.
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
}

impl Owner {
    /// A source; its secret is called `secret`.
    pub const fn source(id: Uuid) -> Self {
        Self { kind: "source", id }
    }

    /// A connection; its secrets are called as the connector says.
    pub const fn connection(id: Uuid) -> Self {
        Self {
            kind: "connection",
            id,
        }
    }
}

impl Owner {
    /// A credential; its secrets are called by its client id, one in each slot.
    pub const fn credential(id: Uuid) -> Self {
        Self {
            kind: "credential",
            id,
        }
    }
}

impl Owner {
    /// A person, who belongs to no workspace; the secret is called `totp`.
    pub const fn user(id: Uuid) -> Self {
        Self { kind: "user", id }
    }
}

/// Name of the secret of a source that we made or were given; the token of its address, where the
/// sender tells the secret that it signs with itself.
pub const SOURCE_SECRET: &str = "secret";
/// Name of the secret that a sender told in its handshake.
pub const HANDSHAKE_SECRET: &str = "handshake";

/// The associated data of a sealed secret: it opens only in this place.
pub fn place_of(row: &sealed_secret::Model) -> String {
    bound(&row.owner_kind, row.owner_id, &row.name, row.slot)
}

fn bound(kind: &str, owner: Uuid, name: &str, slot: i32) -> String {
    format!("{kind}:{owner}:{name}:{slot}")
}

/// Stores a secret in place of the one of this name.
///
/// # Errors
/// The key ring or the database failed.
pub async fn put(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    owner: Owner,
    name: &str,
    secret: &Secret,
) -> ApiResult<()> {
    remove(change, owner, Some(name)).await?;
    put_in(core, change, scope, owner, (name, 0), secret).await
}

/// Stores a secret in a slot that is free: by name and slot.
///
/// # Errors
/// The key ring or the database failed.
pub async fn put_in(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    owner: Owner,
    place: (&str, i32),
    secret: &Secret,
) -> ApiResult<()> {
    let (name, slot) = place;
    let bound = bound(owner.kind, owner.id, name, slot);
    let (key_id, sealed) = core.keyring.seal(&bound, secret)?;
    let row = sealed_secret::ActiveModel {
        id: Set(ids::new(&core.clock)),
        workspace_id: Set(scope.workspace()),
        owner_kind: Set(owner.kind.to_owned()),
        owner_id: Set(owner.id),
        name: Set(name.to_owned()),
        slot: Set(slot),
        key_id: Set(key_id),
        sealed: Set(sealed),
        created_at: Set(change.now),
    };
    sealed_secret::Entity::insert(row)
        .exec_without_returning(&change.txn)
        .await?;
    Ok(())
}

/// Removes a secret in all its slots, or all secrets of an owner.
///
/// # Errors
/// The database failed.
pub async fn remove(change: &Change<'_>, owner: Owner, name: Option<&str>) -> ApiResult<()> {
    let mut delete = sealed_secret::Entity::delete_many()
        .filter(sealed_secret::Column::OwnerKind.eq(owner.kind))
        .filter(sealed_secret::Column::OwnerId.eq(owner.id));
    if let Some(name) = name {
        delete = delete.filter(sealed_secret::Column::Name.eq(name));
    }
    delete.exec(&change.txn).await?;
    Ok(())
}

/// Removes what lies in a slot of an owner.
///
/// # Errors
/// The database failed.
pub async fn remove_slot(change: &Change<'_>, owner: Owner, slot: i32) -> ApiResult<()> {
    sealed_secret::Entity::delete_many()
        .filter(sealed_secret::Column::OwnerKind.eq(owner.kind))
        .filter(sealed_secret::Column::OwnerId.eq(owner.id))
        .filter(sealed_secret::Column::Slot.eq(slot))
        .exec(&change.txn)
        .await?;
    Ok(())
}

/// A secret, by what may be known of it.
#[derive(Clone, Debug)]
pub struct Made {
    /// Whose it is.
    pub owner: Uuid,
    /// Its name.
    pub name: String,
    /// When it was stored, in milliseconds since 1970.
    pub at: i64,
}

/// What is known of the current secrets of a kind in the workspace.
///
/// # Errors
/// The database failed.
pub async fn made(core: &Core, scope: Scope, kind: &str) -> ApiResult<Vec<Made>> {
    let rows = sealed_secret::Entity::find()
        .filter(sealed_secret::Column::WorkspaceId.eq(scope.workspace()))
        .filter(sealed_secret::Column::OwnerKind.eq(kind))
        .filter(sealed_secret::Column::Slot.eq(0))
        .all(core.db.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Made {
            owner: row.owner_id,
            name: row.name,
            at: row.created_at,
        })
        .collect())
}

/// Owner and name of every current secret of a kind in the workspace.
///
/// # Errors
/// The database failed.
pub async fn names(core: &Core, scope: Scope, kind: &str) -> ApiResult<Vec<(Uuid, String)>> {
    let made = made(core, scope, kind).await?;
    let mut all: Vec<_> = made.into_iter().map(|m| (m.owner, m.name)).collect();
    all.sort();
    all.dedup();
    Ok(all)
}
