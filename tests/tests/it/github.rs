//! Signing in with GitHub.

use openapi::audit::AuditEntry;
use openapi::auth::{Session, SignInProvider};
use openapi::page::Page;
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::FakeGithub;
use tests::fakes::github::{CLIENT, SECRET, address};
use tests::fakes::oidc::walk;
use tests::server::both as shown;
use tests::{Answer, Client, Database, Options, Server, both, wait_until};

use crate::support::all;

/// A server with this entry.
async fn server(db: Database, github: &FakeGithub, more: Value) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("providers.yaml");
    std::fs::write(&file, github.entry(&more)).unwrap();
    let options = Options::default()
        .set("sso_file", file.display())
        .env("GITHUB_SECRET", SECRET);
    Server::start_with(db, options).await
}

/// GitHub's page, and a client with the cookie of the sign-in.
async fn begin(server: &Server) -> (String, Client) {
    let path = "/api/v1/auth/providers/github/start?return_to=/events";
    let answer = server.anonymous().get(path).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.cookie().unwrap();
    let browser = server.anonymous().header("cookie", &cookie);
    (answer.header("location").unwrap().to_owned(), browser)
}

async fn sign_in(server: &Server) -> Answer {
    let (page, browser) = begin(server).await;
    browser.get(&walk(server, &page).await).await
}

/// A client with the session of an answer, and the session.
async fn session(server: &Server, answer: &Answer) -> (Client, Session) {
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/events"));
    let mut cookies = answer.headers.get_all("set-cookie").iter();
    let value = cookies
        .find_map(|c| c.to_str().unwrap().strip_prefix("signalbox_session="))
        .unwrap();
    let value = value.split(';').next().unwrap();
    let client = server
        .anonymous()
        .header("cookie", &format!("signalbox_session={value}"));
    let session: Session = client.read("/api/v1/auth/session").await;
    (client.header("x-csrf-token", &session.csrf_token), session)
}

fn refused(answer: &Answer) {
    let problem = answer.problem(Code::ProviderRefused);
    assert_eq!(problem.detail, None, "no reason for strangers");
}

async fn logged(server: &Server, reason: &str) {
    wait_until(&format!("the log has: {reason}"), async || {
        server.log().contains(reason).then_some(())
    })
    .await;
}

