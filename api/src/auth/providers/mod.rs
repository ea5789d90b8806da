//! Signing in with a provider: OpenID Connect (code flow with PKCE), or GitHub.
//!
//! Invariant: nobody comes in but by the answer to a sign-in that this very browser began: state,
//! nonce and code verifier are derived from a random cookie that nobody else has, and a sign-in is a
//! row that is taken once. What a provider says is signed for this server and this sign-in
//! (OpenID Connect), or asked of its API with the token of this sign-in (GitHub). The address must
//! be verified and of an allowed domain; an account is known by issuer and subject, never by its
//! address alone, unless the provider's entry says so. The role is that of today, anew at each
//! sign-in.
//!
//! Providers stand in a file of the server, not in the database: an account is global, so whoever
//! could add a provider could become anybody. Who is refused hears no reason; the log and the audit
//! log have it. A provider that is away stops nobody from signing in otherwise. A crash loses
//! nothing but sign-ins that were under way.

mod account;
mod check;
mod claims;
mod discovery;
mod file;
mod flow;
mod github;
mod provider;
mod transport;

use std::sync::Arc;

use openapi::auth::SignInProvider;

use crate::clock::Clock;
use crate::egress::Egress;
use crate::settings::Settings;
use discovery::Discovery;
use provider::Provider;

pub use flow::{CallbackQuery, FLOW_COOKIE, SECURE_FLOW_COOKIE, StartQuery};

/// The providers of this server. Cheap to clone.
#[derive(Clone)]
pub struct Providers(Arc<Inner>);

struct Inner {
    all: Vec<Provider>,
    discovery: Discovery,
}

impl Providers {
    /// Those of the file that the settings name; without one, none. Calls nobody.
    ///
    /// # Errors
    /// The file cannot be read, or an entry has a fault; all faults are named.
    pub fn load(settings: &Settings, egress: Egress, clock: Clock) -> Result<Self, String> {
        let all = match &settings.sso_file {
            None => Vec::new(),
            Some(path) => file::load(path)?,
        };
        Ok(Self(Arc::new(Inner {
            all,
            discovery: Discovery::new(egress, clock),
        })))
    }

    /// The names of those in the file that the settings name.
    ///
    /// # Errors
    /// As for [`Providers::load`].
    pub fn named_in(settings: &Settings) -> Result<Vec<String>, String> {
        let all = match &settings.sso_file {
            None => Vec::new(),
            Some(path) => file::load(path)?,
        };
        Ok(all.into_iter().map(|provider| provider.name).collect())
    }

    /// What the sign-in page offers.
    pub fn offered(&self) -> Vec<SignInProvider> {
        let offered = |provider: &Provider| SignInProvider {
            name: provider.name.clone(),
            title: provider.title.clone(),
            confirms: provider.confirms(),
        };
        self.0.all.iter().map(offered).collect()
    }

    fn named(&self, name: &str) -> Option<&Provider> {
        self.0.all.iter().find(|provider| provider.name == name)
    }
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Providers({})", self.0.all.len())
    }
}
