//! Single sign-on with a real provider.

use openapi::audit::AuditEntry;
use openapi::auth::{Session, SignInProvider};
use openapi::page::Page;
use openapi::problem::Code;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tests::fakes::OidcProvider;
use tests::fakes::oidc::{SECRET, public, walk};
use tests::server::both as shown;
use tests::{Answer, Client, Database, Options, Server, both, wait_until};

use crate::support::all;

/// A server with this provider.
async fn server(db: Database, provider: &mut OidcProvider, more: Value) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("providers.yaml");
    std::fs::write(&file, provider.entry(&more)).unwrap();
    let options = Options::default()
        .set("sso_file", file.display())
        .env("CORP_SECRET", SECRET);
    let server = Server::start_with(db, options).await;
    drop(folder);
    provider.serve(&server);
    server
}

/// Begins a sign-in: the provider's page, and a client with the cookie.
async fn begin(server: &Server, query: &str) -> (String, Client) {
    let path = format!("/api/v1/auth/providers/corp/start{query}");
    let answer = server.anonymous().get(&path).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let carried = server
        .anonymous()
        .header("cookie", &answer.cookie().unwrap());
    (answer.header("location").unwrap().to_owned(), carried)
}

/// A whole sign-in: what the end is answered with.
async fn sign_in(server: &Server) -> Answer {
    let (page, browser) = begin(server, "").await;
    browser.get(&walk(server, &page).await).await
}

