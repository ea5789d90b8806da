//! Who may do what: sessions, credentials, workspaces, revisions.

use openapi::auth::{Session, WhoAmI};
use openapi::connections::Connection;
use openapi::problem::Code;
use openapi::rules::Rule;
use openapi::sources::Source;
use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::yaml::{File, copy_to};
use tests::{Client, Options, Server, both};
use uuid::Uuid;

both! {
    async fn a_session_signs_in_writes_with_its_token_and_ends(db) {
        let server = Server::start(db).await;
        let anonymous = server.anonymous();
        let admin = server.credentials.admin.clone();
        let login = async |email: &str, password: &str| {
            anonymous.post("/api/v1/auth/login", &json!({ "email": email, "password": password })).await
        };
        let wrong = login(&admin.email, "wrong").await.problem(Code::LoginFailed);
        let unknown = login("nobody@localhost", "wrong").await.problem(Code::LoginFailed);
        assert_eq!(wrong.detail, unknown.detail, "nobody learns which accounts exist");

        let answer = login(&admin.email, &admin.password).await;
        let cookie = answer.header("set-cookie").unwrap().to_owned();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let session: Session = answer.ok();
        assert_eq!(session.workspaces[0].role, "owner");
        let carried = anonymous.clone().header("cookie", &answer.cookie().unwrap());
        carried.get("/api/v1/sources").await.done();
        let new = json!({ "slug": "acme", "name": "Acme" });
        carried.post("/api/v1/workspaces", &new).await.problem(Code::CsrfMissing);
        carried.clone().header("x-csrf-token", "wrong").post("/api/v1/workspaces", &new).await
            .problem(Code::CsrfMissing);
        let full = carried.clone().header("x-csrf-token", &session.csrf_token);
        full.post("/api/v1/workspaces", &new).await.done();
        full.post("/api/v1/auth/logout", &json!({})).await.done();
        full.get("/api/v1/sources").await.problem(Code::Unauthenticated);
    }

    async fn a_credential_is_bound_to_its_scopes_and_networks(db) {
        let server = Server::start_with(db, Options::default().set("trusted_proxies", "127.0.0.0/8")).await;
        let client = server.client();
        let me: WhoAmI = client.read("/api/v1/debug/whoami").await;
        assert_eq!((me.kind.as_str(), me.client_id.as_deref()), ("bearer", Some(server.credentials.bearer.client_id.as_str())));
        // A proxy that is trusted says that the call came from far away.
        client.clone().header("x-forwarded-for", "203.0.113.9").get("/api/v1/debug/whoami").await
            .problem(Code::AddressNotAllowed);
        let token = &server.credentials.bearer.token;
        for junk in ["x", "sbb_x_y", &token[..token.len() - 1], &format!("{token}0")] {
            server.anonymous().bearer(junk).get("/api/v1/sources").await.problem(Code::Unauthenticated);
        }
        server.anonymous().header("authorization", "Basic YTpi").get("/api/v1/sources").await
            .problem(Code::Unauthenticated);

        let db = server.store.connect().await;
        db.execute_unprepared("UPDATE credential SET scopes = '[\"events:read\"]'").await.unwrap();
        db.close().await.unwrap();
        server.restart().await;
        client.get("/api/v1/events").await.done();
        client.get("/api/v1/sources").await.problem(Code::ScopeMissing);
        client.post("/api/v1/rules", &json!("no rule")).await.problem(Code::ScopeMissing);
        client.get("/metrics").await.problem(Code::ScopeMissing);
    }

    async fn a_change_needs_the_revision_that_was_read(db) {
        let server = Server::start(db).await;
        let file = File::new().sandbox("box", json!({})).source("a").rule("r", json!([]), json!([copy_to("box")]));
        server.apply(&file.text()).await;
        let client = server.client();
        let source = first::<Source>(&client, "sources").await;
        let connection = first::<Connection>(&client, "connections").await;
        let rule = first::<Rule>(&client, "rules").await;
        for (path, revision) in [
            (format!("/api/v1/rules/{}", rule.id), rule.revision),
            (format!("/api/v1/sources/{}", source.id), source.revision),
            // Last, since rules follow a new name.
            (format!("/api/v1/connections/{}", connection.id), connection.revision),
        ] {
            let read = client.get(&path).await;
            assert_eq!(read.header("etag"), Some(format!("\"{revision}\"").as_str()));
            let change = json!({ "name": "changed" });
            client.call(Method::PATCH, &path).json(&change).send().await.problem(Code::RevisionRequired);
            client.patch(&path, revision + 7, &change).await.problem(Code::RevisionStale);
            // Two people save what both read: one of them is told.
            let (a, b) = tokio::join!(client.patch(&path, revision, &change), client.patch(&path, revision, &change));
            let (won, lost) = if a.status.is_success() { (a, b) } else { (b, a) };
            lost.problem(Code::RevisionStale);
            let changed: Value = won.ok();
            assert_eq!(changed["name"], "changed");
            assert!(changed["revision"].as_i64().unwrap() > revision);
            assert_eq!(won.header("etag"), Some(format!("\"{}\"", changed["revision"]).as_str()));
            client.delete(&path, revision).await.problem(Code::RevisionStale);
        }
        let nobody = Uuid::nil();
        client.patch(&format!("/api/v1/rules/{nobody}"), 1, &json!({})).await.problem(Code::NotFound);
        let path = format!("/api/v1/connections/{}", connection.id);
        let now: Connection = client.read(&path).await;
        client.delete(&path, now.revision).await.problem(Code::InUse);
    }
}

async fn first<T: DeserializeOwned>(client: &Client, list: &str) -> T {
    crate::support::all(client, &format!("/api/v1/{list}"))
        .await
        .remove(0)
}
