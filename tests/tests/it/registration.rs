//! People who register themselves, and who take another address.

use openapi::account::Profile;
use openapi::audit::AuditEntry;
use openapi::auth::Session;
use openapi::page::Page;
use openapi::people::{
    MemberPolicy, Registered, Registration, RegistrationOffer, RegistrationShown,
};
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::MailSink;
use tests::fakes::mail::Received;
use tests::server::both as shown;
use tests::{Answer, Client, Database, Options, Server, both, wait_until};

use crate::support::all;

const GOOD: &str = "seven purple ducks rehearse";
const OTHER: &str = "nobody expects 9 umbrellas";

async fn start(db: Database) -> (MailSink, Server, Client) {
    let sink = MailSink::start().await;
    let server = Server::start_with(db, sink.settings(Options::default())).await;
    let admin = server.session().await;
    (sink, server, admin)
}

/// Lets people of example.com ask.
async fn open(admin: &Client, automatic: bool) -> MemberPolicy {
    let wanted = json!({ "self_registration": {
        "enabled": true, "email_domains": ["Example.com"], "role": "operator", "automatic": automatic } });
    admin.patch("/api/v1/member-policy", 1, &wanted).await.ok()
}

async fn ask(server: &Server, email: &str) -> Answer {
    let body = json!({ "email": email });
    server
        .anonymous()
        .post("/api/v1/auth/registration", &body)
        .await
}

/// Waits for the mail to an address with this subject.
async fn mail(sink: &MailSink, to: &str, subject: &str) -> Received {
    wait_until(&format!("the mail \"{subject}\" to {to}"), async || {
        let all = sink.received();
        all.into_iter()
            .find(|mail| mail.to == [to] && mail.header("subject") == Some(subject))
    })
    .await
}

fn token(mail: &Received) -> String {
    mail.link().split_once('#').unwrap().1.to_owned()
}

async fn register(server: &Server, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "name": "Ada", "password": password });
    server
        .anonymous()
        .post("/api/v1/auth/registration/accept", &body)
        .await
}

async fn login(server: &Server, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    server.anonymous().post("/api/v1/auth/login", &body).await
}

