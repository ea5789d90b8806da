//! Mail to people, taken by a mail server of another maker.

use openapi::audit::AuditEntry;
use openapi::mail::{MailEntry, MailProgress, MailState, TestMailSent};
use openapi::page::Page;
use openapi::people::InvitationSent;
use openapi::problem::Code;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tests::cluster::free_port;
use tests::fakes::MailSink;
use tests::fakes::mail::Received;
use tests::server::both as shown;
use tests::{Database, Options, Server, both, wait_until};
use uuid::Uuid;

use crate::support::all;

const TO: &str = "ann@example.com";

async fn test_mail(server: &Server, to: &str) -> tests::Answer {
    server
        .client()
        .post("/api/v1/mail/test", &json!({ "to": to }))
        .await
}

/// Puts a mail into the outbox as a part of the server does, and wakes the sender.
async fn queue(server: &Server, text: &str) -> Uuid {
    let keyring = api::secrets::Keyring::load_or_create(&server.data().join("keys.json")).unwrap();
    let mut settings = api::settings::Settings::load(&api::settings::Given::default())
        .unwrap()
        .settings;
    settings.smtp_host = "localhost".to_owned();
    settings.mail_from = "Signalbox <box@example.com>".to_owned();
    settings.smtp_tls = api::settings::SmtpTls::None;
    let mail = api::mail::Mail::new(&settings, keyring, api::clock::Clock::system()).unwrap();
    let message = api::mail::Message {
        kind: "invitation",
        workspace: None,
        to: api::mail::EmailAddress::parse(TO).unwrap(),
        subject: "Come in".to_owned(),
        text: api::secrets::Secret::new(text),
    };
    let db = server.store.connect().await;
    let id = mail.send(&db, &message).await.unwrap();
    db.close().await.unwrap();
    id
}

/// State, attempts, length of the sealed text, and reason of a mail.
async fn row(server: &Server, id: Uuid) -> (String, i32, usize, Option<String>) {
    let db = server.store.connect().await;
    let query = "SELECT state, attempts, sealed, error FROM mail WHERE id = $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), query, [id.into()]);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    let sealed: Vec<u8> = row.try_get("", "sealed").unwrap();
    let found = (
        row.try_get("", "state").unwrap(),
        row.try_get("", "attempts").unwrap(),
        sealed.len(),
        row.try_get("", "error").unwrap(),
    );
    db.close().await.unwrap();
    found
}

