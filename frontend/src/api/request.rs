//! One request and its answer.

use gloo_net::http::{Method, RequestBuilder};
use leptos::prelude::*;
use openapi::auth::{Membership, Session};
use openapi::problem::{Code, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use web_sys::{AbortController, AbortSignal};

use super::proof::Proof;
use super::read::{Tree, from_text, tree};
use super::write::to_text;
use super::{Failure, place, query};

const ROOT: &str = "/api/v1/";

/// Whether somebody is signed in.
#[derive(Clone, Debug, PartialEq)]
pub enum SignedIn {
    /// The server has not answered yet.
    Unknown,
    /// Nobody.
    No,
    /// This person.
    Yes(Box<Session>),
}

/// The way to the server. Copy it into whatever needs it.
#[derive(Clone, Copy)]
pub struct Api {
    /// Who is signed in; set to `No` as soon as the server refuses the session.
    pub session: RwSignal<SignedIn>,
    /// Asks again who somebody is, for what is dangerous.
    pub proof: Proof,
    /// Slug of the workspace that was chosen on this page; the oldest one otherwise.
    chosen: RwSignal<Option<String>>,
}

/// The membership of a workspace, or the first.
fn find(session: &SignedIn, slug: Option<&str>) -> Option<Membership> {
    let SignedIn::Yes(session) = session else {
        return None;
    };
    let own = &session.workspaces;
    own.iter()
        .find(|membership| slug == Some(membership.workspace.slug.as_str()))
        .or_else(|| own.first())
        .cloned()
}

/// The way to the server, from the context.
pub fn use_api() -> Api {
    use_context::<Api>().unwrap_or_else(Api::new)
}

/// Aborts its request when it is dropped.
pub struct Abort(Option<AbortController>);

impl Abort {
    /// A fresh one; without support in the browser it does nothing.
    pub fn new() -> Self {
        Self(AbortController::new().ok())
    }

    /// The signal to hand to the request.
    pub fn signal(&self) -> Option<AbortSignal> {
        self.0.as_ref().map(AbortController::signal)
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

impl Api {
    /// Nobody known yet.
    pub fn new() -> Self {
        Self {
            session: RwSignal::new(SignedIn::Unknown),
            proof: Proof::new(),
            chosen: RwSignal::new(place::stored()),
        }
    }

    /// The membership that requests act by: that of the chosen workspace, or the first.
    pub fn membership(self) -> Option<Membership> {
        let chosen = self.chosen.get();
        self.session
            .with(|session| find(session, chosen.as_deref()))
    }

    /// Chooses the workspace that requests act in from now on, also after this page is loaded anew.
    pub fn choose(self, slug: &str) {
        place::store(slug);
        self.chosen.set(Some(slug.to_owned()));
    }

    /// Slug of the workspace that requests act in.
    pub fn workspace(self) -> Option<String> {
        let chosen = self.chosen.try_get_untracked()?;
        self.session.try_with_untracked(|session| {
            find(session, chosen.as_deref()).map(|own| own.workspace.slug)
        })?
    }

    /// The address of something that the browser fetches by itself, without our headers.
    pub fn link(self, path: &str, pairs: &[(&str, String)]) -> String {
        let mut pairs = pairs.to_vec();
        pairs.push(("workspace", self.workspace().unwrap_or_default()));
        query(&format!("{ROOT}{path}"), &pairs)
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(self, path: &str) -> Result<T, Failure> {
        parse(&self.call(Method::GET, path, None, None, None).await?)
    }

    /// Reads as text, until `abort` says no.
    pub async fn text(self, path: &str, abort: Option<AbortSignal>) -> Result<String, Failure> {
        self.call(Method::GET, path, None, None, abort.as_ref())
            .await
    }

    /// Posts a body; the answer is left to the caller to read.
    pub async fn post_tree<B: Serialize>(self, path: &str, body: &B) -> Result<Tree, Failure> {
        let body = text_of(body)?;
        answer(
            &self
                .call(Method::POST, path, Some(body), None, None)
                .await?,
        )
    }

    /// Posts a body.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let body = text_of(body)?;
        parse(
            &self
                .call(Method::POST, path, Some(body), None, None)
                .await?,
        )
    }

    /// Posts without a body.
    pub async fn act<T: DeserializeOwned>(self, path: &str) -> Result<T, Failure> {
        parse(&self.call(Method::POST, path, None, None, None).await?)
    }

    /// Posts without a body about what was read at `revision`.
    pub async fn act_on<T: DeserializeOwned>(
        self,
        path: &str,
        revision: i64,
    ) -> Result<T, Failure> {
        parse(
            &self
                .call(Method::POST, path, None, Some(revision), None)
                .await?,
        )
    }

    /// Posts a body about what was read at `revision`.
    pub async fn post_on<B: Serialize, T: DeserializeOwned>(
        self,
        path: &str,
        body: &B,
        revision: i64,
    ) -> Result<T, Failure> {
        let body = text_of(body)?;
        parse(
            &self
                .call(Method::POST, path, Some(body), Some(revision), None)
                .await?,
        )
    }

    /// Changes what was read at `revision`.
    pub async fn patch<B: Serialize, T: DeserializeOwned>(
        self,
        path: &str,
        body: &B,
        revision: Option<i64>,
    ) -> Result<T, Failure> {
        let body = text_of(body)?;
        parse(
            &self
                .call(Method::PATCH, path, Some(body), revision, None)
                .await?,
        )
    }

    /// Deletes what was read at `revision`.
    pub async fn delete(self, path: &str, revision: i64) -> Result<(), Failure> {
        self.call(Method::DELETE, path, None, Some(revision), None)
            .await
            .map(|_| ())
    }

    /// Deletes what has no revision.
    pub async fn take<T: DeserializeOwned>(self, path: &str) -> Result<T, Failure> {
        parse(&self.call(Method::DELETE, path, None, None, None).await?)
    }

    /// Makes a call. Where the server first wants to know again who it is, the person is asked,
    /// and the call is made once more.
    async fn call(
        self,
        method: Method,
        path: &str,
        body: Option<String>,
        revision: Option<i64>,
        abort: Option<&AbortSignal>,
    ) -> Result<String, Failure> {
        let first = self
            .once(method.clone(), path, body.clone(), revision, abort)
            .await;
        let asks = Some(Code::ReauthenticationRequired);
        if first.as_ref().is_err_and(|failure| failure.code() == asks) && self.proof.given().await {
            return self.once(method, path, body, revision, abort).await;
        }
        first
    }

    async fn once(
        self,
        method: Method,
        path: &str,
        body: Option<String>,
        revision: Option<i64>,
        abort: Option<&AbortSignal>,
    ) -> Result<String, Failure> {
        let reads = method == Method::GET;
        let mut request = RequestBuilder::new(&format!("{ROOT}{path}"))
            .method(method)
            .header("Accept", "application/json")
            .abort_signal(abort);
        if !reads && let Some(token) = self.csrf() {
            request = request.header("X-CSRF-Token", &token);
        }
        if let Some(slug) = self.workspace() {
            request = request.header("X-Workspace", &slug);
        }
        if let Some(revision) = revision {
            request = request.header("If-Match", &format!("\"{revision}\""));
        }
        let answer = match body {
            Some(body) => {
                request
                    .header("Content-Type", "application/json")
                    .body(body)
                    .map_err(|e| Failure::Answer(e.to_string()))?
                    .send()
                    .await
            }
            None => request.send().await,
        }
        .map_err(|_| Failure::Network)?;
        let ok = answer.ok();
        let status = answer.status();
        let text = answer.text().await.map_err(|_| Failure::Network)?;
        if ok {
            return Ok(text);
        }
        let failure = from_text::<Problem>(&text).map_or_else(
            |_| Failure::Answer(format!("status {status}")),
            |problem| Failure::Problem(Box::new(problem)),
        );
        if failure.code() == Some(Code::Unauthenticated) {
            self.session.try_set(SignedIn::No);
        }
        Err(failure)
    }

    fn csrf(self) -> Option<String> {
        self.session.try_with_untracked(|session| match session {
            SignedIn::Yes(session) => Some(session.csrf_token.clone()),
            _ => None,
        })?
    }
}

fn text_of<B: Serialize>(body: &B) -> Result<String, Failure> {
    to_text(body).map_err(|unwritten| Failure::Answer(unwritten.to_string()))
}

/// Reads an answer; an empty one counts as `null`.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    Ok(answer(text)?.read()?)
}

#[inline(never)]
fn answer(text: &str) -> Result<Tree, Failure> {
    Ok(tree(if text.is_empty() { "null" } else { text })?)
}