async fn offered(server: &Server) -> bool {
    let offer: RegistrationOffer = server.anonymous().read("/api/v1/auth/registration").await;
    offer.open
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

both! {
    async fn who_registers_waits_until_somebody_approves(db) {
        let (sink, server, admin) = start(db).await;
        assert!(!offered(&server).await, "off unless told");
        ask(&server, "ada@example.com").await.problem(Code::NotFound);
        let policy = open(&admin, false).await;
        assert_eq!(policy.self_registration.email_domains, ["example.com"]);
        assert!(!policy.require_second_factor && offered(&server).await);

        // The same answer whatever the address.
        for email in ["Ada@Example.com", "eve@elsewhere.example", "admin@localhost"] {
            assert_eq!(ask(&server, email).await.status, 202, "{email}");
        }
        ask(&server, "nobody").await.problem(Code::ValidationFailed);
        let first = mail(&sink, "ada@example.com", "Join Signalbox").await;
        assert!(first.link().contains("/register#"), "{}", first.link());
        // Nobody sees who has not shown that the address is theirs.
        let pending: Page<Registration> = admin.read("/api/v1/registrations").await;
        assert!(pending.items.is_empty());
        // The newest link counts.
        ask(&server, "ada@example.com").await.done();
        let second = wait_until("another link", async || {
            let all = sink.received();
            all.into_iter().find(|mail| mail.to == ["ada@example.com"] && token(mail) != token(&first))
        }).await;
        register(&server, &token(&first), GOOD).await.problem(Code::LinkInvalid);
        let token = token(&second);
        let body = json!({ "token": token });
        let what: RegistrationShown =
            server.anonymous().post("/api/v1/auth/registration/show", &body).await.ok();
        assert_eq!(what.email, "ada@example.com");
        register(&server, &token, "short").await.problem(Code::ValidationFailed);
        let done: Registered = register(&server, &token, GOOD).await.ok();
        assert!(!done.approved);
        register(&server, &token, GOOD).await.problem(Code::LinkInvalid);
        login(&server, "ada@example.com", GOOD).await.problem(Code::LoginFailed);
        // Who waits goes on waiting, with what was chosen.
        ask(&server, "ada@example.com").await.done();

        let pending: Page<Registration> = admin.read("/api/v1/registrations").await;
        assert_eq!(pending.items.len(), 1);
        let row = &pending.items[0];
        assert_eq!((row.email.as_str(), row.name.as_str()), ("ada@example.com", "Ada"));
        let path = format!("/api/v1/registrations/{}/approve", row.id);
        let king = json!({ "role": "king" });
        admin.post(&path, &king).await.problem(Code::ValidationFailed);
        admin.post(&path, &json!({})).await.done();
        admin.post(&path, &json!({})).await.problem(Code::NotFound);
        mail(&sink, "ada@example.com", "Welcome to Signalbox").await;
        let ada = entered(&server, &login(&server, "ada@example.com", GOOD).await);
        let session: Session = ada.read("/api/v1/auth/session").await;
        assert_eq!(session.workspaces[0].role, "operator");
        ask(&server, "ada@example.com").await.problem(Code::RateLimited);
        let to_strangers = sink.received().into_iter()
            .filter(|mail| mail.to == ["eve@elsewhere.example"] || mail.to == ["admin@localhost"]);
        assert_eq!(to_strangers.count(), 0, "no workspace takes these");

        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit").await;
        let words: Vec<&str> = lines.iter().map(|l| l.action.as_str()).collect();
        for word in ["registration.create", "registration.approve", "member.policy"] {
            assert_eq!(words.iter().filter(|one| **one == word).count(), 1, "{word}: {words:?}");
        }
        let (dump, log) = (server.store.dump().await, server.log());
        assert!(!dump.contains(&token) && !dump.contains(GOOD) && !log.contains(&token));
        assert!(!log.contains("ada@example.com"), "{log}");
    }

    async fn who_is_refused_is_forgotten_and_a_closed_door_takes_no_link(db) {
        let (sink, server, admin) = start(db).await;
        open(&admin, false).await;
        ask(&server, "bob@example.com").await.done();
        let bob = mail(&sink, "bob@example.com", "Join Signalbox").await;
        let _: Registered = register(&server, &token(&bob), GOOD).await.ok();
        let pending: Page<Registration> = admin.read("/api/v1/registrations").await;
        let path = format!("/api/v1/registrations/{}/refuse", pending.items[0].id);
        admin.post(&path, &json!({})).await.done();
        let pending: Page<Registration> = admin.read("/api/v1/registrations").await;
        assert!(pending.items.is_empty());
        login(&server, "bob@example.com", GOOD).await.problem(Code::LoginFailed);
        assert_eq!(server.store.number("SELECT COUNT(*) FROM registration").await, 0);

        // With `automatic` nobody has to approve.
        open(&admin, true).await;
        ask(&server, "cid@example.com").await.done();
        let cid = mail(&sink, "cid@example.com", "Join Signalbox").await;
        let done: Registered = register(&server, &token(&cid), GOOD).await.ok();
        assert!(done.approved);
        login(&server, "cid@example.com", GOOD).await.done();

        // An address that has an account gets a mail about that, and no link to register.
        ask(&server, "cid@example.com").await.done();
        mail(&sink, "cid@example.com", "Your account of Signalbox").await;

        // A link that was mailed before the door was closed leads nowhere.
        ask(&server, "dan@example.com").await.done();
        let dan = mail(&sink, "dan@example.com", "Join Signalbox").await;
        let closed = json!({ "self_registration": { "enabled": false } });
        admin.patch("/api/v1/member-policy", 1, &closed).await.done();
        assert!(!offered(&server).await);
        register(&server, &token(&dan), GOOD).await.problem(Code::LinkInvalid);
        // Faults are named.
        for (wanted, field) in [
            (json!({ "enabled": true }), "self_registration.email_domains"),
            (json!({ "enabled": true, "email_domains": ["*"] }), "self_registration.email_domains"),
            (json!({ "enabled": true, "email_domains": ["a.example"], "role": "owner" }), "self_registration.role"),
            (json!({ "enabled": true, "email_domains": ["a.example"], "role": "king" }), "self_registration.role"),
        ] {
            let body = json!({ "self_registration": wanted });
            let problem = admin.patch("/api/v1/member-policy", 1, &body).await.problem(Code::ValidationFailed);
            assert_eq!(problem.errors[0].field, field);
        }
    }

    async fn an_address_is_changed_by_a_link_to_the_new_one(db) {
        let (sink, server, admin) = start(db).await;
        let other = entered(&server, &login(&server, "admin@localhost", &server.credentials.admin.password).await);
        let wanted = |email: &str| json!({ "email": email });
        for bad in ["nobody", "admin@localhost", "a b@example.com"] {
            admin.post("/api/v1/me/email", &wanted(bad)).await.problem(Code::ValidationFailed);
        }
        admin.post("/api/v1/me/email", &wanted("Ann@Example.com")).await.done();
        let first = mail(&sink, "ann@example.com", "Your new address for Signalbox").await;
        // Until the link is opened, nothing has changed.
        let profile: Profile = admin.read("/api/v1/me").await;
        assert_eq!(profile.user.email, "admin@localhost");
        let open = async |token: &str| {
            server.anonymous().post("/api/v1/auth/new-email", &json!({ "token": token })).await
        };
        open("x").await.problem(Code::LinkInvalid);
        // In this very browser: its session goes on, the others end.
        let body = json!({ "token": token(&first) });
        admin.post("/api/v1/auth/new-email", &body).await.done();
        open(&token(&first)).await.problem(Code::LinkInvalid);
        let profile: Profile = admin.read("/api/v1/me").await;
        assert_eq!(profile.user.email, "ann@example.com");
        other.get("/api/v1/me").await.problem(Code::Unauthenticated);
        let password = server.credentials.admin.password.clone();
        login(&server, "admin@localhost", &password).await.problem(Code::LoginFailed);
        login(&server, "ann@example.com", &password).await.done();
        // An address that is taken: the same answer, and only its mailbox hears of it.
        let made = json!({ "email": "bob@example.com", "role": "viewer" });
        admin.post("/api/v1/invitations", &made).await.done();
        let invited = mail(&sink, "bob@example.com", "You are invited to Signalbox").await;
        let body = json!({ "token": token(&invited), "name": "Bob", "password": OTHER });
        server.anonymous().post("/api/v1/auth/invitation/accept", &body).await.done();
        admin.post("/api/v1/me/email", &wanted("bob@example.com")).await.done();
        mail(&sink, "bob@example.com", "Your account of Signalbox").await;
        // Back again, by a browser that is signed in nowhere: all sessions end, the old address hears.
        admin.post("/api/v1/me/email", &wanted("cid@example.com")).await.done();
        let back = mail(&sink, "cid@example.com", "Your new address for Signalbox").await;
        open(&token(&back)).await.done();
        let notice = mail(&sink, "ann@example.com", "The address of your account has changed").await;
        assert!(notice.text.contains("cid@example.com"), "{}", notice.text);
        admin.get("/api/v1/me").await.problem(Code::Unauthenticated);

        let admin = entered(&server, &login(&server, "cid@example.com", &password).await);
        admin.patch("/api/v1/me", 1, &json!({ "name": "Cid" })).await.done();
        admin.patch("/api/v1/me", 1, &json!({ "name": "Cid" })).await.done();
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?subject_kind=person").await;
        let of = |action: &str| lines.iter().filter(|line| line.action == action).collect::<Vec<_>>();
        assert_eq!(of("account.rename").len(), 1, "what is as it was is no change");
        assert_eq!(of("account.rename")[0].after, json!({ "name": "Cid" }));
        assert_eq!(of("account.email").len(), 2);
        assert_eq!(of("account.email")[0].before, json!({ "email": "ann@example.com" }));
        assert_eq!(of("account.email")[0].after, json!({ "email": "cid@example.com" }));
        let log = server.log();
        assert!(!log.contains(&token(&back)) && !log.contains("cid@example.com"), "{log}");
        assert!(!server.store.dump().await.contains(&token(&back)));
    }

    async fn without_mail_the_command_line_changes_an_address(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let wanted = json!({ "email": "ann@example.com" });
        let problem = admin.post("/api/v1/me/email", &wanted).await.problem(Code::MailNotConfigured);
        assert!(problem.detail.unwrap().contains("users change-email"));
        let open = json!({ "self_registration": { "enabled": true, "email_domains": ["example.com"] } });
        admin.patch("/api/v1/member-policy", 1, &open).await.problem(Code::MailNotConfigured);
        let policy: Value = admin.read("/api/v1/member-policy").await;
        assert_eq!(policy["self_registration"]["enabled"], json!(false));
        let done = server.cli(&["users", "change-email", "admin@localhost", "Ann@Example.com"]).await;
        assert!(done.status.success(), "{}", shown(&done));
        admin.get("/api/v1/me").await.problem(Code::Unauthenticated);
        login(&server, "ann@example.com", &server.credentials.admin.password).await.done();
        let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit?action=account.email").await;
        assert_eq!((lines.len(), lines[0].actor.as_str()), (1, "command line"));
        for (of, new) in [("nobody@example.com", "x@example.com"), ("ann@example.com", "nobody")] {
            let done = server.cli(&["users", "change-email", of, new]).await;
            assert_eq!(done.status.code(), Some(1), "{}", shown(&done));
        }
    }
}