both! {
    async fn a_queued_mail_is_sent_once_and_its_text_is_wiped(db) {
        let sink = MailSink::start().await;
        let server = Server::start_with(db, sink.settings(Options::default())).await;
        let secret = "https://box.example.com/invite/tok3n-th4t-s1gns-1n";
        let id = queue(&server, &format!("Hello.\n\n{secret}\n")).await;
        let mail = sink.mail_to(TO).await;
        assert_eq!(mail.from, "box@example.com");
        assert_eq!(mail.header("from"), Some("Signalbox <box@example.com>"));
        assert_eq!(mail.header("subject"), Some("Come in"));
        assert_eq!(mail.header("message-id"), Some(format!("<{id}@example.com>").as_str()));
        assert_eq!(mail.header("auto-submitted"), Some("auto-generated"));
        assert_eq!(mail.link(), secret);
        assert!(mail.html.contains(&format!("<a href=\"{secret}\">")), "{}", mail.html);
        wait_until("the mail is done with", async || {
            (row(&server, id).await == ("sent".to_owned(), 1, 0, None)).then_some(())
        }).await;
        let state: MailState = server.client().read("/api/v1/mail").await;
        assert_eq!((state.configured, state.waiting, state.failed), (true, 0, 0));
        assert!(state.last_sent_at.is_some());
        let metrics = server.client().get("/metrics").await.text();
        assert!(metrics.contains("signalbox_mails_total{outcome=\"sent\"} 1"), "{metrics}");
        assert_eq!(sink.received().len(), 1);
        let log = server.log();
        assert!(!log.contains("tok3n") && !log.contains(TO), "{log}");
    }

    async fn a_mail_waits_for_a_server_that_is_down(db) {
        let port = free_port();
        let options = Options::default()
            .set("smtp_host", "127.0.0.1")
            .set("smtp_port", port)
            .set("smtp_tls", "none")
            .set("mail_from", "box@example.com");
        let server = Server::start_with(db, options).await;
        let id = queue(&server, "Hello").await;
        wait_until("a first attempt", async || {
            let (state, attempts, sealed, error) = row(&server, id).await;
            (state == "waiting" && attempts >= 1 && sealed > 0 && error.is_some()).then_some(())
        }).await;
        let state: MailState = server.client().read("/api/v1/mail").await;
        assert_eq!(state.waiting, 1);
        assert_eq!(state.last_error.as_deref(), Some("the mail server could not be reached"));
        // It waits over a restart too.
        server.restart().await;
        let sink = MailSink::start_with(json!({ "port": port })).await;
        let mail = sink.mail_to(TO).await;
        assert_eq!(mail.text.trim(), "Hello");
        assert_eq!(mail.header("message-id"), Some(format!("<{id}@example.com>").as_str()));
        wait_until("the mail is done with", async || {
            (row(&server, id).await.0 == "sent").then_some(())
        }).await;
    }

    async fn a_mail_that_is_refused_for_good_is_given_up(db) {
        let sink = MailSink::start_with(json!({ "refuse": "550 5.1.1" })).await;
        let server = Server::start_with(db, sink.settings(Options::default())).await;
        let id = queue(&server, "Hello").await;
        let (_, attempts, sealed, error) = wait_until("the mail is given up", async || {
            Some(row(&server, id).await).filter(|row| row.0 == "failed")
        }).await;
        // The text stays for a day, sealed, so that a person can send it once more.
        assert_eq!((attempts, sealed > 0), (1, true));
        assert!(error.unwrap().contains("550"));
        assert!(!server.log().contains(TO), "{}", server.log());
        let answer = test_mail(&server, "bob@example.com").await;
        let problem = answer.problem(Code::UpstreamFailed);
        let detail = problem.detail.unwrap();
        assert!(detail.contains("550") && !detail.contains("bob"), "{detail}");
    }
}

/// Checks that both parts of a mail say the same, and that its link lies nowhere in clear; returns
/// the page and the token of the link.
async fn link_of(server: &Server, mail: &Received) -> (String, String) {
    let link = mail.link();
    assert!(
        mail.html
            .contains(&format!("<a href=\"{link}\">{link}</a>")),
        "{}",
        mail.html
    );
    let mut plain = String::new();
    let mut inside = false;
    for c in mail
        .html
        .replace("</p>", " </p>")
        .replace("<br>", " ")
        .chars()
    {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    for (word, letter) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(word, letter);
    }
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&plain), words(&mail.text));
    let (page, token) = link.split_once('#').unwrap();
    assert!(token.len() >= 43, "256 random bits");
    let (dump, log) = (server.store.dump().await, server.log());
    assert!(!dump.contains(token) && !log.contains(token));
    (page.to_owned(), token.to_owned())
}

/// Waits for the first mail with this subject.
async fn with_subject(sink: &MailSink, subject: &str) -> Received {
    wait_until(&format!("the mail \"{subject}\""), async || {
        let all = sink.received();
        all.into_iter()
            .find(|mail| mail.header("subject") == Some(subject))
    })
    .await
}

