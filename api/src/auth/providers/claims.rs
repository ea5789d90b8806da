//! From the provider's code to what it says about the person.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreClient, CoreClientAuthMethod, CoreIdToken, CoreJwsSigningAlgorithm};
use openidconnect::http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    HttpRequest, Nonce, OAuth2TokenResponse as _, PkceCodeVerifier, RedirectUrl,
    SignatureVerificationError,
};
use serde_json::{Map, Value};

use super::discovery::{Discovery, Metadata};
use super::provider::{Oidc, Provider, Refused, Said, SecondFactor};
use super::transport;
use crate::clock::Clock;

/// Signatures that only the provider can make. Those by our common secret are not among them.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Longest subject that a provider may use.
const SUBJECT: usize = 255;

/// What an end is checked against.
pub(super) struct Expected<'a> {
    pub redirect: &'a str,
    pub nonce: String,
    pub verifier: String,
    /// The person must have shown itself since then, in milliseconds since 1970.
    pub shown_since: Option<i64>,
}

/// Exchanges a code and checks what comes back.
pub(super) async fn prove(
    discovery: &Discovery,
    clock: &Clock,
    (provider, oidc): (&Provider, &Oidc),
    metadata: Arc<Metadata>,
    code: String,
    expected: Expected<'_>,
) -> Result<Said, Refused> {
    let (egress, allow_private) = (discovery.egress(), provider.allow_private);
    let http = move |request| transport::call(egress.clone(), allow_private, request);
    let redirect = RedirectUrl::new(expected.redirect.to_owned())
        .map_err(|_| "our own address cannot be used")?;
    let client = client(provider, &metadata).set_redirect_uri(redirect);
    let request = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|_| "the provider has no address for codes")?;
    let tokens = request
        .set_pkce_verifier(PkceCodeVerifier::new(expected.verifier.clone()))
        .request_async(&http)
        .await
        .map_err(|_| "the provider refused the code")?;
    let token = tokens
        .extra_fields()
        .id_token()
        .ok_or("the provider sent no ID token")?;
    let metadata = match verify(clock, provider, &metadata, token, &expected) {
        Ok(()) => metadata,
        Err(Fault::UnknownKey) => {
            let newer = discovery.anew(provider).await;
            let newer = newer.map_err(|_| "the keys of the provider cannot be read")?;
            verify(clock, provider, &newer, token, &expected).map_err(Fault::reason)?;
            newer
        }
        Err(fault) => return Err(fault.reason()),
    };
    let mut all = payload(token).ok_or("the ID token cannot be read")?;
    let subject = text(&all, "sub").ok_or("the ID token names nobody")?;
    if subject.is_empty() || subject.len() > SUBJECT {
        return Err("the ID token names nobody");
    }
    let wants_more = !all.contains_key("email")
        || oidc
            .role_claim
            .as_ref()
            .is_some_and(|claim| !all.contains_key(claim));
    if let (true, Some(address)) = (wants_more, metadata.userinfo_endpoint()) {
        let more = user_info(&http, address.as_str(), tokens.access_token()).await?;
        if text(&more, "sub").as_deref() != Some(subject.as_str()) {
            return Err("the provider tells about somebody else");
        }
        for (name, value) in more {
            all.entry(name).or_insert(value);
        }
    }
    Ok(said(provider, oidc, subject, &all))
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// The library's client of a provider.
pub(super) fn client(provider: &Provider, metadata: &Metadata) -> Client {
    let secret = provider.client_secret.reveal().to_owned();
    let client = CoreClient::from_provider_metadata(
        metadata.clone(),
        ClientId::new(provider.client_id.clone()),
        Some(ClientSecret::new(secret)),
    );
    // In a header, unless the provider takes it in the body only.
    let in_body = metadata
        .token_endpoint_auth_methods_supported()
        .is_some_and(|ways| {
            !ways.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && ways.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
    client.set_auth_type(if in_body {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    })
}

enum Fault {
    UnknownKey,
    Other(Refused),
}

impl Fault {
    const fn reason(self) -> Refused {
        match self {
            Self::UnknownKey => "the ID token is signed with a key that is not known",
            Self::Other(reason) => reason,
        }
    }
}

/// Checks signature, issuer, audience, time, nonce, and when the person showed itself.
fn verify(
    clock: &Clock,
    provider: &Provider,
    metadata: &Metadata,
    token: &CoreIdToken,
    expected: &Expected<'_>,
) -> Result<(), Fault> {
    let client = client(provider, metadata);
    let since = expected.shown_since;
    let clock = clock.clone();
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || clock.now())
        .set_auth_time_verifier_fn(move |at| match (since, at) {
            (None, _) => Ok(()),
            (Some(since), Some(at)) if at.timestamp_millis() >= since => Ok(()),
            _ => Err("too long ago".to_owned()),
        });
    let nonce = Nonce::new(expected.nonce.clone());
    match token.claims(&verifier, &nonce) {
        Ok(_) => Ok(()),
        Err(error) => Err(fault(&error)),
    }
}

fn fault(error: &ClaimsVerificationError) -> Fault {
    use ClaimsVerificationError::{
        Expired, InvalidAudience, InvalidAuthTime, InvalidIssuer, InvalidNonce,
        SignatureVerification,
    };
    Fault::Other(match error {
        SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            return Fault::UnknownKey;
        }
        SignatureVerification(_) => "the signature of the ID token does not fit",
        Expired(_) => "the ID token is too old",
        InvalidAudience(_) => "the ID token is for somebody else",
        InvalidIssuer(_) => "the ID token is from another issuer",
        InvalidNonce(_) => "the ID token is of another sign-in",
        InvalidAuthTime(_) => "the person did not sign in anew",
        _ => "the ID token is not acceptable",
    })
}

