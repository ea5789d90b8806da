//! Credentials: found, proven, remembered for a short while.
//!
//! Invariant: what a credential may is believed for at most five seconds, and only while the
//! configuration that it was read from is the one that is served; so a revocation takes effect at
//! once on the node that made it, within a second on the others, and within five seconds on a node
//! that hears nothing. A node that cannot read a credential anew refuses it (503), except, for a
//! while, for the numbers (see `http::scrapers`).
//!
//! A verified token is remembered as its SHA-256, so that a hot client costs one hash and no query;
//! the slow hash is only computed again when the stored one has changed. Opened signing secrets lie
//! in memory for as long as the entry does. A crash loses the memory and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use engine::secret::{Secret, constant_time_eq};
use engine::signature::{RequestSignature, SignedRequest};
use entity::{credential, credential_secret, sealed_secret};
use ipnet::IpNet;
use openapi::credentials::{CredentialKind, SecretSlot};
use parking_lot::Mutex;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::permission::Permission;
use super::{check_bearer, verify_password};
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::services::sealed::place_of;

/// Milliseconds for which a row is believed.
const FRESH_MS: i64 = 5_000;
/// Clients that are remembered.
const CLIENTS: usize = 1_000;

/// A credential as it is stored, ready to be checked.
#[derive(Debug)]
pub(super) struct Known {
    pub id: Uuid,
    pub client_id: String,
    pub name: String,
    pub workspace: Uuid,
    pub permissions: Arc<[Permission]>,
    pub legacy: bool,
    /// Requests a minute; none: what the settings say.
    pub rate_per_minute: Option<u32>,
    /// None: the list cannot be read.
    networks: Option<Vec<IpNet>>,
    kind: CredentialKind,
    enabled: bool,
    expires_at: Option<i64>,
    secrets: Vec<KnownSecret>,
}

#[derive(Debug)]
struct KnownSecret {
    slot: i32,
    is_primary: bool,
    hash: Arc<str>,
    key: Secret,
    retire_at: Option<i64>,
}

/// A credential whose secret was proven.
#[derive(Clone, Debug)]
pub(super) struct Proven {
    pub known: Arc<Known>,
    /// Where the secret is stored.
    pub stored_in: i32,
    /// What it is called.
    pub slot: SecretSlot,
}

impl Known {
    /// Whether it may be used now.
    pub fn is_alive(&self, now: i64) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| now < end)
    }

    /// The network that an address lies in, if the credential may be used from there. Only one that
    /// signs may have no list.
    pub fn network_of(&self, address: std::net::IpAddr) -> Option<Option<IpNet>> {
        let networks = self.networks.as_ref()?;
        if networks.is_empty() && self.kind == CredentialKind::Hmac {
            return Some(None);
        }
        let address = address.to_canonical();
        let found = networks.iter().find(|network| network.contains(&address))?;
        Some(Some(*found))
    }

    fn live(&self, now: i64) -> impl Iterator<Item = &KnownSecret> {
        self.secrets
            .iter()
            .filter(move |secret| secret.retire_at.is_none_or(|end| now < end))
    }

    fn proven(self: &Arc<Self>, slot: i32) -> Option<Proven> {
        let secret = self.secrets.iter().find(|secret| secret.slot == slot)?;
        Some(Proven {
            known: Arc::clone(self),
            stored_in: slot,
            slot: if secret.is_primary {
                SecretSlot::Primary
            } else {
                SecretSlot::Secondary
            },
        })
    }
}

/// A token that fitted a stored hash.
#[derive(Clone)]
struct Verified {
    digest: [u8; 32],
    slot: i32,
    hash: Arc<str>,
}

impl Verified {
    /// Whether it was this token that fitted this secret, as that is stored now.
    fn fits(&self, secret: &KnownSecret, digest: &[u8; 32]) -> bool {
        self.slot == secret.slot
            && self.hash == secret.hash
            && constant_time_eq(&self.digest, digest)
    }
}

#[derive(Clone)]
struct Remembered {
    read_at: i64,
    revision: i64,
    known: Arc<Known>,
    verified: Vec<Verified>,
}

#[derive(Default)]
pub(super) struct Credentials(Mutex<HashMap<String, Remembered>>);

