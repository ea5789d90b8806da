//! Passkeys, shown by an authenticator in software.

use openapi::audit::AuditEntry;
use openapi::auth::Session;
use openapi::page::Page;
use openapi::passkeys::{Passkey, PasskeyBegun};
use openapi::problem::Code;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tests::passkey::Authenticator;
use tests::{Answer, Client, Database, Server, both};
use uuid::Uuid;

use crate::support::all;

/// The origin that the server says it has.
fn origin(server: &Server) -> String {
    server.url().replace("127.0.0.1", "localhost")
}

async fn begin(client: &Client, path: &str) -> PasskeyBegun {
    client.post(path, &json!({})).await.ok()
}

/// Makes a passkey of a person who is signed in.
async fn make(server: &Server, person: &Client, name: &str) -> (Authenticator, Passkey) {
    let begun = begin(person, "/api/v1/me/passkeys/start").await;
    assert_eq!(
        begun.options["authenticatorSelection"]["userVerification"],
        "required"
    );
    assert_eq!(
        begun.options["authenticatorSelection"]["residentKey"],
        "required"
    );
    let mut authenticator = Authenticator::new(&origin(server));
    let credential = authenticator.make(&begun.options);
    let body = json!({ "token": begun.token, "name": name, "credential": credential });
    let answer = person.post("/api/v1/me/passkeys", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    (authenticator, answer.ok())
}

/// Signs in with a passkey.
async fn sign_in(server: &Server, authenticator: &mut Authenticator) -> Answer {
    let begun = begin(&server.anonymous(), "/api/v1/auth/passkey-sign-in/start").await;
    let shown = authenticator.show(&begun.options);
    finish(server, &begun.token, &shown).await
}

async fn finish(server: &Server, token: &str, shown: &Value) -> Answer {
    let body = json!({ "token": token, "credential": shown });
    server
        .anonymous()
        .post("/api/v1/auth/passkey-sign-in", &body)
        .await
}

fn refused(answer: &Answer) {
    let problem = answer.problem(Code::PasskeyRefused);
    assert_eq!(problem.detail, None, "no reason for strangers");
    assert!(answer.cookie().is_none());
}

both! {
    async fn a_passkey_is_made_named_used_and_removed(db) {
        let server = Server::start(db).await;
        let person = server.session().await;
        let (mut authenticator, made) = make(&server, &person, "Laptop").await;
        assert_eq!((made.name.as_str(), made.last_used_at), ("Laptop", None));
        // The authenticator is told which it has already.
        let again = begin(&person, "/api/v1/me/passkeys/start").await;
        assert_eq!(again.options["excludeCredentials"].as_array().unwrap().len(), 1);

        let answer = sign_in(&server, &mut authenticator).await;
        let cookie = answer.cookie().unwrap();
        let session: Session = answer.ok();
        assert_eq!(session.user.email, server.credentials.admin.email);
        let inside = server.anonymous().header("cookie", &cookie)
            .header("x-csrf-token", &session.csrf_token);
        inside.get("/api/v1/sources").await.done();
        let listed: Page<Passkey> = inside.read("/api/v1/me/passkeys").await;
        assert!(listed.items[0].last_used_at.is_some());

        let path = format!("/api/v1/me/passkeys/{}", made.id);
        let renamed: Passkey = inside.call(reqwest::Method::PATCH, &path)
            .json(&json!({ "name": "Desk" })).send().await.ok();
        assert_eq!(renamed.name, "Desk");
        // It outlives the process.
        server.restart().await;
        let mut elsewhere = authenticator;
        elsewhere.origin = origin(&server);
        sign_in(&server, &mut elsewhere).await.done();

        inside.call(reqwest::Method::DELETE, &path).send().await.done();
        refused(&sign_in(&server, &mut elsewhere).await);
        inside.call(reqwest::Method::DELETE, &path).send().await.problem(Code::NotFound);
        let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit").await;
        for action in ["passkey.create", "passkey.rename", "passkey.delete"] {
            assert!(lines.iter().any(|line| line.action == action), "{action}");
        }
    }

    async fn what_does_not_fit_is_refused_without_a_reason(db) {
        let server = Server::start(db).await;
        let person = server.session().await;
        let (mut authenticator, _) = make(&server, &person, "Laptop").await;
        let start = "/api/v1/auth/passkey-sign-in/start";
        // The same answer twice: the challenge is gone.
        let begun = begin(&server.anonymous(), start).await;
        let shown = authenticator.show(&begun.options);
        finish(&server, &begun.token, &shown).await.done();
        refused(&finish(&server, &begun.token, &shown).await);
        // For the challenge of another beginning.
        let (one, other) = (begin(&server.anonymous(), start).await, begin(&server.anonymous(), start).await);
        let shown = authenticator.show(&one.options);
        refused(&finish(&server, &other.token, &shown).await);
        // Without the person verified.
        authenticator.verifies = false;
        refused(&sign_in(&server, &mut authenticator).await);
        authenticator.verifies = true;
        // From another page.
        let ours = std::mem::replace(&mut authenticator.origin, "https://evil.example".to_owned());
        refused(&sign_in(&server, &mut authenticator).await);
        authenticator.origin = ours;
        // Of somebody else's handle, and one that nobody knows.
        let own = std::mem::replace(&mut authenticator.handle, Uuid::nil().as_bytes().to_vec());
        refused(&sign_in(&server, &mut authenticator).await);
        authenticator.handle = own;
        let mut stranger = Authenticator::new(&origin(&server));
        stranger.handle.clone_from(&authenticator.handle);
        refused(&sign_in(&server, &mut stranger).await);
        // Signed with another key.
        stranger.id.clone_from(&authenticator.id);
        refused(&sign_in(&server, &mut stranger).await);
        refused(&finish(&server, "x", &json!({ "id": 1 })).await);
        sign_in(&server, &mut authenticator).await.done();
    }

    async fn a_counter_that_goes_back_is_a_copy(db) {
        let server = Server::start(db).await;
        let person = server.session().await;
        let (mut authenticator, _) = make(&server, &person, "Laptop").await;
        sign_in(&server, &mut authenticator).await.done();
        sign_in(&server, &mut authenticator).await.done();
        authenticator.counter = 1;
        refused(&sign_in(&server, &mut authenticator).await);
        let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit?action=passkey.counter").await;
        assert_eq!(lines.len(), 1);
        // The original goes on.
        authenticator.counter = 50;
        sign_in(&server, &mut authenticator).await.done();
        // It is both factors, where a workspace asks for two.
        let db = server.store.connect().await;
        db.execute_unprepared("UPDATE workspace SET require_second_factor = TRUE").await.unwrap();
        let answer = sign_in(&server, &mut authenticator).await;
        let strong = server.anonymous().header("cookie", &answer.cookie().unwrap());
        strong.get("/api/v1/sources").await.done();
        person.get("/api/v1/sources").await.problem(Code::SecondFactorMissing);
        db.execute_unprepared("UPDATE \"user\" SET disabled_at = 1").await.unwrap();
        db.close().await.unwrap();
        refused(&sign_in(&server, &mut authenticator).await);
    }

    async fn one_shows_once_more_who_one_is(db) {
        let server = Server::start(db).await;
        let person = server.session().await;
        let (mut authenticator, _) = make(&server, &person, "Laptop").await;
        let start = "/api/v1/auth/passkey-confirmation/start";
        let finish = "/api/v1/auth/passkey-confirmation";
        let begun = begin(&person, start).await;
        let shown = authenticator.show(&begun.options);
        let body = json!({ "token": begun.token, "credential": shown });
        // What a person began is of no use for a sign-in.
        refused(&self::finish(&server, &begun.token, &shown).await);
        let begun = begin(&person, start).await;
        let shown = authenticator.show(&begun.options);
        let answer = person.post(finish, &json!({ "token": begun.token, "credential": shown })).await;
        let cookie = answer.cookie().unwrap();
        let session: Session = answer.ok();
        // The session has a new token; the old one is worth nothing.
        person.get("/api/v1/auth/session").await.problem(Code::Unauthenticated);
        let renewed = server.anonymous().header("cookie", &cookie)
            .header("x-csrf-token", &session.csrf_token);
        renewed.get("/api/v1/sources").await.done();
        renewed.post(finish, &body).await.problem(Code::PasskeyRefused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_passkey_is_of_this_page_and_this_moment() {
    let own = "/api/v1/me/passkeys/start";
    let server = Server::start(Database::Sqlite).await;
    server
        .client()
        .post(own, &json!({}))
        .await
        .problem(Code::Unauthenticated);
    let person = server.session().await;
    let begun = begin(&person, own).await;
    // Not of this page, not now, not with this name.
    let mut authenticator = Authenticator::new("https://evil.example");
    let credential = authenticator.make(&begun.options);
    let body = |name: &str| json!({ "token": begun.token, "name": name, "credential": credential });
    person
        .post("/api/v1/me/passkeys", &body(""))
        .await
        .problem(Code::ValidationFailed);
    person
        .post("/api/v1/me/passkeys", &body("x"))
        .await
        .problem(Code::ValidationFailed);
    let faults = person
        .post("/api/v1/me/passkeys", &body("x"))
        .await
        .problem(Code::ValidationFailed);
    assert_eq!(faults.errors[0].field, "token");
    let begun = begin(&person, own).await;
    let mut authenticator = Authenticator::new(&origin(&server));
    authenticator.verifies = false;
    let credential = authenticator.make(&begun.options);
    let body = json!({ "token": begun.token, "name": "x", "credential": credential });
    person
        .post("/api/v1/me/passkeys", &body)
        .await
        .problem(Code::ValidationFailed);
    let listed: Page<Passkey> = person.read("/api/v1/me/passkeys").await;
    assert!(listed.items.is_empty());
}
