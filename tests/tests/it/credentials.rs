//! Credentials: made, shown once, changed, rotated without a gap, revoked everywhere.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use openapi::audit::AuditEntry;
use openapi::auth::WhoAmI;
use openapi::credentials::{
    Credential, CredentialRevealed, CredentialStatus, Rotation, SecretSlot,
};
use openapi::notices::Notice;
use openapi::page::Page;
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::{Client, Database, Options, Server, both, wait_until};

use crate::support::all;

const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Makes a credential as `by`.
async fn made(by: &Client, new: &Value) -> CredentialRevealed {
    let answer = by.post("/api/v1/credentials", new).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.status.as_u16(), 201);
    answer.ok()
}

fn bearer(scopes: &[&str]) -> Value {
    json!({ "name": "robot", "kind": "bearer", "scopes": scopes, "allow_cidrs": ["127.0.0.0/8"] })
}

fn path(credential: &Credential) -> String {
    format!("/api/v1/credentials/{}", credential.id)
}

async fn me(client: &Client) -> WhoAmI {
    client.read("/api/v1/debug/whoami").await
}

/// A moment so many seconds from now, as the server's clock has it.
async fn soon(client: &Client, seconds: i64) -> DateTime<Utc> {
    let at = me(client).await.server_time + TimeDelta::seconds(seconds);
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap()
}

