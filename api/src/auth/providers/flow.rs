//! The beginning and the end of a sign-in with a provider.

use std::time::Duration;

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::secret::constant_time_eq;
use entity::user;
use openapi::problem::Code;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow};
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::account;
use super::claims::{self, Expected};
use super::github::{self, Exchange};
use super::provider::{Github, Oidc, Provider, Refused, Said, Unproved, Way};
use crate::auth::once::{self, Begun, Whose};
use crate::auth::tries::limiter_key;
use crate::auth::{Authenticator, Purpose, SignIn, digest, make_token, sessions};
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::limits::{Key, Rate};
use crate::services::people::has_second_factor;

/// The cookie between the two ends, over plain HTTP. It goes along when the provider sends the
/// browser back, which the session's does not.
pub const FLOW_COOKIE: &str = "signalbox_provider";
/// The same over HTTPS.
pub const SECURE_FLOW_COOKIE: &str = "__Host-signalbox_provider";

/// How long before the begin a person may have shown itself to the provider: clocks differ.
const TOLERANCE_MS: i64 = 60_000;
/// Longest path to return to.
const RETURN: usize = 512;
/// Longest code of a provider.
const CODE: usize = 4096;

/// How a sign-in with a provider begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StartQuery {
    /// Page of the console to return to, as a path.
    #[param(example = "/events")]
    return_to: Option<String>,
    /// True: the provider asks the person to sign in anew, for what is dangerous.
    #[serde(default)]
    confirm: bool,
}

/// What a provider sends the browser back with. It may send more, which is passed over.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// The code, if the provider let the person in.
    code: Option<String>,
    /// What the sign-in began with.
    state: Option<String>,
    /// The issuer, if the provider names it.
    iss: Option<String>,
    /// Why the provider did not let the person in.
    error: Option<String>,
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Started {
    /// Where the browser goes.
    pub location: String,
    /// For the cookie.
    pub token: String,
}

/// What a sign-in is ended with.
#[derive(Serialize, Deserialize)]
struct Kept {
    provider: String,
    return_to: String,
    confirm: bool,
}

