//! A client that speaks the contract: typed answers, typed problems.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use openapi::auth::Session;
use openapi::problem::{Code, Problem};
use openapi::sources::Accepted;
use parking_lot::RwLock;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where a server is; it moves with every start.
pub type Address = Arc<RwLock<String>>;

/// Every call of a test ends; a stream has no end of its own and is not bound by it.
const LONGEST: Duration = Duration::from_secs(30);

static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let builder = reqwest::Client::builder();
    builder
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // A killed server leaves dead connections behind.
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
});

/// The one client for HTTP of the test program.
pub fn http() -> reqwest::Client {
    HTTP.clone()
}

/// Somebody who calls a server.
#[derive(Clone)]
pub struct Client {
    address: Address,
    headers: HeaderMap,
}

impl Client {
    /// Somebody without credentials.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            headers: HeaderMap::new(),
        }
    }

    /// The same with a header on every call.
    ///
    /// # Panics
    /// The header cannot be sent.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers
            .insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The same in another workspace.
    #[must_use]
    pub fn workspace(self, slug: &str) -> Self {
        self.header("x-workspace", slug)
    }

    /// The same after signing in: with the cookie and the CSRF token of the session.
    ///
    /// # Panics
    /// The sign-in fails.
    pub async fn sign_in(self, email: &str, password: &str) -> Self {
        let answer = self
            .post(
                "/api/v1/auth/login",
                &json!({ "email": email, "password": password }),
            )
            .await;
        let cookie = answer.cookie().expect("a cookie");
        let session: Session = answer.ok();
        self.header("cookie", &cookie)
            .header("x-csrf-token", &session.csrf_token)
    }

    /// What goes with every call.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The full address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address.read())
    }

    /// A call to be filled in.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call {
            builder: http()
                .request(method.clone(), self.url(path))
                .headers(self.headers.clone())
                .timeout(LONGEST),
            what: format!("{method} {path}"),
        }
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    /// Reads, and expects that it works.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        self.get(path).await.ok()
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    /// Changes something of a revision.
    pub async fn patch(
        &self,
        path: &str,
        revision: i64,
        body: &(impl Serialize + ?Sized),
    ) -> Answer {
        self.call(Method::PATCH, path)
            .revision(revision)
            .json(body)
            .send()
            .await
    }

    /// Deletes something of a revision.
    pub async fn delete(&self, path: &str, revision: i64) -> Answer {
        self.call(Method::DELETE, path)
            .revision(revision)
            .send()
            .await
    }

    /// Sends an event to a hook and expects that it is taken.
    pub async fn hook(&self, slug: &str, payload: &Value) -> Accepted {
        self.post(&format!("/hooks/{slug}"), payload).await.ok()
    }
}

/// A call to be filled in.
#[must_use]
pub struct Call {
    builder: reqwest::RequestBuilder,
    what: String,
}

impl Call {
    /// With a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.builder = self.builder.header(name, value.as_ref());
        self
    }

    /// With the revision that is to be changed.
    pub fn revision(self, revision: i64) -> Self {
        self.header("if-match", format!("\"{revision}\""))
    }

    /// With a JSON body.
    ///
    /// # Panics
    /// The body has no JSON form.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        let bytes = serde_json::to_vec(body).unwrap();
        self.header("content-type", "application/json").body(bytes)
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.builder = self.builder.body(body.into());
        self
    }

    /// Sends it.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn send(self) -> Answer {
        let what = self.what.clone();
        self.try_send()
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:?}"))
    }

    /// Sends it and reads no more than the head of an answer that goes on for ever; the body of a
    /// refusal is read.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn begin(self) -> (StatusCode, HeaderMap, String) {
        let response = self.builder.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            String::new()
        } else {
            response.text().await.unwrap()
        };
        (status, headers, body)
    }

    /// Sends it to a server that may be gone.
    ///
    /// # Errors
    /// There is no whole answer.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.builder.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer {
            what: self.what,
            status,
            headers,
            body: response.bytes().await?,
        })
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    what: String,
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{}: {e}: {} {}", self.what, self.status, self.text()))
    }

    /// What was asked for.
    ///
    /// # Panics
    /// The answer is no success, or not of this form.
    pub fn ok<T: DeserializeOwned>(&self) -> T {
        self.done();
        self.json()
    }

    /// Expects success.
    ///
    /// # Panics
    /// The answer is none.
    pub fn done(&self) {
        assert!(
            self.status.is_success(),
            "{}: {} {}",
            self.what,
            self.status,
            self.text()
        );
    }

    /// The problem, which must have this code and everything that goes with it.
    ///
    /// # Panics
    /// It is another, or none.
    pub fn problem(&self, code: Code) -> Problem {
        let media = self.header("content-type").unwrap_or_default();
        assert_eq!(
            media,
            "application/problem+json",
            "{}: {}",
            self.what,
            self.text()
        );
        let problem: Problem = self.json();
        assert_eq!(problem.code, code, "{}: {}", self.what, self.text());
        assert_eq!(self.status.as_u16(), code.status(), "{}", self.what);
        assert_eq!(problem.status, code.status(), "{}", self.what);
        assert!(!problem.request_id.is_empty(), "{}", self.what);
        problem
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The cookie that was set, as it is sent back.
    pub fn cookie(&self) -> Option<String> {
        let cookie = self.header("set-cookie")?;
        Some(cookie.split(';').next()?.to_owned())
    }
}