impl Credentials {
    /// The credential of a token; none when it is unknown or wrong.
    pub async fn of_token(&self, core: &Core, token: &str) -> ApiResult<Option<Proven>> {
        let Some(client) = check_bearer(token) else {
            return Ok(None);
        };
        let now = core.clock.now_ms();
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let Some(found) = self.find(core, client, CredentialKind::Bearer, now).await? else {
            // As slow as for a known client.
            verify_password(token, None).await?;
            return Ok(None);
        };
        let live = || found.known.live(now);
        for secret in live() {
            if found.verified.iter().any(|v| v.fits(secret, &digest)) {
                return Ok(found.known.proven(secret.slot));
            }
        }
        if live().next().is_none() {
            verify_password(token, None).await?;
        }
        for secret in live() {
            if verify_password(token, Some(&secret.hash)).await? {
                let verified = Verified {
                    digest,
                    slot: secret.slot,
                    hash: Arc::clone(&secret.hash),
                };
                self.remember_token(client, verified);
                return Ok(found.known.proven(secret.slot));
            }
        }
        Ok(None)
    }

    /// The credential of a token that was proven, as it was read at most `longest` milliseconds ago;
    /// none when the configuration has changed since, or its time is over. Does not ask the database.
    pub fn remembered(
        &self,
        token: &str,
        revision: i64,
        now: i64,
        longest: i64,
    ) -> Option<Arc<Known>> {
        let client = check_bearer(token)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let all = self.0.lock();
        let found = all.get(client)?;
        let known = &found.known;
        let good = found.revision == revision
            && (0..longest).contains(&(now - found.read_at))
            && known.kind == CredentialKind::Bearer
            && known.is_alive(now)
            && known
                .live(now)
                .any(|secret| found.verified.iter().any(|v| v.fits(secret, &digest)));
        good.then(|| Arc::clone(known))
    }

    /// The credential that signed a request; none when it is unknown or another key did. Costs the
    /// same in each case.
    pub async fn of_signature(
        &self,
        core: &Core,
        signature: &RequestSignature,
        request: &SignedRequest<'_>,
    ) -> ApiResult<Option<Proven>> {
        let now = core.clock.now_ms();
        let found = self
            .find(core, &signature.client, CredentialKind::Hmac, now)
            .await?;
        let known = found.as_ref().map(|found| &found.known);
        let (mut keys, mut slots) = (Vec::new(), Vec::new());
        for secret in known.into_iter().flat_map(|known| known.live(now)) {
            keys.push(secret.key.clone());
            slots.push(secret.slot);
        }
        let signed_by = signature.signed_by(request, &keys);
        let slot = signed_by.and_then(|n| slots.get(n));
        Ok(known
            .zip(slot)
            .and_then(|(known, slot)| known.proven(*slot)))
    }

    /// The credential of a client as it is stored, not older than is believed.
    async fn find(
        &self,
        core: &Core,
        client: &str,
        kind: CredentialKind,
        now: i64,
    ) -> ApiResult<Option<Remembered>> {
        let revision = core.snapshots.current().revision;
        let remembered = self.0.lock().get(client).cloned();
        let fresh =
            |r: &Remembered| r.revision == revision && (0..FRESH_MS).contains(&(now - r.read_at));
        if let Some(found) = remembered.as_ref().filter(|r| fresh(r)) {
            return Ok(Some(found.clone()).filter(|r| r.known.kind == kind));
        }
        let Some(known) = read(core, client).await? else {
            self.0.lock().remove(client);
            return Ok(None);
        };
        let found = Remembered {
            read_at: now,
            revision,
            known: Arc::new(known),
            verified: remembered.map(|r| r.verified).unwrap_or_default(),
        };
        self.remember(client, found.clone(), now);
        Ok(Some(found).filter(|r| r.known.kind == kind))
    }

    fn remember(&self, client: &str, found: Remembered, now: i64) {
        let mut all = self.0.lock();
        if all.len() >= CLIENTS {
            all.retain(|_, r| (0..FRESH_MS).contains(&(now - r.read_at)));
        }
        if all.len() < CLIENTS {
            all.insert(client.to_owned(), found);
        }
    }

    fn remember_token(&self, client: &str, verified: Verified) {
        if let Some(found) = self.0.lock().get_mut(client) {
            found.verified.retain(|v| v.slot != verified.slot);
            found.verified.push(verified);
        }
    }
}

