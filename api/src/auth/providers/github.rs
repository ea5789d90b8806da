//! From GitHub's code to what GitHub says about the person.
//!
//! GitHub speaks OAuth, not OpenID Connect: there is no ID token, so what it says is asked of its API
//! with the access token, over connections that its certificate vouches for. The token is good for
//! these calls and forgotten with them. A person is known by the number of the account, which never
//! changes; names do.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::provider::{Github, Provider, Refused, Said, SecondFactor, Unproved};
use crate::egress::{Egress, Request, Response};

/// Longest call: somebody waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time of all calls of a sign-in.
const ALTOGETHER: Duration = Duration::from_secs(25);
/// Largest answer that is read as something.
const LARGEST: usize = 1 << 20;
/// Teams of one page.
const PAGE: usize = 100;
/// Pages of teams that are asked for.
const PAGES: usize = 5;

const VERSION: HeaderName = HeaderName::from_static("x-github-api-version");
const REMAINING: &str = "x-ratelimit-remaining";
const SSO: &str = "x-github-sso";

/// Where a sign-in begins.
///
/// # Errors
/// The address of the entry cannot be used.
pub(super) fn authorize_url(
    provider: &Provider,
    redirect: &str,
    state: &str,
    challenge: &str,
) -> Result<Url, url::ParseError> {
    let mut url = Url::parse(&format!("{}/login/oauth/authorize", provider.issuer))?;
    url.query_pairs_mut()
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", redirect)
        .append_pair("scope", scope(provider))
        .append_pair("state", state)
        .append_pair("code_challenge", challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("allow_signup", "false");
    Ok(url)
}

/// No more than what is asked about later.
fn scope(provider: &Provider) -> &'static str {
    if wants_groups(provider) {
        "user:email read:org"
    } else {
        "user:email"
    }
}

fn wants_groups(provider: &Provider) -> bool {
    use super::provider::Way;
    let limited = match &provider.way {
        Way::Github(github) => !github.organizations.is_empty(),
        Way::Oidc(_) => false,
    };
    limited || !provider.roles.is_empty()
}

/// A code, and what it must fit.
pub(super) struct Exchange<'a> {
    pub code: String,
    pub verifier: String,
    pub redirect: &'a str,
}

/// Exchanges a code and asks who the person is.
pub(super) async fn prove(
    egress: &Egress,
    (provider, github): (&Provider, &Github),
    exchange: Exchange<'_>,
) -> Result<Said, Unproved> {
    let work = async {
        let token = token(egress, provider, exchange).await?;
        let api = Api {
            egress,
            provider,
            github,
            token: &token,
        };
        api.person().await
    };
    let proved = tokio::time::timeout(ALTOGETHER, work).await;
    proved.unwrap_or(Err(Unproved::Away))
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    error: Option<String>,
}

/// The access token for a code. GitHub says with 200 that something is wrong.
async fn token(
    egress: &Egress,
    provider: &Provider,
    exchange: Exchange<'_>,
) -> Result<String, Unproved> {
    let url = url(&format!("{}/login/oauth/access_token", provider.issuer))?;
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &provider.client_id)
        .append_pair("client_secret", provider.client_secret.reveal())
        .append_pair("code", &exchange.code)
        .append_pair("redirect_uri", exchange.redirect)
        .append_pair("code_verifier", &exchange.verifier)
        .finish();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let request = Request {
        method: Method::POST,
        url,
        headers,
        body: Bytes::from(body),
        timeout: Some(TIMEOUT),
        allow_private: provider.allow_private,
    };
    let answer = send(egress, request).await?;
    match answer.status {
        200 => {}
        404 => return Err(Unproved::Refused("GitHub does not know this client")),
        _ => return Err(Unproved::Refused("GitHub refused the code")),
    }
    let said: TokenAnswer = read(&answer)?;
    match (said.access_token, said.error) {
        (Some(token), None) if !token.is_empty() => Ok(token),
        (_, error) => Err(Unproved::Refused(reason(error.as_deref()))),
    }
}

/// What GitHub's words mean, for the log.
fn reason(error: Option<&str>) -> Refused {
    match error {
        Some("bad_verification_code") => "the code is wrong, was used or has expired",
        Some("incorrect_client_credentials") => "GitHub does not know this client or its secret",
        Some("redirect_uri_mismatch") => "GitHub has another callback address for this client",
        Some("unverified_user_email") => "the address is not verified",
        _ => "GitHub refused the code",
    }
}

/// The API with somebody's token.
struct Api<'a> {
    egress: &'a Egress,
    provider: &'a Provider,
    github: &'a Github,
    token: &'a str,
}

#[derive(Deserialize)]
struct Person {
    id: u64,
    name: Option<String>,
    login: String,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

#[derive(Deserialize)]
struct Team {
    slug: String,
    organization: Organization,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

impl Api<'_> {
    async fn person(&self) -> Result<Said, Unproved> {
        let person: Person = self
            .get("/user")
            .await?
            .ok_or("GitHub does not say who the person is")?;
        let addresses: Vec<Address> = self
            .get("/user/emails?per_page=100")
            .await?
            .ok_or("GitHub does not tell the addresses of the person")?;
        let values = if wants_groups(self.provider) {
            self.groups().await?
        } else {
            Vec::new()
        };
        let named = person.name.filter(|name| !name.trim().is_empty());
        Ok(Said {
            subject: person.id.to_string(),
            email: primary(addresses),
            name: named.or(Some(person.login)),
            values,
            second_factor: self.provider.second_factor == SecondFactor::Always,
        })
    }

