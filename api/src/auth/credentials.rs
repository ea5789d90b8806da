//! Bearer credentials: found, verified, remembered for a short while.
//!
//! A verified token is remembered as its SHA-256, so that a hot client costs one hash and no query.
//! The row is read again every few seconds, so that a revocation takes effect on every node within
//! that time; the slow hash is only computed again when the stored one has changed.

use std::collections::HashMap;
use std::sync::Arc;

use engine::secret::constant_time_eq;
use entity::credential;
use ipnet::IpNet;
use parking_lot::Mutex;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::permission::Permission;
use super::{check_bearer, verify_password};
use crate::core::Core;
use crate::http::problem::ApiError;

/// Milliseconds for which a row is believed.
const FRESH_MS: i64 = 5_000;
/// Milliseconds between two notes of the last use.
const USED_MS: i64 = 60_000;
/// Clients that are remembered.
const CLIENTS: usize = 1_000;

/// A credential that was presented with the right token.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub id: Uuid,
    pub client_id: String,
    pub workspace: Uuid,
    pub permissions: Arc<[Permission]>,
    pub networks: Arc<[IpNet]>,
    enabled: bool,
    expires_at: Option<i64>,
    secret_hash: Arc<str>,
}

#[derive(Clone)]
struct Remembered {
    digest: [u8; 32],
    read_at: i64,
    known: Known,
}

#[derive(Default)]
pub(super) struct Credentials(Mutex<HashMap<String, Remembered>>);

impl Credentials {
    /// The credential of a token; none when it is unknown, wrong, revoked or expired.
    pub async fn verify(&self, core: &Core, token: &str) -> Result<Option<Known>, ApiError> {
        let Some(client) = check_bearer(token) else {
            return Ok(None);
        };
        let now = core.clock.now_ms();
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let remembered = self.0.lock().get(client).cloned();
        let verified = remembered
            .as_ref()
            .filter(|r| constant_time_eq(&r.digest, &digest));
        if let Some(fresh) = verified.filter(|r| (0..FRESH_MS).contains(&(now - r.read_at))) {
            return Ok(alive(fresh.known.clone(), now));
        }
        let row = credential::Entity::find()
            .filter(credential::Column::ClientId.eq(client))
            .filter(credential::Column::Kind.eq("bearer"))
            .one(core.db.read())
            .await?;
        let Some(row) = row else {
            self.0.lock().remove(client);
            // As slow as for a known client.
            verify_password(token, None).await?;
            return Ok(None);
        };
        let same = verified.is_some_and(|r| *r.known.secret_hash == *row.secret_hash);
        if !same && !verify_password(token, Some(&row.secret_hash)).await? {
            return Ok(None);
        }
        if row.last_used_at.is_none_or(|at| now - at >= USED_MS) {
            // A database that takes no writes can still be looked at.
            if let Err(error) = note_use(core, row.id, now).await {
                tracing::warn!(%error, "The use of a credential could not be noted.");
            }
        }
        let known = Known::from(row);
        self.remember(client, digest, now, known.clone());
        Ok(alive(known, now))
    }

    fn remember(&self, client: &str, digest: [u8; 32], now: i64, known: Known) {
        let mut all = self.0.lock();
        if all.len() >= CLIENTS {
            all.retain(|_, r| now - r.read_at < FRESH_MS);
        }
        if all.len() < CLIENTS {
            let remembered = Remembered {
                digest,
                read_at: now,
                known,
            };
            all.insert(client.to_owned(), remembered);
        }
    }
}

fn alive(known: Known, now: i64) -> Option<Known> {
    (known.enabled && known.expires_at.is_none_or(|end| now < end)).then_some(known)
}

async fn note_use(core: &Core, id: Uuid, now: i64) -> Result<(), DbErr> {
    credential::Entity::update_many()
        .set(credential::ActiveModel {
            last_used_at: Set(Some(now)),
            ..Default::default()
        })
        .filter(credential::Column::Id.eq(id))
        .exec(core.db.write())
        .await?;
    Ok(())
}

impl From<credential::Model> for Known {
    /// What cannot be read permits nothing: an unknown scope is no scope, an unreadable list of
    /// networks lets nobody in.
    fn from(row: credential::Model) -> Self {
        let scopes: Vec<String> = serde_json::from_str(&row.scopes).unwrap_or_default();
        let networks: Vec<IpNet> = serde_json::from_str(&row.allow_cidrs).unwrap_or_default();
        Self {
            id: row.id,
            client_id: row.client_id,
            workspace: row.workspace_id,
            permissions: scopes.iter().filter_map(|s| Permission::parse(s)).collect(),
            networks: networks.into(),
            enabled: row.enabled,
            expires_at: row.expires_at,
            secret_hash: row.secret_hash.into(),
        }
    }
}