async fn read(core: &Core, client: &str) -> ApiResult<Option<Known>> {
    let db = core.db.read();
    let Some(row) = credential::Entity::find()
        .filter(credential::Column::ClientId.eq(client))
        .one(db)
        .await?
    else {
        return Ok(None);
    };
    let kind = match row.kind.as_str() {
        "hmac" => CredentialKind::Hmac,
        "bearer" => CredentialKind::Bearer,
        _ => return Ok(None),
    };
    let secrets = credential_secret::Entity::find()
        .filter(credential_secret::Column::CredentialId.eq(row.id))
        .order_by_desc(credential_secret::Column::IsPrimary)
        .all(db)
        .await?;
    let sealed = match kind {
        CredentialKind::Bearer => Vec::new(),
        CredentialKind::Hmac => {
            sealed_secret::Entity::find()
                .filter(sealed_secret::Column::OwnerKind.eq("credential"))
                .filter(sealed_secret::Column::OwnerId.eq(row.id))
                .all(db)
                .await?
        }
    };
    let mut live = Vec::new();
    for secret in secrets {
        let key = match sealed.iter().find(|sealed| sealed.slot == secret.slot) {
            None => Secret::new(Vec::new()),
            Some(sealed) => {
                let opened =
                    core.keyring
                        .open(&place_of(sealed), &sealed.key_id, &sealed.sealed)?;
                opened.reveal().into()
            }
        };
        live.push(KnownSecret {
            slot: secret.slot,
            is_primary: secret.is_primary,
            hash: secret.hash.into(),
            key,
            retire_at: secret.retire_at,
        });
    }
    // What cannot be read permits nothing: an unknown scope is no scope, an unreadable list of
    // networks lets nobody in.
    let scopes: Vec<String> = serde_json::from_str(&row.scopes).unwrap_or_default();
    Ok(Some(Known {
        id: row.id,
        client_id: row.client_id,
        name: row.name,
        workspace: row.workspace_id,
        permissions: scopes.iter().filter_map(|s| Permission::parse(s)).collect(),
        legacy: row.legacy,
        rate_per_minute: row.rate_per_minute.and_then(|n| u32::try_from(n).ok()),
        networks: serde_json::from_str(&row.allow_cidrs).ok(),
        kind,
        enabled: row.enabled && row.revoked_at.is_none(),
        expires_at: row.expires_at,
        secrets: live,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::make_bearer;

    const REVISION: i64 = 3;
    const LONGEST: i64 = 1_000;

    fn known(client: &str) -> Known {
        Known {
            id: Uuid::nil(),
            client_id: client.to_owned(),
            name: String::new(),
            workspace: Uuid::from_u128(7),
            permissions: Arc::from([Permission::MetricsRead]),
            legacy: false,
            rate_per_minute: None,
            networks: Some(Vec::new()),
            kind: CredentialKind::Bearer,
            enabled: true,
            expires_at: None,
            secrets: vec![KnownSecret {
                slot: 1,
                is_primary: true,
                hash: Arc::from("stored"),
                key: Secret::new(Vec::new()),
                retire_at: None,
            }],
        }
    }

    #[test]
    fn a_proven_token_is_remembered_as_long_as_it_is_good() {
        let (bearer, other) = (make_bearer(), make_bearer());
        let client = bearer.client_id.as_str();
        let credentials = Credentials::default();
        let put = |known: Known| {
            let found = Remembered {
                read_at: 0,
                revision: REVISION,
                known: Arc::new(known),
                verified: Vec::new(),
            };
            credentials.remember(client, found, 0);
            let verified = Verified {
                digest: Sha256::digest(bearer.token.as_bytes()).into(),
                slot: 1,
                hash: Arc::from("stored"),
            };
            credentials.remember_token(client, verified);
        };
        let seen = |token: &str, revision: i64, now: i64| {
            credentials
                .remembered(token, revision, now, LONGEST)
                .is_some()
        };
        let token = bearer.token.as_str();
        assert!(!seen(token, REVISION, 0), "nobody knows it");
        put(known(client));
        assert!(seen(token, REVISION, LONGEST - 1));
        assert!(!seen(token, REVISION, LONGEST), "not for ever");
        assert!(!seen(token, REVISION + 1, 0), "it may have been revoked");
        assert!(!seen(&other.token, REVISION, 0), "a stranger");
        let same_client = crate::auth::make_bearer_of(client.to_owned());
        assert!(!seen(&same_client.token, REVISION, 0), "never proven");
        put(Known {
            expires_at: Some(10),
            ..known(client)
        });
        assert!(seen(token, REVISION, 9) && !seen(token, REVISION, 10));
        put(Known {
            enabled: false,
            ..known(client)
        });
        assert!(!seen(token, REVISION, 0), "revoked");
        let mut rotated = known(client);
        rotated.secrets[0].retire_at = Some(10);
        put(rotated);
        assert!(seen(token, REVISION, 9) && !seen(token, REVISION, 10));
        let mut replaced = known(client);
        replaced.secrets[0].hash = Arc::from("another");
        put(replaced);
        assert!(!seen(token, REVISION, 0), "another secret is stored");
    }
}
