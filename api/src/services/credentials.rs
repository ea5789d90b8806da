//! Credentials of API clients: what there is, and what somebody should know about it.
//!
//! A credential has one live secret, or two while its clients move from one to the other; exactly
//! one of them is primary. Writers are in `write` (the credential) and `secrets` (its secrets).

mod secrets;
mod write;

use std::collections::HashMap;

use entity::{credential, credential_secret};
use ipnet::IpNet;
use openapi::credentials::{
    Credential, CredentialKind, CredentialSecret, CredentialStatus, CredentialWarning, Rotation,
    SecretSlot,
};
use openapi::notices::Notice;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{self, Act, Actor};
use super::change::Change;
use super::sources::stored;
use crate::clock::from_ms;
use crate::core::Core;
use crate::db::Db;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql;
use crate::scope::Scope;

pub use secrets::{Retirement, add, promote, retire};
pub use write::{change, create, delete, revoke};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long before its time something is told.
const SOON_MS: i64 = 7 * DAY_MS;
/// How long before its end an old secret should not be in use any more.
const IDLE_MS: i64 = 2 * DAY_MS;

/// A credential with its live secrets, the primary one first.
#[derive(Clone, Debug)]
struct Held {
    row: credential::Model,
    secrets: Vec<credential_secret::Model>,
}

/// All credentials of the workspace, by name.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, scope: Scope) -> ApiResult<Vec<Credential>> {
    let now = core.clock.now_ms();
    held(core, scope)
        .await?
        .iter()
        .map(|held| held.to_wire(now))
        .collect()
}

async fn held(core: &Core, scope: Scope) -> ApiResult<Vec<Held>> {
    let db = core.db.read();
    let rows = credential::Entity::find()
        .filter(credential::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(credential::Column::Name)
        .order_by_asc(credential::Column::Id)
        .all(db)
        .await?;
    let mut secrets: HashMap<Uuid, Vec<credential_secret::Model>> = HashMap::new();
    for secret in credential_secret::Entity::find()
        .filter(credential_secret::Column::CredentialId.is_in(rows.iter().map(|row| row.id)))
        .order_by_desc(credential_secret::Column::IsPrimary)
        .all(db)
        .await?
    {
        let own = secrets.entry(secret.credential_id).or_default();
        own.push(secret);
    }
    let held = rows.into_iter().map(|row| Held {
        secrets: secrets.remove(&row.id).unwrap_or_default(),
        row,
    });
    Ok(held.collect())
}

/// One credential.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Credential> {
    find(core.db.read(), scope, id)
        .await?
        .to_wire(core.clock.now_ms())
}

async fn find(db: &impl ConnectionTrait, scope: Scope, id: Uuid) -> ApiResult<Held> {
    let row = credential::Entity::find_by_id(id)
        .filter(credential::Column::WorkspaceId.eq(scope.workspace()))
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)?;
    Ok(Held {
        secrets: secrets_of(db, id).await?,
        row,
    })
}