    /// The organizations and teams of the entry that the person is in, in lower case.
    async fn groups(&self) -> Result<Vec<String>, Unproved> {
        let roles = &self.provider.roles;
        let plain = roles.keys().filter(|value| !value.contains('/'));
        let mut asked: Vec<&String> = self.github.organizations.iter().chain(plain).collect();
        asked.sort();
        asked.dedup();
        let mut values = Vec::new();
        for organization in asked {
            let path = format!("/user/memberships/orgs/{organization}");
            let found: Option<Membership> = self.get(&path).await?;
            if found.is_some_and(|found| found.state == "active") {
                values.push(organization.clone());
            }
        }
        if roles.keys().any(|value| value.contains('/')) {
            values.extend(self.teams().await?);
        }
        Ok(values)
    }

    async fn teams(&self) -> Result<Vec<String>, Unproved> {
        let mut values = Vec::new();
        for page in 1..=PAGES {
            let path = format!("/user/teams?per_page={PAGE}&page={page}");
            let teams: Vec<Team> = self.get(&path).await?.unwrap_or_default();
            let more = teams.len() >= PAGE;
            let names = teams
                .iter()
                .map(|team| format!("{}/{}", team.organization.login, team.slug).to_lowercase());
            values.extend(names);
            if !more {
                return Ok(values);
            }
        }
        tracing::warn!(
            provider = %self.provider.name,
            "A person is in more teams than are asked for; the rest does not count."
        );
        Ok(values)
    }

    /// Asks. None: GitHub does not tell, or there is nothing.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Unproved> {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/vnd.github+json"),
        );
        headers.insert(VERSION, HeaderValue::from_static("2022-11-28"));
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token))
            .map_err(|_| Unproved::Refused("GitHub sent a token that cannot be sent back"))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let request = Request {
            method: Method::GET,
            url: url(&format!("{}{path}", self.github.api))?,
            headers,
            body: Bytes::new(),
            timeout: Some(TIMEOUT),
            allow_private: self.provider.allow_private,
        };
        let answer = send(self.egress, request).await?;
        match answer.status {
            200 => read(&answer).map(Some),
            401 => Err(Unproved::Refused("GitHub does not take its own token")),
            status => {
                let wants_sso = answer.headers.contains_key(SSO);
                tracing::info!(
                    provider = %self.provider.name, status, wants_sso,
                    "GitHub does not tell something about a person."
                );
                Ok(None)
            }
        }
    }
}

/// The one address that GitHub writes to, if it is verified. Others may be somebody's of long ago.
fn primary(addresses: Vec<Address>) -> Option<String> {
    let mut all = addresses.into_iter();
    all.find(|address| address.primary && address.verified)
        .map(|address| address.email)
}

fn url(text: &str) -> Result<Url, Unproved> {
    Url::parse(text).map_err(|_| Unproved::Refused("the address of GitHub cannot be used"))
}

/// Makes a call; an answer that asks to come back later is none.
async fn send(egress: &Egress, request: Request) -> Result<Response, Unproved> {
    let answer = egress.send(request).await.map_err(|error| {
        tracing::warn!(%error, "GitHub does not answer.");
        Unproved::Away
    })?;
    if answer.status >= 500 || is_limited(&answer) || answer.body.len() > LARGEST {
        tracing::warn!(
            status = answer.status,
            "GitHub does not answer as it should."
        );
        return Err(Unproved::Away);
    }
    Ok(answer)
}

/// Whether too much was asked: 429, or 403 with a word about it.
fn is_limited(answer: &Response) -> bool {
    let headers = &answer.headers;
    let used_up = headers.get(REMAINING).is_some_and(|left| left == "0");
    answer.status == 429
        || (answer.status == 403 && (used_up || headers.contains_key("retry-after")))
}

fn read<T: DeserializeOwned>(answer: &Response) -> Result<T, Unproved> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Unproved::Refused("GitHub's answer cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Response {
        let pairs = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        Response {
            status,
            headers: pairs.collect(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn the_primary_address_counts_when_it_is_verified() {
        let address = |email: &str, primary, verified| Address {
            email: email.to_owned(),
            primary,
            verified,
        };
        let all = vec![
            address("old@x.example", false, true),
            address("a@x.example", true, true),
        ];
        assert_eq!(primary(all).as_deref(), Some("a@x.example"));
        let all = vec![
            address("old@x.example", false, true),
            address("a@x.example", true, false),
        ];
        assert_eq!(primary(all), None);
        assert_eq!(primary(Vec::new()), None);
    }

    #[test]
    fn a_limit_is_told_from_a_refusal() {
        assert!(is_limited(&answer(429, &[])));
        assert!(is_limited(&answer(403, &[(REMAINING, "0")])));
        assert!(is_limited(&answer(403, &[("retry-after", "60")])));
        assert!(!is_limited(&answer(403, &[(REMAINING, "4999")])));
        assert!(!is_limited(&answer(403, &[(SSO, "required")])));
        assert!(!is_limited(&answer(200, &[(REMAINING, "0")])));
    }
}
