//! People: invited, given roles, removed; passwords by link; sessions; confirmations.

use openapi::account::{OwnSession, PasswordStrength, Profile};
use openapi::audit::AuditEntry;
use openapi::auth::{Session, WhoAmI};
use openapi::page::Page;
use openapi::people::{Invitation, InvitationSent, InvitationShown, Member};
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::{Answer, Client, Database, Options, Server, both, wait_until};
use uuid::Uuid;

use crate::support::all;

/// Passwords that the rule takes.
const GOOD: &str = "seven purple ducks rehearse";
const OTHER: &str = "nobody expects 9 umbrellas";

/// What stands behind `#` in a link.
fn token(link: &str) -> String {
    let (_, token) = link.split_once('#').unwrap();
    token.to_owned()
}

async fn invited(by: &Client, email: &str, role: &str) -> InvitationSent {
    let answer = by
        .post(
            "/api/v1/invitations",
            &json!({ "email": email, "role": role }),
        )
        .await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.ok()
}

/// Whoever an answer has signed in.
fn entered(server: &Server, answer: &Answer) -> Client {
    let cookie = answer.cookie().unwrap();
    let session: Session = answer.ok();
    server
        .anonymous()
        .header("cookie", &cookie)
        .header("x-csrf-token", &session.csrf_token)
}

/// Invites somebody new, who accepts.
async fn joined(server: &Server, by: &Client, email: &str, role: &str) -> Client {
    let link = invited(by, email, role).await.link.unwrap();
    let body = json!({ "token": token(&link), "name": "Ada", "password": GOOD });
    let answer = server
        .anonymous()
        .post("/api/v1/auth/invitation/accept", &body)
        .await;
    entered(server, &answer)
}

async fn login(server: &Server, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    server.anonymous().post("/api/v1/auth/login", &body).await
}

async fn member(by: &Client, email: &str) -> Member {
    let members: Vec<Member> = all(by, "/api/v1/members").await;
    members.into_iter().find(|m| m.email == email).unwrap()
}

/// Changes a member, as it is now.
async fn change(by: &Client, id: Uuid, body: &Value) -> Answer {
    let path = format!("/api/v1/members/{id}");
    by.patch(&path, revision(by, id).await, body).await
}

async fn remove(by: &Client, id: Uuid) -> Answer {
    let path = format!("/api/v1/members/{id}");
    by.delete(&path, revision(by, id).await).await
}

/// The revision of a member; any, if there is none.
async fn revision(by: &Client, id: Uuid) -> i64 {
    let members: Vec<Member> = all(by, "/api/v1/members").await;
    let found = members.iter().find(|member| member.id == id);
    found.map_or(1, |member| member.revision)
}