both! {
    async fn somebody_comes_in_and_is_known_by_the_number_of_the_account(db) {
        let github = FakeGithub::start().unwrap();
        let server = server(db, &github, json!({})).await;
        let offered: Page<SignInProvider> = server.anonymous().read("/api/v1/auth/providers").await;
        assert_eq!((offered.items[0].name.as_str(), offered.items[0].confirms), ("github", false));
        let (page, browser) = begin(&server).await;
        let query: std::collections::HashMap<_, _> =
            url::Url::parse(&page).unwrap().query_pairs().into_owned().collect();
        // No more than the addresses, since nothing else is asked about.
        assert_eq!((query["scope"].as_str(), query["client_id"].as_str()), ("user:email", CLIENT));
        assert_eq!(query["code_challenge_method"], "S256");
        let back = walk(&server, &page).await;
        let (client, first) = session(&server, &browser.get(&back).await).await;
        assert_eq!((first.user.email.as_str(), first.user.name.as_str()), ("ann@example.com", "Ann"));
        assert_eq!(first.workspaces[0].role, "viewer");
        client.get("/api/v1/sources").await.done();
        // Once, and in this browser.
        refused(&browser.get(&back).await);
        let (page, _) = begin(&server).await;
        refused(&server.anonymous().get(&walk(&server, &page).await).await);

        // Another name and another address there: the same account here.
        github.person(&json!({ "id": 583_231, "login": "ann-lee", "name": null }));
        github.emails(&json!([address("lee@example.com", true, true)]));
        let (_, second) = session(&server, &sign_in(&server).await).await;
        assert_eq!(second.user.id, first.user.id);
        // Somebody who took the old name is somebody else, and does not get the account.
        github.person(&json!({ "id": 7, "login": "ann", "name": "Ann" }));
        github.emails(&json!([address("ann@example.com", true, true)]));
        refused(&sign_in(&server).await);
        let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit").await;
        let has = |action: &str| lines.iter().filter(|line| line.action == action).count();
        assert_eq!((has("user.create"), has("member.role"), has("provider.refused")), (1, 1, 1));
        // Nothing of GitHub's lies anywhere.
        let (dump, log) = (server.store.dump().await, server.log());
        for token in github.tokens().iter().map(String::as_str).chain([SECRET]) {
            assert!(!dump.contains(token) && !log.contains(token), "{token}");
        }
    }

    async fn a_sign_in_does_not_stand_for_showing_who_one_is(db) {
        let github = FakeGithub::start().unwrap();
        let server = server(db, &github, json!({ "default_role": "admin" })).await;
        // GitHub cannot be made to ask anew, and nobody says that it did.
        let path = "/api/v1/auth/providers/github/start?confirm=true";
        let problem = server.anonymous().get(path).await.problem(Code::ValidationFailed);
        assert_eq!(problem.errors[0].field, "confirm");
        let (client, _) = session(&server, &sign_in(&server).await).await;
        let new = json!({ "email": "eve@example.com", "role": "viewer" });
        client.post("/api/v1/invitations", &new).await.problem(Code::ReauthenticationRequired);
        let new = json!({ "new_password": "seven purple ducks rehearse" });
        client.post("/api/v1/me/password", &new).await.problem(Code::ReauthenticationRequired);
        client.post("/api/v1/me/second-factor", &json!({})).await.problem(Code::ReauthenticationRequired);
        // A password by a link is a way to show it.
        let link = server.cli(&["users", "reset-password", "ann@example.com", "--link"]).await;
        let link = String::from_utf8_lossy(&link.stdout).trim().to_owned();
        let reset = json!({ "token": link.split_once('#').unwrap().1, "password": "seven purple ducks rehearse" });
        server.anonymous().post("/api/v1/auth/password-reset/accept", &reset).await.done();
        let (client, _) = session(&server, &sign_in(&server).await).await;
        let shown = json!({ "password": "seven purple ducks rehearse" });
        let answer = client.post("/api/v1/auth/confirm", &shown).await;
        let cookie = answer.cookie().unwrap();
        let confirmed: Session = answer.ok();
        let client = server.anonymous().header("cookie", &cookie).header("x-csrf-token", &confirmed.csrf_token);
        let new = json!({ "email": "eve@example.com", "role": "viewer" });
        client.post("/api/v1/invitations", &new).await.done();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizations_and_teams_decide_who_comes_in_and_as_what() {
    let github = FakeGithub::start().unwrap();
    let more = json!({
        "organizations": ["Acme"], "default_role": "viewer",
        "roles": { "Acme/Admins": "admin", "friends": "operator" },
    });
    let server = server(Database::Sqlite, &github, more).await;
    let (page, _) = begin(&server).await;
    assert!(page.contains("user%3Aemail+read%3Aorg"), "{page}");
    // In none, asked into one, or in one that tells nothing.
    refused(&sign_in(&server).await);
    github.organization("acme", Some("pending"));
    refused(&sign_in(&server).await);
    // A team alone is not the organization.
    github.organization("acme", None);
    github.teams(&["acme/admins"]);
    refused(&sign_in(&server).await);
    github.teams(&[]);
    github.organization("acme", Some("active"));
    let role = async || {
        session(&server, &sign_in(&server).await).await.1.workspaces[0]
            .role
            .clone()
    };
    assert_eq!(role().await, "viewer");
    github.organization("friends", Some("active"));
    assert_eq!(role().await, "operator");
    // Beyond the first page, and written as people like.
    let many: Vec<String> = (0..130).map(|n| format!("acme/t{n}")).collect();
    let mut teams: Vec<&str> = many.iter().map(String::as_str).collect();
    teams.push("Acme/admins");
    github.teams(&teams);
    assert_eq!(role().await, "admin");
    github.teams(&[]);
    github.organization("friends", None);
    assert_eq!(role().await, "viewer");
    github.close("acme");
    refused(&sign_in(&server).await);
    let calls = github.calls();
    assert!(
        calls.iter().all(|path| path.starts_with("/api/v3/user")),
        "{calls:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_primary_address_counts_and_only_verified() {
    let github = FakeGithub::start().unwrap();
    let server = server(Database::Sqlite, &github, json!({})).await;
    for emails in [
        json!([]),
        json!([address("ann@example.com", true, false)]),
        json!([
            address("ann@example.com", false, true),
            address("ann@private.example", true, true)
        ]),
        json!([
            address("ann@example.com", false, true),
            address("ann.lee@example.com", true, false)
        ]),
        json!([address("ann@example.com.evil.example", true, true)]),
    ] {
        github.emails(&emails);
        refused(&sign_in(&server).await);
    }
    assert_eq!(
        server.store.number("SELECT COUNT(*) FROM \"user\"").await,
        1
    );
    // The account of somebody who is here is not joined by its address.
    github.emails(&json!([address("admin@localhost", true, true)]));
    let more = json!({ "email_domains": ["localhost"] });
    let server = self::server(Database::Sqlite, &github, more).await;
    refused(&sign_in(&server).await);
    let more = json!({ "email_domains": ["localhost"], "link_by_email": true });
    let server = self::server(Database::Sqlite, &github, more).await;
    let (_, joined) = session(&server, &sign_in(&server).await).await;
    assert_eq!(joined.workspaces[0].role, "owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_github_says_instead_of_yes_is_understood() {
    let github = FakeGithub::start().unwrap();
    let server = server(Database::Sqlite, &github, json!({})).await;
    github.denies(true);
    refused(&sign_in(&server).await);
    github.denies(false);
    // The error comes with 200.
    github.late(true);
    refused(&sign_in(&server).await);
    logged(&server, "has expired").await;
    github.late(false);
    // A code of another sign-in: the verifier does not fit.
    let code = |back: &str| {
        let (_, rest) = back.split_once("code=").unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    let (page, browser) = begin(&server).await;
    let back = walk(&server, &page).await;
    let (other, _) = begin(&server).await;
    let other = walk(&server, &other).await;
    refused(
        &browser
            .get(&back.replace(&code(&back), &code(&other)))
            .await,
    );
    // Limits and outages are nobody's fault; the person is told to come back.
    for status in [403, 429] {
        github.limited(Some(status));
        sign_in(&server).await.problem(Code::UpstreamFailed);
    }
    github.limited(None);
    let (page, browser) = begin(&server).await;
    let back = walk(&server, &page).await;
    github.fault(Some(503));
    browser.get(&back).await.problem(Code::UpstreamFailed);
    github.fault(None);
    session(&server, &sign_in(&server).await).await;
    // A client or a secret that GitHub does not know.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("providers.yaml");
    std::fs::write(&file, github.entry(&json!({}))).unwrap();
    let options = Options::default()
        .set("sso_file", file.display())
        .env("GITHUB_SECRET", "another");
    let server = Server::start_with(Database::Sqlite, options).await;
    refused(&sign_in(&server).await);
    logged(&server, "or its secret").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_checked_without_starting() {
    let github = FakeGithub::start().unwrap();
    let server = Server::prepare(Database::Sqlite, Options::default()).await;
    let check = async |entry: &str, secret: &[(&str, &str)]| {
        let file = server.write("providers.yaml", entry);
        let mut env = vec![("SIGNALBOX_SSO_FILE", file.to_str().unwrap())];
        env.extend(secret);
        server.cli_with(&["config", "check"], &env).await
    };
    let secret = [("GITHUB_SECRET", SECRET)];
    let done = check(&github.entry(&json!({})), &secret).await;
    assert!(done.status.success(), "{}", shown(&done));
    assert!(
        shown(&done).contains("file of providers is sound (github)"),
        "{}",
        shown(&done)
    );
    for (entry, env, said) in [
        (
            github.entry(&json!({ "issuer": "https://x.example" })),
            &secret[..],
            "issuer",
        ),
        (
            github.entry(&json!({ "second_factor": "claimed" })),
            &secret[..],
            "second_factor",
        ),
        (
            github.entry(&json!({ "organizations": ["a/../b"] })),
            &secret[..],
            "organizations",
        ),
        (github.entry(&json!({})), &[], "GITHUB_SECRET is not set"),
    ] {
        let done = check(&entry, env).await;
        assert_eq!(done.status.code(), Some(1), "{}", shown(&done));
        assert!(shown(&done).contains(said), "{said}: {}", shown(&done));
        assert!(!shown(&done).contains(SECRET), "{}", shown(&done));
    }
}
