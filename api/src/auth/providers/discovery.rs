//! What providers say about themselves: addresses and keys, kept for a while.

use std::collections::HashMap;
use std::sync::Arc;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, IssuerUrl, ProviderMetadata};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::provider::Provider;
use super::transport;
use crate::clock::Clock;
use crate::egress::Egress;

/// How long it is good for.
const FRESH_MS: i64 = 3_600_000;
/// How long it is used when the provider does not answer.
const STALE_MS: i64 = 24 * 3_600_000;
/// Least time between two looks for a key that is not known.
const AGAIN_MS: i64 = 30_000;

/// What the library does not know of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Extra {
    /// The answer of the provider names its issuer (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

/// What a provider says about itself.
pub(super) type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// The provider does not answer as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider does not answer as it should")]
pub(super) struct Away;

/// At most one entry for each provider of the file.
pub(super) struct Discovery {
    egress: Egress,
    clock: Clock,
    known: Mutex<HashMap<String, (i64, Arc<Metadata>)>>,
    /// When a key that was not known was last looked for.
    looked: Mutex<HashMap<String, i64>>,
}

impl Discovery {
    pub fn new(egress: Egress, clock: Clock) -> Self {
        Self {
            egress,
            clock,
            known: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// The way out, for what follows.
    pub fn egress(&self) -> Egress {
        self.egress.clone()
    }

    /// What is known of a provider, asked for anew when it is old.
    pub async fn of(&self, provider: &Provider) -> Result<Arc<Metadata>, Away> {
        let known = self.known.lock().get(&provider.name).cloned();
        let age = |at: i64| (self.clock.now_ms() - at).abs();
        match known {
            Some((at, metadata)) if age(at) < FRESH_MS => Ok(metadata),
            Some((at, metadata)) if age(at) < STALE_MS => {
                Ok(self.ask(provider).await.unwrap_or(metadata))
            }
            _ => self.ask(provider).await,
        }
    }

    /// The same after a token with a key that is not known; not too often.
    pub async fn anew(&self, provider: &Provider) -> Result<Arc<Metadata>, Away> {
        let now = self.clock.now_ms();
        let before = self.looked.lock().insert(provider.name.clone(), now);
        if before.is_some_and(|before| (now - before).abs() < AGAIN_MS) {
            return self.of(provider).await;
        }
        self.ask(provider).await
    }

    async fn ask(&self, provider: &Provider) -> Result<Arc<Metadata>, Away> {
        let issuer = IssuerUrl::new(provider.issuer.clone()).map_err(|_| Away)?;
        let (egress, allow_private) = (self.egress.clone(), provider.allow_private);
        let http = move |request| transport::call(egress.clone(), allow_private, request);
        let asked = Metadata::discover_async(issuer, &http).await;
        let metadata = asked.map_err(|error| {
            let reason = reason(&error);
            tracing::warn!(provider = %provider.name, reason, "A provider does not answer as it should.");
            Away
        })?;
        let metadata = Arc::new(metadata);
        let entry = (self.clock.now_ms(), Arc::clone(&metadata));
        self.known.lock().insert(provider.name.clone(), entry);
        Ok(metadata)
    }
}

/// What went wrong, without what the provider sent.
fn reason<E: std::error::Error + 'static>(error: &openidconnect::DiscoveryError<E>) -> String {
    use openidconnect::DiscoveryError::{Parse, Request, Response, UrlParse, Validation};
    match error {
        Request(error) => error.to_string(),
        Response(status, ..) => format!("it answers {status}"),
        Parse(_) => "its description cannot be read".to_owned(),
        Validation(_) => "its description names another issuer".to_owned(),
        UrlParse(_) => "its address cannot be used".to_owned(),
        _ => "its description cannot be used".to_owned(),
    }
}
