//! Callers with a credential: what holds before one is let in.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use engine::signature::{Claim, RequestSignature};
use entity::workspace;
use openapi::problem::Code;
use sea_orm::EntityTrait as _;

use super::authenticator::{Authenticator, wanted_workspace};
use super::caller::{Actor, Caller, Means};
use super::credentials::Proven;
use super::signed::Signed;
use super::tries::{Tries, limiter_key};
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

impl Authenticator {
    pub(super) async fn throttle(&self, address: IpAddr) -> ApiResult<()> {
        let key = limiter_key(address);
        match self.wait(Tries::CredentialsOfAddress, &key).await {
            Some(seconds) => Err(ApiError::new(Code::RateLimited).retry_after(seconds)),
            None => Ok(()),
        }
    }

    pub(super) async fn by_bearer(&self, req: &HttpRequest, token: &str) -> ApiResult<Caller> {
        let address = self.address(req);
        self.throttle(address).await?;
        let Some(proven) = self.credentials.of_token(&self.core, token).await? else {
            let key = limiter_key(address);
            self.failed(Tries::CredentialsOfAddress, &key).await;
            return Err(ApiError::new(Code::Unauthenticated));
        };
        self.admit(req, address, proven, None).await
    }

    pub(super) async fn by_signature(
        &self,
        req: &HttpRequest,
        signed: &Signed,
    ) -> ApiResult<Caller> {
        let address = self.address(req);
        let signature = &signed.signature;
        let request = signed.request(req);
        let found = self
            .credentials
            .of_signature(&self.core, signature, &request)
            .await?;
        let plain = matches!(signature.claim, Claim::Plain { .. });
        let Some(proven) = found.filter(|proven| proven.known.legacy || !plain) else {
            let key = limiter_key(address);
            self.failed(Tries::CredentialsOfAddress, &key).await;
            return Err(ApiError::new(Code::SignatureInvalid)
                .detail("No live secret of this client signed the request as it arrived."));
        };
        self.admit(req, address, proven, Some(signature)).await
    }

    /// What holds for a credential whose secret was proven: status, network, nonce, workspace.
    async fn admit(
        &self,
        req: &HttpRequest,
        address: IpAddr,
        proven: Proven,
        signature: Option<&RequestSignature>,
    ) -> ApiResult<Caller> {
        let (core, known) = (&self.core, &proven.known);
        let now = core.clock.now_ms();
        if !known.is_alive(now) {
            return Err(ApiError::new(Code::CredentialInactive)
                .detail("The credential is switched off, revoked, or its time is over."));
        }
        let Some(network) = known.network_of(address) else {
            return Err(ApiError::new(Code::AddressNotAllowed)
                .detail("The credential may not be used from this address."));
        };
        if let Some(signature) = signature {
            let key = signature.replay_key();
            match self.nonces.take(core, &known.client_id, &key).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(ApiError::new(Code::NonceReplayed)
                        .detail("Sign each request anew, with a nonce of its own."));
                }
                Err(error) => {
                    tracing::warn!(%error, "a signed request is refused");
                    return Err(ApiError::new(Code::Unavailable)
                        .detail("Signed requests cannot be checked now; sign anew and try again.")
                        .retry_after(1));
                }
            }
        }
        self.meter_credential(req, known.id, known.rate_per_minute)
            .await?;
        core.uses.used(known.id, proven.stored_in, now, address);
        if let Some(slug) = wanted_workspace(req)? {
            let own = workspace::Entity::find_by_id(known.workspace)
                .one(core.db.read())
                .await?;
            if own.is_none_or(|w| w.slug != slug) {
                return Err(ApiError::not_found().detail("There is no such workspace."));
            }
        }
        Ok(Caller {
            scope: Scope::granted(known.workspace),
            actor: Actor::Credential {
                id: known.id,
                client_id: known.client_id.clone(),
            },
            permissions: Arc::clone(&known.permissions),
            address,
            means: Means {
                kind: if signature.is_some() {
                    "hmac"
                } else {
                    "bearer"
                },
                name: known.name.clone(),
                slot: Some(proven.slot),
                network,
                skew_seconds: signature.map(|s| now.div_euclid(1000) - s.timestamp),
            },
            session: None,
        })
    }
}