both! {
    async fn a_credential_is_shown_once_used_and_revoked(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let made = made(&admin, &bearer(&["events:read", "credentials:read"])).await;
        let robot = server.anonymous().bearer(&made.secret);
        let seen = me(&robot).await;
        assert_eq!((seen.kind.as_str(), seen.name.as_str()), ("bearer", "robot"));
        assert_eq!(seen.client_id.as_deref(), Some(made.credential.client_id.as_str()));
        assert_eq!((seen.slot, seen.matched_cidr.as_deref()), (Some(SecretSlot::Primary), Some("127.0.0.0/8")));
        assert_eq!(seen.scopes, ["credentials:read", "events:read"]);
        assert!(!seen.request_id.is_empty() && seen.skew_seconds.is_none());
        robot.get("/api/v1/rules").await.problem(Code::ScopeMissing);
        // When and from where it was used is written beside the requests.
        let used = wait_until("the use is written", async || {
            let now: Credential = admin.read(&path(&made.credential)).await;
            now.last_used_at.is_some().then_some(now)
        }).await;
        assert_eq!(used.last_used_addr.as_deref(), Some("127.0.0.1"));
        assert_eq!(used.secrets[0].last_used_addr.as_deref(), Some("127.0.0.1"));
        assert_eq!(used.revision, made.credential.revision, "a use is no change");
        // Nothing that is read later holds it, not even what it is made of.
        let read = robot.get("/api/v1/credentials").await.text() + &admin.get("/api/v1/audit").await.text();
        let random = &made.secret[made.secret.len() - 49..];
        assert!(!read.contains(random) && !read.contains("argon2"), "{read}");

        let revoked: Credential = admin.post(&format!("{}/revoke", path(&made.credential)), &json!({})).await.ok();
        assert_eq!(revoked.status, CredentialStatus::Revoked);
        assert!(revoked.secrets.is_empty());
        robot.get("/api/v1/events").await.problem(Code::Unauthenticated);
        // For good: nothing brings it back.
        admin.patch(&path(&revoked), revoked.revision, &json!({ "enabled": true })).await.problem(Code::Conflict);
        admin.post(&format!("{}/secrets", path(&revoked)), &json!({})).await.problem(Code::Conflict);
        let again: Credential = admin.post(&format!("{}/revoke", path(&revoked)), &json!({})).await.ok();
        assert_eq!(again.revision, revoked.revision);
        admin.delete(&path(&revoked), revoked.revision).await.done();
        admin.get(&path(&revoked)).await.problem(Code::NotFound);
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?subject_kind=credential").await;
        let words: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(words, ["credential.delete", "credential.revoke", "credential.create"]);
        assert_eq!(lines[1].before["status"], "active");
        assert_eq!(lines[1].after["status"], "revoked");
        assert_eq!(lines[2].after["scopes"], json!(["credentials:read", "events:read"]));
    }

    async fn nobody_hands_out_more_than_they_have(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let scopes = ["credentials:read", "credentials:write", "rules:read"];
        let small = server.anonymous().bearer(&made(&admin, &bearer(&scopes)).await.secret);
        let problem = small.post("/api/v1/credentials", &bearer(&["rules:read", "rules:write"])).await
            .problem(Code::ScopeMissing);
        assert_eq!(problem.errors[0].field, "scopes[1]");
        let child = made(&small, &bearer(&["rules:read"])).await.credential;
        let rights = json!({ "scopes": ["rules:read", "rules:write"] });
        small.patch(&path(&child), child.revision, &rights).await.problem(Code::ScopeMissing);
        // Nor by way of a credential that may do more: neither its secrets nor its bounds are theirs.
        let rows: Vec<Credential> = all(&small, "/api/v1/credentials").await;
        let first = rows.iter().find(|row| row.client_id == server.credentials.bearer.client_id).unwrap();
        small.post(&format!("{}/secrets", path(first)), &json!({})).await.problem(Code::ScopeMissing);
        small.patch(&path(first), first.revision, &json!({ "allow_cidrs": ANY })).await.problem(Code::ScopeMissing);
        // To stop one is another matter.
        small.post(&format!("{}/revoke", path(first)), &json!({})).await.done();
        server.client().get("/api/v1/rules").await.problem(Code::Unauthenticated);
    }

    async fn what_cannot_be_is_named_by_its_field(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let now = me(&admin).await.server_time;
        let new = json!({
            "name": " x", "kind": "bearer", "scopes": ["rules:read", "everything"], "legacy": true,
            "expires_at": now - TimeDelta::days(1), "rotation": { "every_days": 0, "overlap_days": 3 }
        });
        let problem = admin.post("/api/v1/credentials", &new).await.problem(Code::ValidationFailed);
        let mut fields: Vec<&str> = problem.errors.iter().map(|e| e.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, [
            "allow_cidrs", "expires_at", "legacy", "name", "rotation.every_days",
            "rotation.overlap_days", "scopes[1]"
        ]);
        let new = json!({ "name": "x", "kind": "hmac", "scopes": [], "allow_cidrs": ["ten"] });
        let problem = admin.post("/api/v1/credentials", &new).await.problem(Code::ValidationFailed);
        let fields: Vec<&str> = problem.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["scopes", "allow_cidrs[0]"]);
        // From anywhere is possible, and said.
        let mut open = bearer(&["rules:read"]);
        open["allow_cidrs"] = json!(ANY);
        let open = made(&admin, &open).await.credential;
        assert_eq!(open.warnings[0].code, "any_address");
    }

    async fn a_secret_is_replaced_without_a_gap(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let made = made(&admin, &bearer(&["rules:read"])).await;
        let (id, old) = (path(&made.credential), server.anonymous().bearer(&made.secret));
        let act = async |what: &str| admin.post(&format!("{id}/{what}"), &json!({})).await;
        act("promote").await.problem(Code::Conflict);
        act("retire").await.problem(Code::Conflict);
        assert_eq!(me(&old).await.slot, Some(SecretSlot::Primary));
        let answer = act("secrets").await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let second: CredentialRevealed = answer.ok();
        assert_ne!(second.secret, made.secret);
        act("secrets").await.problem(Code::Conflict);
        let new = server.anonymous().bearer(&second.secret);
        assert_eq!(me(&new).await.slot, Some(SecretSlot::Secondary));
        assert_eq!(me(&old).await.slot, Some(SecretSlot::Primary));
        let promoted: Credential = act("promote").await.ok();
        assert_eq!(promoted.secrets.len(), 2);
        assert_eq!(me(&new).await.slot, Some(SecretSlot::Primary));
        assert_eq!(me(&old).await.slot, Some(SecretSlot::Secondary));
        // Who moved is to be seen: each secret has its own last use.
        wait_until("both uses are written", async || {
            let now: Credential = admin.read(&id).await;
            now.secrets.iter().all(|secret| secret.last_used_at.is_some()).then_some(())
        }).await;
        let left: Credential = act("retire").await.ok();
        assert_eq!(left.secrets.len(), 1);
        old.get("/api/v1/rules").await.problem(Code::Unauthenticated);
        new.get("/api/v1/rules").await.done();
        server.restart().await;
        old.get("/api/v1/rules").await.problem(Code::Unauthenticated);
        new.get("/api/v1/rules").await.done();
    }

    async fn an_old_secret_ends_at_its_date(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let made = made(&admin, &bearer(&["rules:read"])).await;
        let (id, old) = (path(&made.credential), server.anonymous().bearer(&made.secret));
        old.get("/api/v1/rules").await.done();
        let past = soon(&admin, -1).await;
        let plan = json!({ "retire_old_at": past });
        admin.post(&format!("{id}/secrets"), &plan).await.problem(Code::ValidationFailed);
        let at = soon(&admin, 2).await;
        let plan = json!({ "retire_old_at": at });
        let second: CredentialRevealed = admin.post(&format!("{id}/secrets"), &plan).await.ok();
        assert_eq!(second.credential.secrets[0].retires_at, Some(at));
        let new = server.anonymous().bearer(&second.secret);
        new.get("/api/v1/rules").await.done();
        wait_until("the old secret ends", async || {
            let refused = old.get("/api/v1/rules").await.status == 401;
            let late = me(&admin).await.server_time >= at;
            assert!(late || !refused, "not before its date");
            refused.then_some(())
        }).await;
        let left = wait_until("it is tidied up", async || {
            let now: Credential = admin.read(&id).await;
            (now.secrets.len() == 1).then_some(now)
        }).await;
        assert_eq!((left.secrets[0].slot, left.secrets[0].retires_at), (SecretSlot::Primary, None));
        wait_until("it is served so", async || {
            (me(&new).await.slot == Some(SecretSlot::Primary)).then_some(())
        }).await;
        let lines: Page<AuditEntry> = admin.read("/api/v1/audit?action=credential.retire").await;
        assert_eq!((lines.items.len(), lines.items[0].actor.as_str()), (1, "rotation"));
    }

    async fn a_plan_to_retire_can_be_changed_and_taken_back(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let mut new = bearer(&["rules:read"]);
        new["rotation"] = json!({ "every_days": 90, "overlap_days": 3 });
        let made = made(&admin, &new).await;
        let id = path(&made.credential);
        let second: CredentialRevealed = admin.post(&format!("{id}/secrets"), &json!({})).await.ok();
        // The overlap of the rotation says when the old one ends.
        let ends = second.credential.secrets[0].retires_at.unwrap();
        let days = (ends - second.credential.secrets[1].created_at).num_hours();
        assert_eq!(days, 72);
        let plan = json!({ "slot": "primary", "at": null });
        let kept: Credential = admin.post(&format!("{id}/retire"), &plan).await.ok();
        assert!(kept.secrets.iter().all(|secret| secret.retires_at.is_none()));
        // One always stays: a plan for one takes back the plan for the other.
        let at = soon(&admin, 3600).await;
        for slot in ["primary", "secondary"] {
            let plan = json!({ "slot": slot, "at": at });
            let planned: Credential = admin.post(&format!("{id}/retire"), &plan).await.ok();
            let ends = planned.secrets.iter().filter(|secret| secret.retires_at.is_some()).count();
            assert_eq!(ends, 1);
        }
        let now: Credential = admin.post(&format!("{id}/retire"), &json!({ "slot": "primary" })).await.ok();
        assert_eq!((now.secrets.len(), now.secrets[0].slot), (1, SecretSlot::Primary));
        server.anonymous().bearer(&second.secret).get("/api/v1/rules").await.done();
        server.anonymous().bearer(&made.secret).get("/api/v1/rules").await.problem(Code::Unauthenticated);
    }

    async fn people_are_reminded_and_time_ends_it(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let mut new = bearer(&["rules:read"]);
        new["rotation"] = json!({ "every_days": 2, "overlap_days": 1 });
        let eyes = made(&admin, &bearer(&["settings:read"])).await;
        let made = made(&admin, &new).await;
        let rotation = Rotation { every_days: 2, overlap_days: 1 };
        assert_eq!(made.credential.rotation, Some(rotation));
        let notices: Page<Notice> = admin.read("/api/v1/notices").await;
        let told = notices.items.iter().find(|n| n.id == Some(made.credential.id)).unwrap();
        assert_eq!((told.kind.as_str(), told.colour.as_str()), ("credential", "amber"));
        let others: Page<Notice> = server.anonymous().bearer(&eyes.secret).read("/api/v1/notices").await;
        assert!(others.items.is_empty(), "who may not read credentials hears nothing of them");
        let robot = server.anonymous().bearer(&made.secret);
        let (id, revision) = (path(&made.credential), made.credential.revision);
        let change = json!({ "rotation": null, "expires_at": soon(&admin, 1).await });
        let changed: Credential = admin.patch(&id, revision, &change).await.ok();
        assert_eq!(changed.rotation, None);
        assert_eq!(changed.warnings[0].code, "expires_soon");
        wait_until("its time is over", async || {
            let answer = robot.get("/api/v1/rules").await;
            (!answer.status.is_success()).then_some(answer)
        }).await.problem(Code::CredentialInactive);
        let over: Credential = admin.read(&id).await;
        assert_eq!(over.status, CredentialStatus::Expired);
        let change = json!({ "expires_at": null });
        let back: Credential = admin.patch(&id, over.revision, &change).await.ok();
        robot.get("/api/v1/rules").await.done();
        let off: Credential = admin.patch(&id, back.revision, &json!({ "enabled": false })).await.ok();
        assert_eq!(off.status, CredentialStatus::Disabled);
        robot.get("/api/v1/rules").await.problem(Code::CredentialInactive);
        // Who has no secret of it learns nothing about it.
        let (rest, last) = made.secret.split_at(made.secret.len() - 1);
        let wrong = format!("{rest}{}", if last == "x" { "y" } else { "x" });
        server.anonymous().bearer(&wrong).get("/api/v1/rules").await.problem(Code::Unauthenticated);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_holds_on_every_node_within_five_seconds() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let options = Options::default().set("lease_seconds", 3);
    let one = Server::start_with(db, options.clone()).await;
    let other = one.another(options);
    other.resume().await;
    let admin = one.session().await;
    let made = made(&admin, &bearer(&["rules:read"])).await;
    let there = other.anonymous().bearer(&made.secret);
    // Hot in the memory of the other node.
    for _ in 0..3 {
        there.get("/api/v1/rules").await.done();
    }
    admin
        .post(&format!("{}/revoke", path(&made.credential)), &json!({}))
        .await
        .done();
    let begun = Instant::now();
    one.anonymous()
        .bearer(&made.secret)
        .get("/api/v1/rules")
        .await
        .problem(Code::Unauthenticated);
    wait_until("the other node refuses it", async || {
        (there.get("/api/v1/rules").await.status == 401).then_some(())
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}
