//! Who calls: people of each role, credentials, strangers.

use std::sync::atomic::{AtomicUsize, Ordering};

use openapi::credentials::{Credential, CredentialRevealed};
use openapi::problem::Problem;
use openapi::roles::Role;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use serde_json::{Value, json};
use tests::signing::ApiSigner;
use tests::{Client, Server};
use uuid::Uuid;

use crate::support::now;

/// A call, ready to be made by anybody.
#[derive(Clone, Debug)]
pub struct Try {
    pub method: Method,
    pub target: String,
    pub body: Option<Vec<u8>>,
    pub if_match: &'static str,
    pub endless: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    /// The code of the problem, or nothing.
    pub fn code(&self) -> Option<&'static str> {
        let problem: Problem = serde_json::from_str(&self.body).ok()?;
        Some(problem.code.id())
    }

    /// The answer without what differs from one request to the next.
    pub fn comparable(&self) -> (StatusCode, Vec<String>, Value) {
        let mut body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        if let Some(id) = body.get_mut("request_id") {
            *id = Value::Null;
        }
        // Whether the connection stays open is a matter of timing.
        let mut names: Vec<String> = self.headers.keys().map(ToString::to_string).collect();
        names.retain(|name| name != "connection");
        names.sort();
        (self.status, names, body)
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Somebody {
    pub name: String,
    pub client: Client,
    signer: Option<ApiSigner>,
}

impl Somebody {
    pub fn new(name: &str, client: Client) -> Self {
        Self {
            name: name.to_owned(),
            client,
            signer: None,
        }
    }

    /// The same with a header.
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self {
            client: self.client.clone().header(name, value),
            ..self.clone()
        }
    }

    pub async fn call(&self, asked: &Try) -> Seen {
        let mut call = self.client.call(asked.method.clone(), &asked.target);
        let body = asked.body.clone().unwrap_or_default();
        if let Some(signer) = &self.signer {
            let place = (asked.method.as_str(), asked.target.as_str());
            let nonce = Uuid::from_u128(rand::random()).simple().to_string();
            for (name, value) in signer.headers(place, &body, now(), &nonce) {
                call = call.header(name, value);
            }
        }
        if asked.method != Method::GET {
            call = call.header("if-match", asked.if_match);
        }
        if asked.body.is_some() {
            call = call.header("content-type", "application/json").body(body);
        }
        if asked.endless {
            let (status, headers, body) = call.begin().await;
            return Seen {
                status,
                headers,
                body,
            };
        }
        let answer = call.send().await;
        Seen {
            status: answer.status,
            body: answer.text(),
            headers: answer.headers,
        }
    }
}

/// A credential whose scopes are set anew for each group of routes.
pub struct Key {
    pub who: Somebody,
    id: Uuid,
    revision: i64,
}

impl Key {
    /// Makes one in the workspace of somebody who may.
    pub async fn make(server: &Server, maker: &Client, kind: &str, scopes: &[String]) -> Self {
        let new = json!({
            "name": format!("{kind} of the table"), "kind": kind, "scopes": scopes,
            "allow_cidrs": ["127.0.0.0/8"],
        });
        let made: CredentialRevealed = maker.post("/api/v1/credentials", &new).await.ok();
        let anonymous = server.anonymous();
        let mut who = Somebody::new(&made.credential.name, anonymous.clone());
        if kind == "bearer" {
            who.client = anonymous.bearer(&made.secret);
        } else {
            who.signer = Some(ApiSigner::new(&made.credential.client_id, &made.secret));
        }
        Self {
            who,
            id: made.credential.id,
            revision: made.credential.revision,
        }
    }

    /// Gives it these scopes and no others.
    pub async fn set(&mut self, maker: &Client, scopes: &[&str]) {
        let path = format!("/api/v1/credentials/{}", self.id);
        let change = json!({ "scopes": scopes });
        let now: Credential = maker.patch(&path, self.revision, &change).await.ok();
        self.revision = now.revision;
    }
}

/// A person whose role is changed for each group of routes.
pub struct Custom {
    pub who: Somebody,
    role: Role,
}

impl Custom {
    pub async fn make(server: &Server, owner: &Client, workspace: Uuid) -> Self {
        let new = json!({ "name": "of the table", "scopes": ["events:read"] });
        let role: Role = owner.post("/api/v1/roles", &new).await.ok();
        let client = member(server, workspace, &role.word).await;
        Self {
            who: Somebody::new("a role of our own", client),
            role,
        }
    }

    /// Lets the role permit these scopes and no others.
    pub async fn set(&mut self, owner: &Client, scopes: &[&str]) {
        let path = format!("/api/v1/roles/{}", self.role.id.unwrap());
        let change = json!({ "scopes": scopes });
        self.role = owner.patch(&path, self.role.revision, &change).await.ok();
    }
}

static PEOPLE: AtomicUsize = AtomicUsize::new(0);

/// A person with the first admin's password, in no workspace yet.
pub async fn person(server: &Server) -> (Uuid, String) {
    let db = server.store.connect().await;
    let admin = entity::user::Entity::find().one(&db).await.unwrap();
    let hash = admin.unwrap().password_hash;
    let id = Uuid::from_u128(rand::random());
    let email = format!("p{}@example.org", PEOPLE.fetch_add(1, Ordering::Relaxed));
    let row = entity::user::ActiveModel {
        id: Set(id),
        email: Set(email.clone()),
        name: Set("Somebody".to_owned()),
        password_hash: Set(hash),
        created_at: Set(0),
        ..Default::default()
    };
    entity::user::Entity::insert(row)
        .exec_without_returning(&db)
        .await
        .unwrap();
    sea_orm::DatabaseConnection::close(db).await.unwrap();
    (id, email)
}

/// Makes a person a member of a workspace.
pub async fn join(server: &Server, workspace: Uuid, person: Uuid, role: &str) {
    let db = server.store.connect().await;
    let row = entity::member::ActiveModel {
        workspace_id: Set(workspace),
        user_id: Set(person),
        role: Set(role.to_owned()),
        ..Default::default()
    };
    entity::member::Entity::insert(row)
        .exec_without_returning(&db)
        .await
        .unwrap();
    sea_orm::DatabaseConnection::close(db).await.unwrap();
}

/// A person with a role, signed in.
pub async fn member(server: &Server, workspace: Uuid, role: &str) -> Client {
    let (id, email) = person(server).await;
    join(server, workspace, id, role).await;
    let password = &server.credentials.admin.password;
    server.anonymous().sign_in(&email, password).await
}