fn printed(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", tests::server::both(output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

both! {
    async fn somebody_new_is_invited_joins_and_is_removed(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let sent = invited(&admin, "Ada@Example.com ", "operator").await;
        assert_eq!((sent.mailed, sent.invitation.email.as_str()), (false, "ada@example.com"));
        let link = sent.link.unwrap();
        assert!(link.contains("/invitation#") && !link.contains('?'), "{link}");
        let open: Page<Invitation> = admin.read("/api/v1/invitations").await;
        assert_eq!(open.items, std::slice::from_ref(&sent.invitation));
        // Nobody is invited twice, but the link can be made anew; the old one is worth nothing.
        let again = json!({ "email": "ada@example.com", "role": "viewer" });
        admin.post("/api/v1/invitations", &again).await.problem(Code::Conflict);
        let path = format!("/api/v1/invitations/{}", sent.invitation.id);
        let newer: InvitationSent = admin.post(&format!("{path}/resend"), &json!({})).await.ok();
        let anonymous = server.anonymous();
        let show = async |link: &str| anonymous.post("/api/v1/auth/invitation", &json!({ "token": token(link) })).await;
        show(&link).await.problem(Code::LinkInvalid);
        let link = newer.link.unwrap();
        let shown: InvitationShown = show(&link).await.ok();
        assert_eq!((shown.email.as_str(), shown.role.as_str()), ("ada@example.com", "operator"));
        let accept = async |name: &str, password: &str| {
            let body = json!({ "token": token(&link), "name": name, "password": password });
            anonymous.post("/api/v1/auth/invitation/accept", &body).await
        };
        // The rule for passwords knows who it is.
        for weak in ["short", "ada@example.com", "passwordpassword", &"x1!".repeat(100)] {
            let problem = accept("Ada", weak).await.problem(Code::ValidationFailed);
            assert_eq!((problem.errors[0].field.as_str(), problem.errors[0].code.as_str()), ("password", "weak_password"));
        }
        accept(" ", GOOD).await.problem(Code::ValidationFailed);
        let ada = entered(&server, &accept("Ada", GOOD).await);
        show(&link).await.problem(Code::LinkInvalid);
        accept("Ada", GOOD).await.problem(Code::LinkInvalid);
        let me: WhoAmI = ada.read("/api/v1/debug/whoami").await;
        assert!(me.scopes.contains(&"events:replay".to_owned()) && !me.scopes.contains(&"users:read".to_owned()));
        ada.get("/api/v1/members").await.problem(Code::ScopeMissing);
        let seen = member(&admin, "ada@example.com").await;
        assert!(seen.enabled && !seen.second_factor && seen.joined_at.is_some() && seen.last_seen_at.is_some());
        let open: Page<Invitation> = admin.read("/api/v1/invitations").await;
        assert!(open.items.is_empty());

        // Another role holds with the next request; off is off, and on is on again.
        let changed: Member = change(&admin, seen.id, &json!({ "role": "viewer" })).await.ok();
        assert_eq!(changed.role, "viewer");
        let me: WhoAmI = ada.read("/api/v1/debug/whoami").await;
        assert!(!me.scopes.contains(&"events:replay".to_owned()));
        let path = format!("/api/v1/members/{}", seen.id);
        admin.patch(&path, seen.revision, &json!({ "enabled": false })).await.problem(Code::RevisionStale);
        change(&admin, seen.id, &json!({ "enabled": false })).await.done();
        ada.get("/api/v1/events").await.problem(Code::ScopeMissing);
        change(&admin, seen.id, &json!({ "enabled": true })).await.done();
        ada.get("/api/v1/events").await.done();
        remove(&admin, seen.id).await.done();
        ada.get("/api/v1/events").await.problem(Code::ScopeMissing);
        remove(&admin, seen.id).await.problem(Code::NotFound);
        // The account is still the person's own.
        let profile: Profile = ada.read("/api/v1/me").await;
        assert_eq!(profile.user.email, "ada@example.com");
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?subject_kind=person").await;
        let of_ada: Vec<&str> = lines.iter().filter(|l| l.subject == "ada@example.com").map(|l| l.action.as_str()).collect();
        assert_eq!(of_ada, ["member.remove", "member.change", "member.change", "member.change", "sign_in"]);
        assert_eq!((&lines[0].before["role"], &lines[0].after), (&json!("viewer"), &Value::Null));
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?subject_kind=invitation").await;
        let words: Vec<&str> = lines.iter().map(|l| l.action.as_str()).collect();
        assert_eq!(words, ["invitation.accept", "invitation.resend", "invitation.create"]);
        // No token and no password lies anywhere.
        let dump = server.store.dump().await;
        assert!(!dump.contains(&token(&link)) && !dump.contains(GOOD));
    }

    async fn nobody_hands_out_more_than_they_are_and_an_owner_stays(db) {
        let server = Server::start(db).await;
        let owner = server.session().await;
        let first = member(&owner, "admin@localhost").await;
        // The last owner stays, whoever asks.
        change(&owner, first.id, &json!({ "role": "admin" })).await.problem(Code::Conflict);
        change(&owner, first.id, &json!({ "enabled": false })).await.problem(Code::Conflict);
        remove(&owner, first.id).await.problem(Code::Conflict);
        let admin = joined(&server, &owner, "ada@example.com", "admin").await;
        let ada = member(&owner, "ada@example.com").await;
        // An admin makes no owner, and touches none.
        for (email, role) in [("eve@example.com", "owner"), ("eve@example.com", "king")] {
            let answer = admin.post("/api/v1/invitations", &json!({ "email": email, "role": role })).await;
            let code = if role == "king" { Code::ValidationFailed } else { Code::ScopeMissing };
            assert_eq!(answer.problem(code).errors[0].field, "role");
        }
        change(&admin, ada.id, &json!({ "role": "owner" })).await.problem(Code::ScopeMissing);
        change(&admin, first.id, &json!({ "role": "viewer" })).await.problem(Code::ScopeMissing);
        remove(&admin, first.id).await.problem(Code::ScopeMissing);
        // A program with less hands out less.
        let new = json!({ "name": "robot", "kind": "bearer", "allow_cidrs": ["127.0.0.0/8"],
            "scopes": ["users:read", "users:write", "events:read"] });
        let made: openapi::credentials::CredentialRevealed = owner.post("/api/v1/credentials", &new).await.ok();
        let robot = server.anonymous().bearer(&made.secret);
        let viewer = json!({ "email": "vic@example.com", "role": "viewer" });
        robot.post("/api/v1/invitations", &viewer).await.problem(Code::ScopeMissing);
        remove(&robot, ada.id).await.problem(Code::ScopeMissing);
        // With a second owner the first may go.
        change(&owner, ada.id, &json!({ "role": "owner" })).await.done();
        remove(&admin, first.id).await.done();
        owner.get("/api/v1/events").await.problem(Code::ScopeMissing);
        remove(&admin, ada.id).await.problem(Code::Conflict);
        for faulty in [json!({ "email": "nobody", "role": "viewer" }), json!({ "email": "a@b", "role": "viewer", "expires_in_days": 31 })] {
            admin.post("/api/v1/invitations", &faulty).await.problem(Code::ValidationFailed);
        }
    }

    async fn an_account_in_two_workspaces_is_nobody_elses(db) {
        let server = Server::start(db).await;
        let owner = server.session().await;
        owner.post("/api/v1/workspaces", &json!({ "slug": "other", "name": "Other" })).await.done();
        let there = owner.clone().workspace("other");
        let ada = joined(&server, &owner, "ada@example.com", "operator").await;
        let link = invited(&there, "ada@example.com", "viewer").await.link.unwrap();
        // Who has an account does not get a second one, and nobody else uses the invitation.
        let body = json!({ "token": token(&link), "name": "Eve", "password": GOOD });
        server.anonymous().post("/api/v1/auth/invitation/accept", &body).await.problem(Code::Conflict);
        let accept = json!({ "token": token(&link) });
        owner.post("/api/v1/me/invitations/accept", &accept).await.problem(Code::Conflict);
        ada.post("/api/v1/me/invitations/accept", &accept).await.done();
        ada.post("/api/v1/me/invitations/accept", &accept).await.problem(Code::LinkInvalid);
        let session: Session = ada.read("/api/v1/auth/session").await;
        let roles: Vec<(&str, &str)> = session.workspaces.iter().map(|m| (m.workspace.slug.as_str(), m.role.as_str())).collect();
        assert_eq!(roles, [("main", "operator"), ("other", "viewer")]);
        // Taken out of one, the other stays as it was.
        let id = member(&owner, "ada@example.com").await.id;
        remove(&owner, id).await.done();
        ada.get("/api/v1/events").await.done();
        ada.clone().workspace("main").get("/api/v1/events").await.problem(Code::NotFound);
        remove(&owner, id).await.problem(Code::NotFound);
        // Her sign-ins are in the log of where she is, and only there.
        login(&server, "ada@example.com", "wrong").await.problem(Code::LoginFailed);
        let refused = wait_until("the refusal is noted", async || {
            let lines: Vec<AuditEntry> = all(&there, "/api/v1/audit?action=sign_in.refused").await;
            lines.into_iter().next()
        }).await;
        assert_eq!((refused.subject.as_str(), &refused.after["at"]), ("ada@example.com", &json!("password")));
        let lines: Vec<AuditEntry> = all(&owner, "/api/v1/audit?action=sign_in.refused").await;
        assert!(lines.is_empty());
    }

    async fn a_password_is_judged_changed_and_reset_by_a_link(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let ada = joined(&server, &admin, "ada@example.com", "viewer").await;
        let elsewhere = entered(&server, &login(&server, "ada@example.com", GOOD).await);
        let judge = async |password: &str| -> PasswordStrength {
            let body = json!({ "password": password, "hints": ["ada@example.com"] });
            server.anonymous().post("/api/v1/auth/password-strength", &body).await.ok()
        };
        assert!(judge(GOOD).await.acceptable && !judge("ada@example.com").await.acceptable);
        let weak = judge("aaaa").await;
        assert!(weak.score < 2 && weak.advice.iter().any(|a| a.contains("12")), "{weak:?}");

        let body = json!({ "current_password": "wrong", "new_password": OTHER });
        ada.post("/api/v1/me/password", &body).await.problem(Code::LoginFailed);
        let body = json!({ "current_password": GOOD, "new_password": "aaaaaaaaaaaa" });
        let problem = ada.post("/api/v1/me/password", &body).await.problem(Code::ValidationFailed);
        assert_eq!(problem.errors[0].field, "new_password");
        ada.post("/api/v1/me/password", &json!({ "new_password": OTHER })).await.problem(Code::ValidationFailed);
        let body = json!({ "current_password": GOOD, "new_password": OTHER });
        let renewed = entered(&server, &ada.post("/api/v1/me/password", &body).await);
        // This session goes on under a new token; the others, and the old token, are worth nothing.
        renewed.get("/api/v1/me").await.done();
        ada.get("/api/v1/me").await.problem(Code::Unauthenticated);
        elsewhere.get("/api/v1/me").await.problem(Code::Unauthenticated);
        login(&server, "ada@example.com", GOOD).await.problem(Code::LoginFailed);

        let first = printed(&server.cli(&["users", "reset-password", "ada@example.com", "--link"]).await);
        let link = printed(&server.cli(&["users", "reset-password", "ada@example.com", "--link"]).await);
        assert!(link.contains("/reset-password#"), "{link}");
        let reset = async |link: &str, password: &str| {
            let body = json!({ "token": token(link), "password": password });
            server.anonymous().post("/api/v1/auth/password-reset/accept", &body).await
        };
        reset(&first, GOOD).await.problem(Code::LinkInvalid);
        reset(&link, "adaadaadaada").await.problem(Code::ValidationFailed);
        renewed.get("/api/v1/me").await.done();
        reset(&link, GOOD).await.done();
        renewed.get("/api/v1/me").await.problem(Code::Unauthenticated);
        reset(&link, OTHER).await.problem(Code::LinkInvalid);
        login(&server, "ada@example.com", GOOD).await.done();
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?action=password.set").await;
        let ways: Vec<&Value> = lines.iter().map(|l| &l.after["by"]).collect();
        assert_eq!(ways, [&json!("link"), &json!("change")]);
        let dump = server.store.dump().await;
        assert!(!dump.contains(&token(&link)));
        assert!(!server.log().contains(GOOD) && !server.log().contains(OTHER));
    }

    async fn sessions_are_listed_and_ended(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let ada = joined(&server, &admin, "ada@example.com", "viewer").await;
        let signed_in = async || entered(&server, &login(&server, "ada@example.com", GOOD).await);
        let (second, third) = (signed_in().await, signed_in().await);
        let rows: Page<OwnSession> = ada.read("/api/v1/me/sessions").await;
        assert_eq!(rows.items.len(), 3);
        assert_eq!(rows.items.iter().filter(|row| row.current).count(), 1);
        assert!(rows.items.iter().all(|row| row.remote_addr == "127.0.0.1"));
        let rows: Page<OwnSession> = second.read("/api/v1/me/sessions").await;
        let own = rows.items.iter().find(|row| row.current).unwrap();
        let end = async |by: &Client, id: Uuid| {
            by.call(reqwest::Method::DELETE, &format!("/api/v1/me/sessions/{id}")).send().await
        };
        // Nobody ends those of others: they are not there.
        end(&admin, own.id).await.problem(Code::NotFound);
        end(&third, own.id).await.done();
        second.get("/api/v1/me").await.problem(Code::Unauthenticated);
        third.post("/api/v1/me/sessions/end-others", &json!({})).await.done();
        ada.get("/api/v1/me").await.problem(Code::Unauthenticated);
        let rows: Page<OwnSession> = third.read("/api/v1/me/sessions").await;
        assert_eq!(rows.items.len(), 1);
        // What is the person's own is nothing for programs.
        server.client().get("/api/v1/me").await.problem(Code::Unauthenticated);
        server.anonymous().get("/api/v1/me").await.problem(Code::Unauthenticated);
        // A new sign-in in the same browser takes the place of the old one.
        let body = json!({ "email": "ada@example.com", "password": GOOD });
        third.post("/api/v1/auth/login", &body).await.done();
        third.get("/api/v1/me").await.problem(Code::Unauthenticated);
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?action=session.end").await;
        assert_eq!(lines.len(), 2);
    }

    async fn what_is_dangerous_asks_again_who_it_is(db) {
        let server = Server::start_with(db, Options::default().set("confirm_minutes", 0)).await;
        let admin = server.session().await;
        let new = json!({ "name": "robot", "kind": "hmac", "scopes": ["events:read"] });
        let invitation = json!({ "email": "ada@example.com", "role": "viewer" });
        let password = json!({ "current_password": server.credentials.admin.password, "new_password": GOOD });
        for (path, body) in [
            ("/api/v1/credentials", &new), ("/api/v1/invitations", &invitation),
            ("/api/v1/me/password", &password), ("/api/v1/me/second-factor", &json!({})),
        ] {
            admin.post(path, body).await.problem(Code::ReauthenticationRequired);
        }
        remove(&admin, Uuid::nil()).await.problem(Code::ReauthenticationRequired);
        // What is not dangerous goes on, and a program shows who it is with every request.
        admin.get("/api/v1/members").await.done();
        server.client().post("/api/v1/credentials", &new).await.done();
    }

    async fn a_confirmation_is_good_for_a_while(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let invite = async |by: &Client, email: &str| {
            by.post("/api/v1/invitations", &json!({ "email": email, "role": "viewer" })).await
        };
        invite(&admin, "a@example.com").await.done();
        server.store.run("UPDATE session SET created_at = created_at - 660000, proved_at = proved_at - 660000").await;
        invite(&admin, "b@example.com").await.problem(Code::ReauthenticationRequired);
        let confirm = async |by: &Client, body: Value| by.post("/api/v1/auth/confirm", &body).await;
        confirm(&admin, json!({})).await.problem(Code::ValidationFailed);
        confirm(&admin, json!({ "password": "wrong" })).await.problem(Code::LoginFailed);
        confirm(&admin, json!({ "code": "123456" })).await.problem(Code::CodeInvalid);
        invite(&admin, "b@example.com").await.problem(Code::ReauthenticationRequired);
        let answer = confirm(&admin, json!({ "password": server.credentials.admin.password })).await;
        let renewed = entered(&server, &answer);
        invite(&renewed, "b@example.com").await.done();
        // The token from before may do nothing any more.
        admin.get("/api/v1/members").await.problem(Code::Unauthenticated);
        server.anonymous().post("/api/v1/auth/confirm", &json!({ "password": "x" })).await.problem(Code::Unauthenticated);
    }

    async fn the_command_line_looks_after_people(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let link = printed(&server.cli(&["users", "invite", "ada@example.com", "--role", "viewer"]).await);
        let body = json!({ "token": token(&link), "name": "Ada", "password": GOOD });
        let ada = entered(&server, &server.anonymous().post("/api/v1/auth/invitation/accept", &body).await);
        let listed = printed(&server.cli(&["users", "list"]).await);
        assert!(listed.contains("ada@example.com  Ada  main:viewer") && listed.contains("admin@localhost"), "{listed}");
        printed(&server.cli(&["users", "disable", "ada@example.com"]).await);
        ada.get("/api/v1/events").await.problem(Code::Unauthenticated);
        let refused = login(&server, "ada@example.com", GOOD).await.problem(Code::LoginFailed);
        let unknown = login(&server, "nobody@example.com", GOOD).await.problem(Code::LoginFailed);
        assert_eq!(refused.detail, unknown.detail, "nobody learns that the account is there");
        printed(&server.cli(&["users", "enable", "ada@example.com"]).await);
        login(&server, "ada@example.com", GOOD).await.done();
        let new = printed(&server.cli(&["users", "reset-password", "ada@example.com"]).await);
        login(&server, "ada@example.com", &new).await.done();
        for wrong in [["users", "disable", "nobody@example.com"], ["users", "reset-second-factor", "nobody@example.com"]] {
            assert!(!server.cli(&wrong).await.status.success());
        }
        let twice = server.cli(&["users", "invite", "ada@example.com", "--role", "viewer"]).await;
        assert!(!twice.status.success());
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?actor=command%20line").await;
        let words: Vec<&str> = lines.iter().map(|l| l.action.as_str()).collect();
        assert_eq!(words, ["password.set", "account.enable", "account.disable", "invitation.create"]);
    }

    async fn guessing_is_slowed_and_tells_nothing(db) {
        let server = Server::start_with(db, Options::default().set("trusted_proxies", "127.0.0.0/8")).await;
        let admin = server.session().await;
        joined(&server, &admin, "ada@example.com", "viewer").await;
        // From many addresses: an account that is there, and one that is not, are closed alike.
        for email in ["ada@example.com", "nobody@example.com"] {
            let mut told = Vec::new();
            for n in 0..21 {
                let from = server.anonymous().header("x-forwarded-for", &format!("203.0.113.{n}"));
                let answer = from.post("/api/v1/auth/login", &json!({ "email": email, "password": "wrong" })).await;
                told.push(answer.status.as_u16());
            }
            assert_eq!(told[..20], [401; 20]);
            assert_eq!(told[20], 429, "{email}");
        }
        // Asking for a link tells nothing either.
        let ask = async |email: &str| {
            let answer = server.anonymous().post("/api/v1/auth/password-reset", &json!({ "email": email })).await;
            let problem: openapi::problem::Problem = answer.json();
            (answer.status.as_u16(), problem.detail)
        };
        assert_eq!(ask("ada@example.com").await, ask("nobody2@example.com").await);
        // Links are not guessed: after ten that are wrong, none is looked at.
        let guess = async || server.anonymous().post("/api/v1/auth/invitation", &json!({ "token": "guess" })).await;
        for _ in 0..10 {
            guess().await.problem(Code::LinkInvalid);
        }
        let answer = guess().await;
        assert!(answer.header("retry-after").is_some());
        answer.problem(Code::RateLimited);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_or_signed_out_is_out_on_every_node() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let one = Server::start(db).await;
    let other = one.another(Options::default());
    other.resume().await;
    let admin = one.session().await;
    let ada = joined(&one, &admin, "ada@example.com", "operator").await;
    let carried = |name: &str| ada.headers()[name].to_str().unwrap();
    let there = other.anonymous().header("cookie", carried("cookie"));
    there.get("/api/v1/events").await.done();
    let id = member(&admin, "ada@example.com").await.id;
    change(&admin, id, &json!({ "enabled": false }))
        .await
        .done();
    there
        .get("/api/v1/events")
        .await
        .problem(Code::ScopeMissing);
    change(&admin, id, &json!({ "enabled": true })).await.done();
    there.get("/api/v1/events").await.done();
    ada.post("/api/v1/auth/logout", &json!({})).await.done();
    there
        .get("/api/v1/events")
        .await
        .problem(Code::Unauthenticated);
}
