//! GitHub as far as people sign in with it: its OAuth pages and the parts of its API that tell of a
//! person. It is as strict as the real one: it wants a user agent and its scopes, gives a code once,
//! says with 200 that a code is wrong, and answers in a form unless it is asked for JSON.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::server::{Running, start};

/// Who the server under test is there.
pub const CLIENT: &str = "Iv1.signalbox";
/// Its secret there.
pub const SECRET: &str = "a-secret-of-github";

/// A code that was given out.
#[derive(Clone, Debug)]
struct Code {
    challenge: String,
    redirect: String,
    scope: String,
    expired: bool,
}

/// How it answers.
#[derive(Clone, Debug, Default)]
struct Way {
    /// Who is signed in there, as `GET /user` has it.
    person: Value,
    /// As `GET /user/emails` has them.
    emails: Value,
    /// State of the membership of each organization.
    organizations: HashMap<String, String>,
    /// Organizations that tell applications nothing.
    closed: Vec<String>,
    /// Teams as `organization/slug`.
    teams: Vec<String>,
    /// The person does not agree.
    denies: bool,
    /// The API answers so.
    limited: Option<u16>,
    /// Everything answers so.
    fault: Option<u16>,
    /// The code does not come back in time.
    late: bool,
}

#[derive(Debug, Default)]
struct State {
    way: Mutex<Way>,
    codes: Mutex<HashMap<String, Code>>,
    tokens: Mutex<HashMap<String, String>>,
    made: Mutex<u64>,
    calls: Mutex<Vec<String>>,
}

/// A running GitHub. It ends when this is dropped.
#[derive(Debug)]
pub struct FakeGithub {
    /// Its address, without a slash at the end.
    pub url: String,
    state: Arc<State>,
    _running: Running,
}