/// The claims of a token that has been checked.
fn payload(token: &CoreIdToken) -> Option<Map<String, Value>> {
    let text = token.to_string();
    let part = text.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// What the provider tells about the owner of an access token.
async fn user_info<F>(
    http: &impl Fn(HttpRequest) -> F,
    address: &str,
    token: &AccessToken,
) -> Result<Map<String, Value>, Refused>
where
    F: Future<Output = Result<openidconnect::HttpResponse, crate::egress::EgressError>>,
{
    const FAULT: Refused = "the provider tells nothing about the person";
    let bearer = format!("Bearer {}", token.secret());
    let request = openidconnect::http::Request::builder()
        .uri(address)
        .header(AUTHORIZATION, bearer)
        .header(ACCEPT, HeaderValue::from_static("application/json"));
    let request = request.body(Vec::new()).map_err(|_| FAULT)?;
    let answer = http(request).await.map_err(|_| FAULT)?;
    if !answer.status().is_success() {
        return Err(FAULT);
    }
    serde_json::from_slice(answer.body()).map_err(|_| FAULT)
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name)?.as_str().map(str::to_owned)
}

/// The texts of a claim: one, or a list.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What the claims say that matters here.
fn said(provider: &Provider, oidc: &Oidc, subject: String, all: &Map<String, Value>) -> Said {
    let claim = oidc.role_claim.as_ref();
    let values = texts(claim.and_then(|claim| all.get(claim)));
    Said {
        subject,
        email: verified_email(all).map(str::to_owned),
        name: text(all, "name"),
        values: values.into_iter().map(str::to_owned).collect(),
        second_factor: has_second_factor(provider, oidc, all),
    }
}

/// The address, if the provider has verified it.
fn verified_email(all: &Map<String, Value>) -> Option<&str> {
    // Some write it as a text.
    let verified = match all.get("email_verified")? {
        Value::Bool(verified) => *verified,
        Value::String(text) => text == "true",
        _ => false,
    };
    all.get("email")?.as_str().filter(|_| verified)
}

/// Whether the person showed a second factor there that counts here.
fn has_second_factor(provider: &Provider, oidc: &Oidc, all: &Map<String, Value>) -> bool {
    match provider.second_factor {
        SecondFactor::Never => false,
        SecondFactor::Always => true,
        SecondFactor::Claimed => {
            let acr = all.get("acr").and_then(Value::as_str);
            let listed = &oidc.second_factor_acr;
            texts(all.get("amr")).contains(&"mfa")
                || acr.is_some_and(|acr| listed.iter().any(|one| one == acr))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::provider::Way;
    use super::super::provider::tests::provider;
    use super::*;

    fn oidc() -> Oidc {
        Oidc {
            scopes: Vec::new(),
            role_claim: Some("groups".to_owned()),
            second_factor_acr: vec!["gold".to_owned()],
        }
    }

    fn of(second_factor: SecondFactor, claims: Value) -> Said {
        let provider = Provider {
            second_factor,
            ..provider(Way::Oidc(oidc()))
        };
        let all = serde_json::from_value(claims).unwrap();
        said(&provider, &oidc(), "1".to_owned(), &all)
    }

    #[test]
    fn an_address_counts_when_it_is_verified() {
        let email = |verified: Value| {
            let claims = json!({ "email": "a@example.com", "email_verified": verified });
            of(SecondFactor::Never, claims).email
        };
        assert!(email(json!(true)).is_some() && email(json!("true")).is_some());
        for no in [
            json!(false),
            json!("false"),
            json!(null),
            json!(1),
            json!("yes"),
        ] {
            assert_eq!(email(no.clone()), None, "{no}");
        }
        let claims = json!({ "email": "a@example.com" });
        assert_eq!(of(SecondFactor::Never, claims).email, None);
    }

    #[test]
    fn roles_are_taken_from_a_text_or_a_list() {
        let values = |groups: Value| of(SecondFactor::Never, json!({ "groups": groups })).values;
        assert_eq!(values(json!(["staff", "admins", 7])), ["staff", "admins"]);
        assert_eq!(values(json!("staff")), ["staff"]);
        assert!(values(json!({ "admins": true })).is_empty());
    }

    #[test]
    fn a_second_factor_is_claimed_by_amr_or_acr() {
        let counts = |when, claims: Value| of(when, claims).second_factor;
        let claimed = SecondFactor::Claimed;
        assert!(counts(claimed, json!({ "amr": ["pwd", "mfa"] })));
        assert!(counts(claimed, json!({ "acr": "gold" })));
        assert!(!counts(claimed, json!({ "amr": ["pwd"] })));
        assert!(!counts(claimed, json!({ "acr": "silver" })));
        assert!(!counts(SecondFactor::Never, json!({ "amr": ["mfa"] })));
        assert!(counts(SecondFactor::Always, json!({})));
    }
}
