//! Sealing everything anew, and what the stored secrets are sealed with.

use std::collections::BTreeMap;

use entity::{mail, sealed_secret};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;
use uuid::Uuid;

use super::{Keyring, KeyringError};
use crate::clock::Clock;
use crate::db::Db;
use crate::mail::place as place_of_mail;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::sealed::place_of;

/// Rows of one transaction.
const BATCH: u64 = 100;

/// How many secrets a key seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The key.
    pub key_id: String,
    /// Stored secrets.
    pub secrets: i64,
}

/// What went wrong while sealing anew.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// A secret cannot be opened or sealed.
    #[error(transparent)]
    Keys(#[from] KeyringError),
}

/// The keys that stored secrets are sealed with.
///
/// # Errors
/// The database failed.
pub async fn in_use(db: &Db) -> Result<Vec<Use>, DbErr> {
    let stored: Vec<(String, i64)> = sealed_secret::Entity::find()
        .select_only()
        .column(sealed_secret::Column::KeyId)
        .column_as(sealed_secret::Column::Id.count(), "secrets")
        .group_by(sealed_secret::Column::KeyId)
        .into_tuple()
        .all(db.read())
        .await?;
    // The text of a mail is sealed until it is sent.
    let waiting: Vec<(String, i64)> = mail::Entity::find()
        .select_only()
        .column(mail::Column::KeyId)
        .column_as(mail::Column::Id.count(), "secrets")
        .filter(mail::Column::KeyId.ne(""))
        .group_by(mail::Column::KeyId)
        .into_tuple()
        .all(db.read())
        .await?;
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for (key_id, secrets) in stored.into_iter().chain(waiting) {
        *sums.entry(key_id).or_default() += secrets;
    }
    Ok(sums
        .into_iter()
        .map(|(key_id, secrets)| Use { key_id, secrets })
        .collect())
}

/// The same for mails that wait.
async fn rewrap_mail(db: &Db, keyring: &Keyring, current: &str) -> Result<u64, RewrapError> {
    let rows = mail::Entity::find()
        .filter(mail::Column::KeyId.is_not_in(["", current]))
        .all(db.read())
        .await?;
    let mut done = 0;
    for row in rows {
        let place = place_of_mail(row.id);
        let text = keyring.open(&place, &row.key_id, &row.sealed)?;
        let (key_id, sealed) = keyring.seal(&place, &text)?;
        // One that is sent meanwhile has no text any more.
        let changed = mail::Entity::update_many()
            .col_expr(mail::Column::KeyId, Expr::value(key_id))
            .col_expr(mail::Column::Sealed, Expr::value(sealed))
            .filter(mail::Column::Id.eq(row.id))
            .filter(mail::Column::Sealed.eq(row.sealed))
            .exec(db.write())
            .await?;
        done += changed.rows_affected;
    }
    Ok(done)
}

/// Looks whether the ring has every key in use, and the right ones: a wrong ring is found at the
/// start, not when the first secret is needed.
///
/// # Errors
/// It has not.
pub async fn check(db: &Db, keyring: &Keyring) -> Result<(), RewrapError> {
    for used in in_use(db).await? {
        let row = sealed_secret::Entity::find()
            .filter(sealed_secret::Column::KeyId.eq(&used.key_id))
            .order_by_asc(sealed_secret::Column::Id)
            .one(db.read())
            .await?;
        if let Some(row) = row {
            keyring.open(&place_of(&row), &row.key_id, &row.sealed)?;
        }
    }
    Ok(())
}

/// Seals everything that is sealed with another key than the current one anew, in small
/// transactions; a secret that is changed meanwhile is left to its change. Returns how many.
///
/// # Errors
/// The database failed, or a secret cannot be opened; what was sealed anew stays so.
pub async fn rewrap(db: &Db, keyring: &Keyring, clock: &Clock) -> Result<u64, RewrapError> {
    let current = keyring.ring()?.current().to_owned();
    let mut done = rewrap_mail(db, keyring, &current).await?;
    let mut after = Uuid::nil();
    let mut by_workspace: BTreeMap<Uuid, u64> = BTreeMap::new();
    loop {
        let rows = sealed_secret::Entity::find()
            .filter(sealed_secret::Column::KeyId.ne(&current))
            .filter(sealed_secret::Column::Id.gt(after))
            .order_by_asc(sealed_secret::Column::Id)
            .limit(BATCH)
            .all(db.read())
            .await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        let txn = db.begin().await?;
        for row in rows {
            let place = place_of(&row);
            let secret = keyring.open(&place, &row.key_id, &row.sealed)?;
            let (key_id, sealed) = keyring.seal(&place, &secret)?;
            let changed = sealed_secret::Entity::update_many()
                .col_expr(sealed_secret::Column::KeyId, Expr::value(key_id))
                .col_expr(sealed_secret::Column::Sealed, Expr::value(sealed))
                .filter(sealed_secret::Column::Id.eq(row.id))
                .filter(sealed_secret::Column::Sealed.eq(row.sealed))
                .exec(&txn)
                .await?;
            done += changed.rows_affected;
            *by_workspace.entry(row.workspace_id).or_default() += changed.rows_affected;
        }
        txn.commit().await?;
    }
    for (workspace, secrets) in by_workspace {
        let txn = db.begin().await?;
        let act = Act {
            action: "keys.rotate",
            kind: "key",
            id: None,
            name: &current,
            before: serde_json::Value::Null,
            after: json!({ "key_id": current, "secrets": secrets }),
        };
        let by = Actor::system("keys");
        audit::note(&txn, clock, Scope::granted(workspace), &by, act).await?;
        txn.commit().await?;
    }
    Ok(done)
}