impl FakeGithub {
    /// One on a free port, with Ann.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start() -> io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let running = start(0, 1, move |config| routes(config, &shared))?;
        let fake = Self {
            url: format!("http://{}", running.address),
            state,
            _running: running,
        };
        fake.person(&json!({ "id": 583_231, "login": "ann", "name": "Ann" }));
        fake.emails(&json!([address("ann@example.com", true, true)]));
        Ok(fake)
    }

    /// Who is signed in there.
    pub fn person(&self, person: &Value) {
        self.state.way.lock().person = person.clone();
    }

    /// The addresses of that one.
    pub fn emails(&self, emails: &Value) {
        self.state.way.lock().emails = emails.clone();
    }

    /// The state of the membership in an organization: `active`, `pending`, or none.
    pub fn organization(&self, name: &str, state: Option<&str>) {
        let all = &mut self.state.way.lock().organizations;
        all.remove(name);
        all.extend(state.map(|state| (name.to_owned(), state.to_owned())));
    }

    /// An organization that tells applications nothing.
    pub fn close(&self, name: &str) {
        self.state.way.lock().closed.push(name.to_owned());
    }

    /// The teams of the person, as `organization/slug`.
    pub fn teams(&self, teams: &[&str]) {
        let teams = teams.iter().map(|&team| team.to_owned()).collect();
        self.state.way.lock().teams = teams;
    }

    /// Whether the person agrees.
    pub fn denies(&self, denies: bool) {
        self.state.way.lock().denies = denies;
    }

    /// Too much was asked: 403 or 429.
    pub fn limited(&self, status: Option<u16>) {
        self.state.way.lock().limited = status;
    }

    /// Answers everything so.
    pub fn fault(&self, status: Option<u16>) {
        self.state.way.lock().fault = status;
    }

    /// Codes have expired when they are used.
    pub fn late(&self, late: bool) {
        self.state.way.lock().late = late;
    }

    /// The calls of the API, as paths.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().clone()
    }

    /// The access tokens that were given out.
    pub fn tokens(&self) -> Vec<String> {
        self.state.tokens.lock().keys().cloned().collect()
    }

    /// An entry of the file of providers, with more keys.
    pub fn entry(&self, more: &Value) -> String {
        let mut entry = json!({
            "kind": "github", "name": "github", "title": "GitHub", "web_url": self.url,
            "client_id": CLIENT, "client_secret": { "env": "GITHUB_SECRET" },
            "email_domains": ["example.com"], "workspace": "main", "default_role": "viewer",
            "create_accounts": true, "allow_private": true,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        json!({ "providers": [entry] }).to_string()
    }
}

/// An address as the API has it.
pub fn address(email: &str, primary: bool, verified: bool) -> Value {
    json!({ "email": email, "primary": primary, "verified": verified, "visibility": null })
}

fn routes(config: &mut ServiceConfig, state: &Arc<State>) {
    config
        .app_data(Data::from(Arc::clone(state)))
        .route("/login/oauth/authorize", web::get().to(authorize))
        .route("/login/oauth/access_token", web::post().to(exchange))
        .route("/api/v3/user", web::get().to(user))
        .route("/api/v3/user/emails", web::get().to(emails))
        .route("/api/v3/user/teams", web::get().to(teams))
        .route(
            "/api/v3/user/memberships/orgs/{organization}",
            web::get().to(membership),
        );
}

type Pairs = HashMap<String, String>;

/// A page, for which the person has agreed already.
async fn authorize(state: Data<State>, Query(asked): Query<Pairs>) -> HttpResponse {
    let way = state.way.lock().clone();
    if let Some(status) = way.fault {
        return status_of(status).finish();
    }
    if asked["client_id"] != CLIENT {
        return HttpResponse::NotFound().finish();
    }
    assert_eq!(asked["code_challenge_method"], "S256");
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    if way.denies {
        back.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair(
                "error_description",
                "The user has denied your application access.",
            );
    } else {
        let code = state.random("code");
        let given = Code {
            challenge: asked["code_challenge"].clone(),
            redirect: asked["redirect_uri"].clone(),
            scope: asked["scope"].clone(),
            expired: way.late,
        };
        back.query_pairs_mut().append_pair("code", &code);
        state.codes.lock().insert(code, given);
    }
    back.query_pairs_mut().append_pair("state", &asked["state"]);
    HttpResponse::Found()
        .insert_header((header::LOCATION, back.as_str()))
        .finish()
}

/// Errors come with 200.
async fn exchange(
    state: Data<State>,
    request: HttpRequest,
    Form(asked): Form<Pairs>,
) -> HttpResponse {
    if let Some(status) = state.way.lock().fault {
        return status_of(status).finish();
    }
    let said = |key: &str| asked.get(key).cloned().unwrap_or_default();
    let wrong = |error: &str, words: &str| json!({ "error": error, "error_description": words, "error_uri": "https://docs.github.com" });
    let answer = if (said("client_id").as_str(), said("client_secret").as_str()) != (CLIENT, SECRET)
    {
        wrong(
            "incorrect_client_credentials",
            "The client_id and/or client_secret passed are incorrect.",
        )
    } else {
        let code = state.codes.lock().remove(&said("code"));
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(said("code_verifier")));
        match code {
            Some(code) if code.redirect != said("redirect_uri") => wrong(
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            ),
            Some(code) if !code.expired && code.challenge == hash => {
                let token = state.random("gho");
                state
                    .tokens
                    .lock()
                    .insert(token.clone(), code.scope.clone());
                let scope = code.scope.replace(' ', ",");
                json!({ "access_token": token, "scope": scope, "token_type": "bearer" })
            }
            _ => wrong(
                "bad_verification_code",
                "The code passed is incorrect or expired.",
            ),
        }
    };
    let wants_json = request
        .headers()
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "application/json");
    if wants_json {
        return HttpResponse::Ok().json(answer);
    }
    let pairs = answer.as_object().unwrap().iter();
    let pairs = pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    HttpResponse::Ok().body(body)
}

impl State {
    /// Something new each time.
    fn random(&self, what: &str) -> String {
        let mut made = self.made.lock();
        *made += 1;
        let digest = Sha256::digest(format!("{what} {made} {:?}", std::ptr::from_ref(self)));
        format!("{what}_{}", &hex::encode(digest)[..36])
    }