/// A client with the session of an answer, and the session.
async fn session(server: &Server, answer: &Answer) -> (Client, Session) {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let mut cookies = answer.headers.get_all("set-cookie").iter();
    let cookie = cookies
        .find_map(|c| c.to_str().unwrap().strip_prefix("signalbox_session="))
        .unwrap();
    assert!(
        cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    let value = cookie.split(';').next().unwrap();
    let client = server
        .anonymous()
        .header("cookie", &format!("signalbox_session={value}"));
    let session: Session = client.read("/api/v1/auth/session").await;
    (client.header("x-csrf-token", &session.csrf_token), session)
}

fn refused(answer: &Answer) {
    let problem = answer.problem(Code::ProviderRefused);
    assert_eq!(problem.detail, None, "no reason for strangers");
    let cookies = answer.headers.get_all("set-cookie").iter();
    assert!(
        cookies
            .into_iter()
            .all(|c| !c.to_str().unwrap().contains("session="))
    );
}

both! {
    async fn somebody_comes_in_and_is_the_same_the_next_time(db) {
        let mut provider = OidcProvider::start();
        let roles = json!({
            "role_claim": "groups", "roles": { "admins": "admin", "staff": "operator" }, "default_role": null,
        });
        let server = server(db, &mut provider, roles).await;
        let offered: Page<SignInProvider> = server.anonymous().read("/api/v1/auth/providers").await;
        assert_eq!(offered.items[0].name, "corp");
        assert_eq!(offered.items[0].title, "Example Corp");
        let person = |groups: Value| json!({
            "sub": "p-1", "email": "Ann@Example.com", "email_verified": true, "name": "Ann", "groups": groups,
        });
        provider.person(&person(json!(["staff"])));
        let (page, browser) = begin(&server, "?return_to=/events").await;
        let query: std::collections::HashMap<_, _> =
            url::Url::parse(&page).unwrap().query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["scope"], "openid email profile groups");
        let answer = browser.get(&walk(&server, &page).await).await;
        assert_eq!(answer.header("location"), Some("/events"));
        let (client, first) = session(&server, &answer).await;
        assert_eq!(first.user.email, "ann@example.com");
        assert_eq!(first.user.name, "Ann");
        assert_eq!(first.workspaces[0].role, "operator");
        client.get("/api/v1/sources").await.done();

        // The role is that of today; the account is known by its subject, whatever its address.
        let mut moved = person(json!(["admins", "staff"]));
        moved["email"] = json!("ann.lee@example.com");
        provider.person(&moved);
        let (_, second) = session(&server, &sign_in(&server).await).await;
        assert_eq!(second.user.id, first.user.id);
        assert_eq!(second.workspaces[0].role, "admin");
        // Who has no role any more does not come in.
        provider.person(&person(json!(["gone"])));
        refused(&sign_in(&server).await);
        let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit").await;
        let has = |action: &str| lines.iter().filter(|line| line.action == action).count();
        assert_eq!((has("user.create"), has("member.role"), has("provider.refused")), (1, 2, 1));
        // There is no password to sign in with.
        let login = json!({ "email": "ann@example.com", "password": "" });
        server.anonymous().post("/api/v1/auth/login", &login).await.problem(Code::LoginFailed);
        let log = server.log();
        assert!(!log.contains(SECRET) && !log.contains("ann@example.com"), "{log}");
    }

    async fn an_account_that_is_there_is_joined_only_when_told(db) {
        let mut provider = OidcProvider::start();
        let admin = json!({ "sub": "p-2", "email": "admin@localhost", "email_verified": true });
        provider.person(&admin);
        let server = server(db, &mut provider, json!({ "email_domains": ["localhost"] })).await;
        refused(&sign_in(&server).await);
        let lenient = json!({ "email_domains": ["localhost"], "link_by_email": true });
        let server = self::server(db, &mut provider, lenient).await;
        let (_, first) = session(&server, &sign_in(&server).await).await;
        assert_eq!(first.user.email, server.credentials.admin.email);
        // An owner stays one.
        assert_eq!(first.workspaces[0].role, "owner");
        // Unverified, it is not joined.
        provider.person(&json!({ "sub": "p-3", "email": "admin@localhost", "email_verified": false }));
        refused(&sign_in(&server).await);
    }

    async fn what_was_begun_ends_once_and_in_the_same_browser(db) {
        let mut provider = OidcProvider::start();
        let server = server(db, &mut provider, json!({})).await;
        let (page, browser) = begin(&server, "").await;
        let back = walk(&server, &page).await;
        // Another browser has no cookie, or one of another sign-in.
        refused(&server.anonymous().get(&back).await);
        let (other_page, other) = begin(&server, "").await;
        refused(&other.get(&back).await);
        // The code of one sign-in in the other: state, code verifier and nonce do not fit.
        let other_back = walk(&server, &other_page).await;
        let code_of = |back: &str| {
            let url = url::Url::parse(&format!("{}{back}", public(&server))).unwrap();
            url.query_pairs().find(|(k, _)| k == "code").unwrap().1.into_owned()
        };
        let mixed = other_back.replace(&code_of(&other_back), &code_of(&back));
        refused(&other.get(&mixed).await);
        // Changed state, and an issuer that is another.
        let (page, third) = begin(&server, "").await;
        let whole = walk(&server, &page).await;
        refused(&third.get(&whole.replace("state=", "state=x")).await);
        let issuer: String = url::form_urlencoded::byte_serialize(provider.issuer.as_bytes()).collect();
        assert!(whole.contains(&issuer), "{whole}");
        let elsewhere: String = url::form_urlencoded::byte_serialize(b"https://evil.example").collect();
        refused(&third.get(&whole.replace(&issuer, &elsewhere)).await);
        let (page, fourth) = begin(&server, "").await;
        let nameless = walk(&server, &page).await.replace(&format!("&iss={issuer}"), "").replace(&format!("iss={issuer}&"), "");
        assert!(!nameless.contains("iss="), "{nameless}");
        refused(&fourth.get(&nameless).await);
        // The first one works, once.
        let (page, browser) = { drop((page, browser)); begin(&server, "").await };
        let back = walk(&server, &page).await;
        session(&server, &browser.get(&back).await).await;
        refused(&browser.get(&back).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_asked_for_unless_the_provider_asked() {
    let mut provider = OidcProvider::start();
    let server = server(Database::Sqlite, &mut provider, json!({})).await;
    let (client, first) = session(&server, &sign_in(&server).await).await;
    let db = server.store.connect().await;
    for change in [
        "UPDATE \"user\" SET totp_at = 1",
        "UPDATE workspace SET require_second_factor = TRUE",
    ] {
        db.execute_unprepared(change).await.unwrap();
    }
    client.get("/api/v1/sources").await.done();
    // An app is set up here: its code is asked for.
    let answer = sign_in(&server).await;
    assert_eq!(answer.header("location"), Some("/?sign_in=second_factor"));
    let cookies = answer.headers.get_all("set-cookie").iter();
    let names: Vec<&str> = cookies
        .map(|cookie| cookie.to_str().unwrap().split('=').next().unwrap())
        .collect();
    assert!(names.contains(&"signalbox_sign_in"), "{names:?}");
    assert!(!names.contains(&"signalbox_session"), "{names:?}");
    // The provider asked for one.
    provider.set(&json!({ "token": { "amr": ["pwd", "mfa"] } }));
    let (_, second) = session(&server, &sign_in(&server).await).await;
    assert_eq!(second.user.id, first.user.id);
    // It counts where the workspace asks for one, too.
    db.execute_unprepared("UPDATE \"user\" SET totp_at = NULL")
        .await
        .unwrap();
    let (strong, _) = session(&server, &sign_in(&server).await).await;
    strong.get("/api/v1/sources").await.done();
    provider.set(&json!({ "token": null }));
    let (weak, _) = session(&server, &sign_in(&server).await).await;
    weak.get("/api/v1/sources")
        .await
        .problem(Code::SecondFactorMissing);
    // Who is switched off stays out.
    let off = format!(
        "UPDATE \"user\" SET disabled_at = 1 WHERE email = '{}'",
        first.user.email
    );
    db.execute_unprepared(&off).await.unwrap();
    db.close().await.unwrap();
    refused(&sign_in(&server).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_verified_or_of_another_domain_is_refused() {
    let mut provider = OidcProvider::start();
    let server = server(Database::Sqlite, &mut provider, json!({})).await;
    for person in [
        json!({ "sub": "a", "email": "ann@example.com", "email_verified": false }),
        json!({ "sub": "a", "email": "ann@example.com" }),
        json!({ "sub": "a", "email_verified": true }),
        json!({ "sub": "a", "email": "ann@elsewhere.example", "email_verified": true }),
        json!({ "sub": "a", "email": "ann@example.com\r\nx", "email_verified": true }),
    ] {
        provider.person(&person);
        refused(&sign_in(&server).await);
    }
    provider.set(&json!({ "deny": true }));
    refused(&sign_in(&server).await);
    assert_eq!(
        server.store.number("SELECT COUNT(*) FROM \"user\"").await,
        1
    );
    // A browser is shown the sign-in page.
    let (page, browser) = begin(&server, "").await;
    let back = walk(&server, &page).await;
    let answer = browser.header("accept", "text/html,*/*").get(&back).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, Some("/?sign_in=refused"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_tampered_with_is_refused() {
    let mut provider = OidcProvider::start();
    let server = server(Database::Sqlite, &mut provider, json!({})).await;
    for (change, reason) in [
        (
            json!({ "token": { "nonce": "another" } }),
            "of another sign-in",
        ),
        (
            json!({ "token": { "iss": "https://evil.example" } }),
            "from another issuer",
        ),
        (
            json!({ "token": { "aud": "somebody" } }),
            "for somebody else",
        ),
        (json!({ "token": { "exp": 1_700_000_000 } }), "too old"),
        (
            json!({ "token": { "sub": "p-other" } }),
            "about somebody else",
        ),
        (json!({ "token": null, "key": "other" }), "signature"),
    ] {
        provider.set(&change);
        refused(&sign_in(&server).await);
        wait_until(&format!("the log has: {reason}"), async || {
            server.log().contains(reason).then_some(())
        })
        .await;
    }
    // With the claims unchanged, signing again makes no difference.
    provider.set(&json!({ "token": {}, "key": null }));
    session(&server, &sign_in(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_stops_nobody_else() {
    let mut provider = OidcProvider::start();
    let server = server(Database::Sqlite, &mut provider, json!({})).await;
    provider.set(&json!({ "fault": 503 }));
    let path = "/api/v1/auth/providers/corp/start";
    let problem = server
        .anonymous()
        .get(path)
        .await
        .problem(Code::UpstreamFailed);
    assert!(problem.detail.unwrap().contains("does not answer"));
    let page = server
        .anonymous()
        .header("accept", "text/html")
        .get(path)
        .await;
    assert_eq!(page.header("location"), Some("/?sign_in=unavailable"));
    server.session().await.get("/api/v1/sources").await.done();
    server
        .anonymous()
        .get("/api/v1/auth/providers/nobody/start")
        .await
        .problem(Code::NotFound);

    // It comes back, and later changes its keys.
    provider.set(&json!({ "fault": null }));
    session(&server, &sign_in(&server).await).await;
    provider.set(&json!({ "rotate": true }));
    session(&server, &sign_in(&server).await).await;
    for bad in [
        "//evil.example",
        "https://evil.example",
        "/%5Cevil.example",
        "/api/v1/stream",
    ] {
        let path = format!("{path}?return_to={bad}");
        server
            .anonymous()
            .get(&path)
            .await
            .problem(Code::ValidationFailed);
    }
    // Not for all time: it goes away in the middle, too.
    let (page, browser) = begin(&server, "").await;
    let back = walk(&server, &page).await;
    provider.set(&json!({ "fault": 500 }));
    refused(&browser.get(&back).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_anew_is_asked_of_the_provider() {
    let mut provider = OidcProvider::start();
    let server = server(Database::Sqlite, &mut provider, json!({})).await;
    let (page, browser) = begin(&server, "?confirm=true").await;
    assert!(
        page.contains("prompt=login") && page.contains("max_age=0"),
        "{page}"
    );
    session(&server, &browser.get(&walk(&server, &page).await).await).await;
    // A provider that let the person in without asking again.
    let before = json!({ "token": { "auth_time": 1_700_000_000 } });
    provider.set(&before);
    let (page, browser) = begin(&server, "?confirm=true").await;
    refused(&browser.get(&walk(&server, &page).await).await);
    session(&server, &sign_in(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_faults_stops_the_start() {
    let provider = OidcProvider::start();
    let server = Server::prepare(Database::Sqlite, Options::default()).await;
    for (entry, said) in [
        (provider.entry(&json!({ "issuer": "ftp://x" })), "issuer"),
        (provider.entry(&json!({ "surprise": 1 })), "surprise"),
        (provider.entry(&json!({})), "CORP_SECRET is not set"),
    ] {
        let file = server.write("providers.yaml", &entry);
        let file = file.to_str().unwrap();
        let env = [("SIGNALBOX_SSO_FILE", file)];
        let done = server
            .cli_with(&["serve", "--listen", "127.0.0.1:0"], &env)
            .await;
        assert_eq!(done.status.code(), Some(1), "{}", shown(&done));
        assert!(shown(&done).contains(said), "{said}: {}", shown(&done));
    }
}