async fn secrets_of(
    db: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Vec<credential_secret::Model>, DbErr> {
    credential_secret::Entity::find()
        .filter(credential_secret::Column::CredentialId.eq(id))
        .order_by_desc(credential_secret::Column::IsPrimary)
        .all(db)
        .await
}

impl Held {
    fn kind(&self) -> CredentialKind {
        if self.row.kind == CredentialKind::Bearer.word() {
            CredentialKind::Bearer
        } else {
            CredentialKind::Hmac
        }
    }

    fn status(&self, now: i64) -> CredentialStatus {
        if self.row.revoked_at.is_some() {
            CredentialStatus::Revoked
        } else if !self.row.enabled {
            CredentialStatus::Disabled
        } else if self.row.expires_at.is_some_and(|end| end <= now) {
            CredentialStatus::Expired
        } else {
            CredentialStatus::Active
        }
    }

    fn rotation(&self) -> Option<Rotation> {
        Some(Rotation {
            every_days: u32::try_from(self.row.rotate_days?).unwrap_or_default(),
            overlap_days: u32::try_from(self.row.overlap_days).unwrap_or_default(),
        })
    }

    /// When the newest secret is due to be replaced. While clients move, it is being replaced.
    fn rotation_due(&self) -> Option<i64> {
        let newest = self.secrets.iter().map(|s| s.created_at).max()?;
        Some(newest + i64::from(self.row.rotate_days?) * DAY_MS)
    }

    fn scopes(&self) -> ApiResult<Vec<String>> {
        stored("credential.scopes", &self.row.scopes)
    }

    fn networks(&self) -> ApiResult<Vec<String>> {
        stored("credential.allow_cidrs", &self.row.allow_cidrs)
    }

    fn to_wire(&self, now: i64) -> ApiResult<Credential> {
        let row = &self.row;
        let secrets = self.secrets.iter().map(|secret| CredentialSecret {
            slot: if secret.is_primary {
                SecretSlot::Primary
            } else {
                SecretSlot::Secondary
            },
            created_at: from_ms(secret.created_at),
            retires_at: secret.retire_at.map(from_ms),
            last_used_at: secret.last_used_at.map(from_ms),
            last_used_addr: secret.last_used_addr.clone(),
        });
        Ok(Credential {
            id: row.id,
            client_id: row.client_id.clone(),
            name: row.name.clone(),
            kind: self.kind(),
            status: self.status(now),
            scopes: self.scopes()?,
            allow_cidrs: self.networks()?,
            legacy: row.legacy,
            expires_at: row.expires_at.map(from_ms),
            rotation: self.rotation(),
            rotation_due_at: self.rotation_due().map(from_ms),
            secrets: secrets.collect(),
            last_used_at: row.last_used_at.map(from_ms),
            rate_per_minute: row.rate_per_minute.and_then(|n| u32::try_from(n).ok()),
            last_used_addr: row.last_used_addr.clone(),
            revoked_at: row.revoked_at.map(from_ms),
            warnings: self
                .warnings(now)?
                .into_iter()
                .map(|(code, message)| CredentialWarning {
                    code: code.to_owned(),
                    message,
                })
                .collect(),
            revision: row.revision,
            created_at: from_ms(row.created_at),
            updated_at: from_ms(row.updated_at.max(row.created_at)),
        })
    }

    fn warnings(&self, now: i64) -> ApiResult<Vec<(&'static str, String)>> {
        let mut warnings = Vec::new();
        if self.status(now) == CredentialStatus::Revoked {
            return Ok(warnings);
        }
        if self.kind() == CredentialKind::Bearer && self.networks()?.iter().any(|n| is_any(n)) {
            warnings.push((
                "any_address",
                "Whoever has the token may use it from anywhere.".to_owned(),
            ));
        }
        if self.row.legacy {
            warnings.push((
                "legacy_form",
                "The plain form of signatures is accepted: it binds neither query nor nonce."
                    .to_owned(),
            ));
        }
        warnings.extend(self.reminders(now));
        Ok(warnings)
    }

    /// What is to be done soon.
    fn reminders(&self, now: i64) -> Vec<(&'static str, String)> {
        let mut reminders = Vec::new();
        if self.status(now) != CredentialStatus::Active {
            return reminders;
        }
        let day = |at: i64| from_ms(at).format("%Y-%m-%d").to_string();
        if let Some(due) = self.rotation_due().filter(|due| due - SOON_MS <= now) {
            let word = if due <= now { "was" } else { "is" };
            reminders.push((
                "rotation_due",
                format!(
                    "A new secret {word} due on {}. Add one and move the clients.",
                    day(due)
                ),
            ));
        }
        if let Some(end) = self.row.expires_at.filter(|end| end - SOON_MS <= now) {
            reminders.push((
                "expires_soon",
                format!("The credential expires on {}.", day(end)),
            ));
        }
        for secret in &self.secrets {
            let Some(end) = secret.retire_at.filter(|end| end - IDLE_MS <= now) else {
                continue;
            };
            if secret.last_used_at.is_some_and(|at| now - at < IDLE_MS) {
                reminders.push((
                    "old_secret_in_use",
                    format!("The old secret ends on {} and is still in use.", day(end)),
                ));
            }
        }
        reminders
    }
}

fn is_any(network: &str) -> bool {
    network
        .parse::<IpNet>()
        .is_ok_and(|network| network.prefix_len() == 0)
}

/// What is to be done about credentials soon, for the list of notices.
///
/// # Errors
/// The database failed.
pub async fn notices(core: &Core, scope: Scope) -> ApiResult<Vec<Notice>> {
    let now = core.clock.now_ms();
    let mut notices = Vec::new();
    for held in held(core, scope).await? {
        for (_, text) in held.reminders(now) {
            notices.push(Notice {
                kind: "credential".to_owned(),
                colour: "amber".to_owned(),
                id: Some(held.row.id),
                name: held.row.name.clone(),
                text,
                since: None,
            });
        }
    }
    Ok(notices)
}

/// Gives credentials of the version before the row that their token has today.
///
/// # Errors
/// The database failed.
pub async fn catch_up(db: &Db) -> Result<(), DbErr> {
    let missing = "kind = 'bearer' AND revoked_at IS NULL AND secret_hash <> '' \
                   AND NOT EXISTS (SELECT 1 FROM credential_secret s WHERE s.credential_id = credential.id)";
    let query = format!("SELECT id FROM credential WHERE {missing}");
    if sql::rows(db.read(), query, Vec::new()).await?.is_empty() {
        return Ok(());
    }
    let query = format!(
        "INSERT INTO credential_secret (credential_id, slot, is_primary, hash, created_at, retire_at, \
         last_used_at, last_used_addr) \
         SELECT id, 0, TRUE, secret_hash, created_at, NULL, last_used_at, NULL \
         FROM credential WHERE {missing} ON CONFLICT DO NOTHING"
    );
    sql::execute(db.write(), query, Vec::new()).await?;
    Ok(())
}

/// A line of the audit log about a credential.
async fn note(
    change: &Change<'_>,
    core: &Core,
    by: &Actor,
    action: &'static str,
    before: Option<&Held>,
    after: Option<&Held>,
) -> ApiResult<()> {
    let Some(held) = after.or(before) else {
        return Ok(());
    };
    let mut shown = [Value::Null, Value::Null];
    for (place, held) in shown.iter_mut().zip([before, after]) {
        if let Some(held) = held {
            *place = held.shown(change.now)?;
        }
    }
    if let [Value::Object(old), Value::Object(new)] = &mut shown {
        let same: Vec<String> = old
            .iter()
            .filter(|(name, value)| new.get(*name) == Some(value))
            .map(|(name, _)| name.clone())
            .collect();
        for name in same {
            old.remove(&name);
            new.remove(&name);
        }
    }
    let [before, after] = shown;
    let act = Act {
        action,
        kind: "credential",
        id: Some(held.row.id),
        name: &held.row.name,
        before,
        after,
    };
    let scope = Scope::granted(held.row.workspace_id);
    audit::note(&change.txn, &core.clock, scope, by, act).await?;
    Ok(())
}

impl Held {
    /// For the audit log: no secret, nothing that changes by use.
    fn shown(&self, now: i64) -> ApiResult<Value> {
        let wire = self.to_wire(now)?;
        let secrets: Vec<Value> = wire
            .secrets
            .iter()
            .map(
                |s| json!({"slot": s.slot, "created_at": s.created_at, "retires_at": s.retires_at}),
            )
            .collect();
        Ok(json!({
            "client_id": wire.client_id, "name": wire.name, "kind": wire.kind,
            "status": wire.status, "scopes": wire.scopes, "allow_cidrs": wire.allow_cidrs,
            "legacy": wire.legacy, "expires_at": wire.expires_at, "rotation": wire.rotation,
            "live": secrets, "revision": wire.revision,
        }))
    }
}