    /// What stands before every call: the scopes of the token, or the answer that refuses.
    fn admit(&self, request: &HttpRequest) -> Result<Vec<String>, Box<HttpResponse>> {
        self.calls.lock().push(request.path().to_owned());
        let way = self.way.lock().clone();
        if let Some(status) = way.fault {
            return Err(status_of(status).finish().into());
        }
        let given = |name: &str| {
            let value = request.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        if given("user-agent").is_none() {
            return Err(HttpResponse::Forbidden()
                .body("Request forbidden by administrative rules.")
                .into());
        }
        assert_eq!(
            given("accept").as_deref(),
            Some("application/vnd.github+json")
        );
        assert_eq!(given("x-github-api-version").as_deref(), Some("2022-11-28"));
        if let Some(status) = way.limited {
            return Err(status_of(status)
                .insert_header(("x-ratelimit-limit", "5000"))
                .insert_header(("x-ratelimit-remaining", "0"))
                .insert_header(("x-ratelimit-reset", "4102444800"))
                .json(json!({ "message": "API rate limit exceeded for user ID 1." }))
                .into());
        }
        let bearer = given("authorization").unwrap_or_default();
        let scope = bearer
            .strip_prefix("Bearer ")
            .and_then(|token| self.tokens.lock().get(token).cloned());
        match scope {
            Some(scope) => Ok(scope.split(' ').map(str::to_owned).collect()),
            None => Err(HttpResponse::Unauthorized()
                .json(json!({ "message": "Bad credentials" }))
                .into()),
        }
    }
}

fn status_of(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "message": "Not Found", "status": "404" }))
}

async fn user(state: Data<State>, request: HttpRequest) -> HttpResponse {
    match state.admit(&request) {
        Ok(_) => HttpResponse::Ok().json(&state.way.lock().person),
        Err(answer) => *answer,
    }
}

async fn emails(state: Data<State>, request: HttpRequest) -> HttpResponse {
    match state.admit(&request) {
        Ok(scopes) if scopes.iter().any(|scope| scope == "user:email") => {
            HttpResponse::Ok().json(&state.way.lock().emails)
        }
        Ok(_) => not_found(),
        Err(answer) => *answer,
    }
}

async fn membership(
    state: Data<State>,
    request: HttpRequest,
    organization: Path<String>,
) -> HttpResponse {
    let scopes = match state.admit(&request) {
        Ok(scopes) => scopes,
        Err(answer) => return *answer,
    };
    let way = state.way.lock();
    if !scopes.iter().any(|scope| scope == "read:org") || way.closed.contains(&*organization) {
        return HttpResponse::Forbidden()
            .insert_header((
                "x-github-sso",
                "required; url=https://github.com/orgs/x/sso",
            ))
            .json(json!({ "message": "Resource protected by organization SAML enforcement." }));
    }
    match way.organizations.get(&*organization) {
        Some(state) => HttpResponse::Ok().json(json!({
            "state": state, "role": "member", "organization": { "login": *organization },
        })),
        None => not_found(),
    }
}

async fn teams(
    state: Data<State>,
    request: HttpRequest,
    Query(asked): Query<Pairs>,
) -> HttpResponse {
    let scopes = match state.admit(&request) {
        Ok(scopes) => scopes,
        Err(answer) => return *answer,
    };
    if !scopes.iter().any(|scope| scope == "read:org") {
        return not_found();
    }
    let number = |key: &str, usual: usize| asked.get(key).map_or(usual, |n| n.parse().unwrap());
    let (each, page) = (number("per_page", 30), number("page", 1));
    let way = state.way.lock();
    let teams: Vec<Value> = way
        .teams
        .iter()
        .skip((page - 1) * each)
        .take(each)
        .map(|team| {
            let (organization, slug) = team.split_once('/').unwrap();
            json!({ "slug": slug, "name": slug, "organization": { "login": organization } })
        })
        .collect();
    HttpResponse::Ok().json(teams)
}