both! {
    async fn an_invitation_and_a_link_to_a_password_come_by_mail(db) {
        let sink = MailSink::start().await;
        let server = Server::start_with(db, sink.settings(Options::default())).await;
        let admin = server.session().await;
        let new = json!({ "email": TO, "role": "viewer" });
        let sent: InvitationSent = admin.post("/api/v1/invitations", &new).await.ok();
        assert_eq!(sent.link, None, "the link is in the mail and nowhere else");
        let mail = sink.mail_to(TO).await;
        assert_eq!(mail.header("subject"), Some("You are invited to Signalbox"));
        assert!(mail.text.contains("Main") || mail.text.contains("main"), "{}", mail.text);
        let (page, token) = link_of(&server, &mail).await;
        assert!(page.ends_with("/invitation"), "{page}");
        let body = json!({ "token": token, "name": "Ann", "password": "seven purple ducks rehearse" });
        let accept = async || server.anonymous().post("/api/v1/auth/invitation/accept", &body).await;
        accept().await.done();
        accept().await.problem(Code::LinkInvalid);

        let asked = json!({ "email": TO });
        server.anonymous().post("/api/v1/auth/password-reset", &asked).await.done();
        let reset = with_subject(&sink, "A new password for Signalbox").await;
        let (page, token) = link_of(&server, &reset).await;
        assert!(page.ends_with("/reset-password"), "{page}");
        let body = json!({ "token": token, "password": "nobody expects 9 umbrellas" });
        let accept = async || server.anonymous().post("/api/v1/auth/password-reset/accept", &body).await;
        accept().await.done();
        accept().await.problem(Code::LinkInvalid);
        let login = json!({ "email": TO, "password": "nobody expects 9 umbrellas" });
        server.anonymous().post("/api/v1/auth/login", &login).await.done();
        // Nobody hears whether there is an account, and a stranger gets no mail.
        let asked = json!({ "email": "nobody@example.com" });
        server.anonymous().post("/api/v1/auth/password-reset", &asked).await.done();
        assert_eq!(sink.received().len(), 2);
        link_of(&server, &reset).await;
    }

    async fn a_mail_that_failed_is_shown_and_sent_once_more(db) {
        let port = free_port();
        let refusing = MailSink::start_with(json!({ "refuse": "550 5.1.1", "port": port })).await;
        let server = Server::start_with(db, refusing.settings(Options::default())).await;
        let admin = server.session().await;
        let new = json!({ "email": TO, "role": "viewer" });
        let _: InvitationSent = admin.post("/api/v1/invitations", &new).await.ok();
        let failed = wait_until("the mail is given up", async || {
            let page: Page<MailEntry> = admin.read("/api/v1/mail/messages?state=failed").await;
            page.items.into_iter().next()
        }).await;
        assert_eq!((failed.kind.as_str(), failed.to.as_str()), ("invitation", "a…@example.com"));
        assert!(failed.can_retry && failed.next_try_at.is_none() && failed.ended_at.is_some());
        let reason = failed.error.clone().unwrap();
        assert!(reason.contains("550") && !reason.contains("ann"), "{reason}");
        // It is nobody else's: not of another workspace.
        let other = json!({ "slug": "other", "name": "Other" });
        admin.post("/api/v1/workspaces", &other).await.done();
        let inside = admin.clone().header("x-workspace", "other");
        let page: Page<MailEntry> = inside.read("/api/v1/mail/messages").await;
        assert!(page.items.is_empty(), "{page:?}");
        let path = format!("/api/v1/mail/messages/{}/retry", failed.id);
        inside.post(&path, &json!({})).await.problem(Code::NotFound);
        // The mail server is mended, and the same mail goes out, with its link.
        drop(refusing);
        let sink = MailSink::start_with(json!({ "port": port })).await;
        let again: MailEntry = admin.post(&path, &json!({})).await.ok();
        assert_eq!(again.state, MailProgress::Waiting);
        let mail = sink.mail_to(TO).await;
        assert!(mail.header("message-id").unwrap().contains(&failed.id.to_string()));
        let (_, token) = link_of(&server, &mail).await;
        let shown = json!({ "token": token });
        server.anonymous().post("/api/v1/auth/invitation", &shown).await.done();
        let sent = wait_until("the mail is sent", async || {
            let page: Page<MailEntry> = admin.read("/api/v1/mail/messages").await;
            page.items.into_iter().find(|mail| mail.state == MailProgress::Sent)
        }).await;
        assert!(!sent.can_retry && sent.error.is_none());
        admin.post(&path, &json!({})).await.problem(Code::Conflict);
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?action=mail.retry").await;
        assert_eq!((lines.len(), lines[0].subject.as_str()), (1, "a…@example.com"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_mail_is_sent_by_the_api_and_by_the_command_line() {
    let sink = MailSink::start_with(
        json!({ "tls": "starttls", "user": "box", "password": "s3cret pass" }),
    )
    .await;
    let options = sink
        .settings(Options::default())
        .set("smtp_hello", "box.example.com")
        .set("mail_reply_to", "help@example.com");
    let server = Server::start_with(Database::Sqlite, options).await;
    let sent: TestMailSent = test_mail(&server, "Ann@Example.com").await.ok();
    let mail = sink.mail_to(TO).await;
    assert!(mail.tls);
    assert_eq!(mail.user.as_deref(), Some("box"));
    assert_eq!(mail.hello, "box.example.com");
    assert_eq!(mail.header("reply-to"), Some("help@example.com"));
    assert!(
        mail.header("message-id")
            .unwrap()
            .contains(&sent.id.to_string())
    );
    let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit?action=mail.test").await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].subject, "example.com");

    let done = server
        .cli(&["mail", "test", "bob@example.com", "--json"])
        .await;
    assert!(done.status.success(), "{}", shown(&done));
    let id: Value = serde_json::from_slice(&done.stdout).unwrap();
    let mail = sink.mail_to("bob@example.com").await;
    assert!(
        mail.header("message-id")
            .unwrap()
            .contains(id["id"].as_str().unwrap())
    );

    for bad in [
        "ann",
        "ann@example.com\r\nBcc: eve@example.com",
        "a@b.c, d@e.f",
    ] {
        test_mail(&server, bad)
            .await
            .problem(Code::ValidationFailed);
    }
    assert_eq!(sink.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_from_the_first_byte_and_certificates_that_do_not_fit() {
    let sink = MailSink::start_with(json!({ "tls": "implicit" })).await;
    let server = Server::start_with(Database::Sqlite, sink.settings(Options::default())).await;
    test_mail(&server, TO).await.done();
    assert!(sink.mail_to(TO).await.tls);

    // Another authority than the one that made the certificate.
    let other = MailSink::start_with(json!({ "tls": "starttls" })).await;
    let options = other
        .settings(Options::default())
        .set("smtp_ca", sink.ca().display());
    let server = Server::start_with(Database::Sqlite, options).await;
    let problem = test_mail(&server, TO).await.problem(Code::UpstreamFailed);
    assert!(problem.detail.unwrap().contains("no trusted connection"));
    assert!(other.received().is_empty());

    // A server that does not offer TLS gets nothing in clear.
    let plain = MailSink::start().await;
    let options = plain
        .settings(Options::default())
        .set("smtp_tls", "starttls");
    let server = Server::start_with(Database::Sqlite, options).await;
    test_mail(&server, TO).await.problem(Code::UpstreamFailed);
    assert!(plain.received().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_the_mail_waits() {
    let sink = MailSink::start_with(json!({ "user": "box", "password": "right" })).await;
    let options = sink
        .settings(Options::default())
        .set("smtp_password", "wr0ng-pass");
    let server = Server::start_with(Database::Sqlite, options).await;
    let problem = test_mail(&server, TO).await.problem(Code::UpstreamFailed);
    assert!(problem.detail.unwrap().contains("user or the password"));
    let id = queue(&server, "Hello").await;
    wait_until("an attempt", async || {
        let (state, attempts, ..) = row(&server, id).await;
        (state == "waiting" && attempts >= 1).then_some(())
    })
    .await;
    assert!(!server.log().contains("wr0ng-pass"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_it_says_so() {
    let server = Server::start(Database::Sqlite).await;
    test_mail(&server, TO)
        .await
        .problem(Code::MailNotConfigured);
    let state: MailState = server.client().read("/api/v1/mail").await;
    assert_eq!((state.configured, state.from), (false, None));
    let done = server.cli(&["mail", "test", TO]).await;
    assert_eq!(done.status.code(), Some(1), "{}", shown(&done));
    assert!(shown(&done).contains("no mail server is set"));
    // Settings that do not go together stop the process.
    for (key, value) in [
        ("SIGNALBOX_SMTP_HOST", "smtp.example.com:25/x"),
        ("SIGNALBOX_SMTP_HOST", "smtp.example.com"),
        ("SIGNALBOX_SMTP_USER", "box"),
        ("SIGNALBOX_SMTP_TLS", "maybe"),
        ("SIGNALBOX_MAIL_REPLY_TO", "nobody"),
    ] {
        let done = server
            .cli_with(&["mail", "test", TO], &[(key, value)])
            .await;
        assert_eq!(
            done.status.code(),
            Some(1),
            "{key}={value}: {}",
            shown(&done)
        );
    }
}