/// What the parts of a sign-in are made of: from one random token that only the browser has, so that
/// neither the database nor the provider can end it.
fn derived(token: &str, what: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"signalbox provider ");
    hash.update(what.as_bytes());
    hash.update(b" ");
    hash.update(token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

impl Authenticator {
    /// Begins a sign-in with a provider.
    ///
    /// # Errors
    /// 404 for an unknown provider, 422 for a page that is not ours or a confirmation that the provider
    /// cannot give, 429, 502 if the provider does
    /// not answer.
    pub async fn start_with_provider(
        &self,
        req: &HttpRequest,
        name: &str,
        query: &StartQuery,
    ) -> ApiResult<Started> {
        let core = &self.core;
        let provider = core.providers.named(name);
        let provider = provider.ok_or_else(ApiError::not_found)?;
        let return_to = query.return_to.as_deref().unwrap_or("/");
        if !is_own_page(return_to) {
            let text = "a path of the console, as /events";
            return Err(ApiError::invalid("return_to", "bad_path", text));
        }
        let key = Key::Failures("provider-starts", limiter_key(self.address(req)));
        if let Err(wait) = core.limits.take(&key, Rate::one_every(2, 30)).await {
            return Err(ApiError::new(Code::RateLimited).retry_after(wait.as_secs() + 1));
        }
        if query.confirm && !provider.confirms() {
            let text = "this provider asks nobody anew; use the password, a code or a passkey";
            return Err(ApiError::invalid("confirm", "not_possible", text));
        }
        let token = URL_SAFE_NO_PAD.encode(ids::random::<32>());
        let kept = Kept {
            provider: provider.name.clone(),
            return_to: return_to.to_owned(),
            confirm: query.confirm,
        };
        let data = serde_json::to_string(&kept)?;
        let location = match &provider.way {
            Way::Oidc(oidc) => {
                self.page_of((provider, oidc), &token, query.confirm)
                    .await?
            }
            Way::Github(_) => {
                let redirect = redirect(&core.settings.public_url, provider);
                let verifier = PkceCodeVerifier::new(derived(&token, "verifier"));
                let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
                let state = derived(&token, "state");
                github::authorize_url(provider, &redirect, &state, challenge.as_str())
                    .map_err(|error| ApiError::internal("web_url", &error))?
            }
        };
        let now = core.clock.now_ms();
        once::begin(core.db.write(), now, (Begun::Provider, None), &token, data).await?;
        Ok(Started {
            location: location.into(),
            token,
        })
    }

    /// The page of a provider that speaks OpenID Connect.
    async fn page_of(
        &self,
        (provider, oidc): (&Provider, &Oidc),
        token: &str,
        confirm: bool,
    ) -> ApiResult<url::Url> {
        let core = &self.core;
        let metadata = core.providers.0.discovery.of(provider).await;
        let metadata = metadata.map_err(|_| away())?;
        let redirect = RedirectUrl::new(redirect(&core.settings.public_url, provider))
            .map_err(|error| ApiError::internal("public_url", &error))?;
        let client = claims::client(provider, &metadata).set_redirect_uri(redirect);
        let verifier = PkceCodeVerifier::new(derived(token, "verifier"));
        let (state, nonce) = (derived(token, "state"), derived(token, "nonce"));
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &oidc.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if confirm {
            request = request
                .add_prompt(CoreAuthPrompt::Login)
                .set_max_age(Duration::ZERO);
        }
        let (location, ..) = request.url();
        Ok(location)
    }

    /// Ends a sign-in with a provider: how far it has come, and the page to return to. A person with
    /// a second factor here is asked for it, unless that of the provider stands in for it.
    ///
    /// # Errors
    /// 401 without a reason, 502 if the provider does not answer.
    pub async fn end_with_provider(
        &self,
        req: &HttpRequest,
        name: &str,
        query: CallbackQuery,
    ) -> ApiResult<(SignIn, String)> {
        let core = &self.core;
        let provider = core.providers.named(name);
        let provider = provider.ok_or_else(ApiError::not_found)?;
        let token = flow_cookie(req);
        let token = token.ok_or_else(|| refused(provider, "there is no cookie of a sign-in"))?;
        let state = query.state.as_deref().unwrap_or_default();
        if !constant_time_eq(derived(&token, "state").as_bytes(), state.as_bytes()) {
            return Err(refused(provider, "the state is of another sign-in"));
        }
        let what = (Begun::Provider, Whose::Nobodys);
        let now = core.clock.now_ms();
        let begun = once::take(core.db.write(), now, what, &token).await?;
        let begun = begun.ok_or_else(|| refused(provider, "no sign-in has begun"))?;
        let kept: Kept = serde_json::from_str(&begun.data)?;
        if kept.provider != provider.name {
            return Err(refused(provider, "the sign-in began with another provider"));
        }
        let proved = match &provider.way {
            Way::Oidc(oidc) => {
                let since = kept.confirm.then_some(begun.created_at - TOLERANCE_MS);
                self.ask_oidc((provider, oidc), &token, query, since)
                    .await?
            }
            Way::Github(github) => self.ask_github((provider, github), &token, query).await?,
        };
        match account::settle(core, provider, &proved).await? {
            Ok(user) => {
                let admitted = self.admit_by_provider(req, provider, user, &proved).await?;
                Ok((admitted, kept.return_to))
            }
            Err(reason) => {
                account::note_refusal(core, provider, reason).await?;
                Err(refused(provider, reason))
            }
        }
    }
}

impl Authenticator {
    async fn ask_oidc(
        &self,
        (provider, oidc): (&Provider, &Oidc),
        token: &str,
        query: CallbackQuery,
        shown_since: Option<i64>,
    ) -> ApiResult<Said> {
        let core = &self.core;
        let metadata = core.providers.0.discovery.of(provider).await;
        let metadata = metadata.map_err(|_| away())?;
        let names_itself = metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported;
        match query.iss.as_deref() {
            Some(issuer) if issuer != provider.issuer => {
                return Err(refused(provider, "the answer is from another issuer"));
            }
            None if names_itself => {
                return Err(refused(provider, "the answer does not name its issuer"));
            }
            _ => {}
        }
        let code = code_of(provider, query)?;
        let expected = Expected {
            redirect: &redirect(&core.settings.public_url, provider),
            nonce: derived(token, "nonce"),
            verifier: derived(token, "verifier"),
            shown_since,
        };
        let discovery = &core.providers.0.discovery;
        let of = (provider, oidc);
        claims::prove(discovery, &core.clock, of, metadata, code, expected)
            .await
            .map_err(|reason| refused(provider, reason))
    }

    async fn ask_github(
        &self,
        of: (&Provider, &Github),
        token: &str,
        query: CallbackQuery,
    ) -> ApiResult<Said> {
        let core = &self.core;
        let exchange = Exchange {
            code: code_of(of.0, query)?,
            verifier: derived(token, "verifier"),
            redirect: &redirect(&core.settings.public_url, of.0),
        };
        let egress = core.providers.0.discovery.egress();
        let proved = github::prove(&egress, of, exchange).await;
        proved.map_err(|why| match why {
            Unproved::Refused(reason) => refused(of.0, reason),
            Unproved::Away => away(),
        })
    }

    async fn admit_by_provider(
        &self,
        req: &HttpRequest,
        provider: &Provider,
        user: user::Model,
        said: &Said,
    ) -> ApiResult<SignIn> {
        let core = &self.core;
        if has_second_factor(&user) && !said.second_factor {
            let txn = core.db.begin().await?;
            let now = core.clock.now_ms();
            let token = make_token(&txn, user.id, Purpose::SecondFactor, now).await?;
            txn.commit().await?;
            return Ok(SignIn::NeedsSecondFactor(token));
        }
        let token = self.enter(req, &user, "provider", None).await?;
        if said.second_factor {
            sessions::mark_strong(core.db.write(), &digest(&token)).await?;
        }
        if !provider.confirms() {
            sessions::mark_unproved(core.db.write(), &digest(&token)).await?;
        }
        Ok(SignIn::Done(Box::new(user), token))
    }
}

/// The code that the provider sent along.
fn code_of(provider: &Provider, query: CallbackQuery) -> ApiResult<String> {
    if query.error.is_some() {
        return Err(refused(provider, "the provider did not let the person in"));
    }
    let code = query.code.filter(|code| code.len() <= CODE);
    code.ok_or_else(|| refused(provider, "there is no code"))
}

/// Where the provider sends the browser back to.
fn redirect(public_url: &str, provider: &Provider) -> String {
    format!(
        "{public_url}/api/v1/auth/providers/{}/callback",
        provider.name
    )
}

/// The token of the cookie between the two ends.
fn flow_cookie(req: &HttpRequest) -> Option<String> {
    req.cookie(SECURE_FLOW_COOKIE)
        .or_else(|| req.cookie(FLOW_COOKIE))
        .map(|cookie| cookie.value().to_owned())
        .filter(|token| !token.is_empty() && token.len() <= 100)
}

/// The reason goes to the log and nowhere else.
fn refused(provider: &Provider, reason: Refused) -> ApiError {
    tracing::warn!(provider = %provider.name, reason, "A sign-in with a provider was refused.");
    ApiError::new(Code::ProviderRefused)
}

fn away() -> ApiError {
    ApiError::new(Code::UpstreamFailed)
        .detail("The provider does not answer. Sign in another way, or try again later.")
}

/// Whether a path leads to a page of the console, and nowhere else.
fn is_own_page(path: &str) -> bool {
    let plain = path.len() <= RETURN
        && path.starts_with('/')
        && !path.starts_with("//")
        && !path
            .chars()
            .any(|c| c == '\\' || c.is_control() || c.is_whitespace())
        && !path.starts_with("/api/");
    let Ok(base) = url::Url::parse("http://console.invalid") else {
        return false;
    };
    plain
        && base
            .join(path)
            .is_ok_and(|url| url.origin() == base.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_returns_to_the_console_only() {
        for good in ["/", "/events", "/events?state=dead#x", "/rules/1"] {
            assert!(is_own_page(good), "{good}");
        }
        for bad in [
            "",
            "events",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/%0a\n",
            "/api/v1/auth/logout",
            "javascript:alert(1)",
            &format!("/{}", "x".repeat(600)),
        ] {
            assert!(!is_own_page(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_parts_of_a_sign_in_do_not_tell_of_each_other() {
        let parts = ["state", "nonce", "verifier"].map(|what| derived("token", what));
        assert!(parts[0] != parts[1] && parts[1] != parts[2] && parts[0] != parts[2]);
        assert!(parts.iter().all(|part| part.len() == 43));
        assert_ne!(derived("token", "state"), derived("other", "state"));
    }
}
