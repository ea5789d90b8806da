//! Signed requests: what is bound, what comes twice, what holds over nodes and restarts.

use std::collections::BTreeSet;

use openapi::auth::WhoAmI;
use openapi::credentials::{Credential, CredentialRevealed, SecretSlot};
use openapi::problem::Code;
use openapi::rules::Rule;
use reqwest::Method;
use serde_json::{Value, json};
use tests::signing::ApiSigner;
use tests::{Answer, Client, Database, Options, Proxy, Server, both, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::now;

const WHOAMI: &str = "/api/v1/debug/whoami";

type Headers = Vec<(&'static str, String)>;

fn nonce() -> String {
    Uuid::from_u128(rand::random()).simple().to_string()
}

async fn send(
    client: &Client,
    method: Method,
    target: &str,
    body: &[u8],
    headers: &Headers,
) -> Answer {
    let mut call = client.call(method, target);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    if !body.is_empty() {
        call = call
            .header("content-type", "application/json")
            .body(body.to_vec());
    }
    call.send().await
}

async fn get(client: &Client, target: &str, headers: &Headers) -> Answer {
    send(client, Method::GET, target, &[], headers).await
}

/// Reads, signed now with a new nonce.
async fn signed(client: &Client, signer: &ApiSigner, target: &str) -> Answer {
    get(
        client,
        target,
        &signer.headers(("GET", target), &[], now(), &nonce()),
    )
    .await
}

async fn made(server: &Server, more: Value) -> (Credential, ApiSigner) {
    let mut new = json!({ "name": "robot", "kind": "hmac", "scopes": ["rules:read", "rules:write", "events:read"] });
    new.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made: CredentialRevealed = server
        .session()
        .await
        .post("/api/v1/credentials", &new)
        .await
        .ok();
    let signer = ApiSigner::new(&made.credential.client_id, &made.secret);
    (made.credential, signer)
}

fn with(mut headers: Headers, name: &'static str, value: &str) -> Headers {
    headers.retain(|(n, _)| *n != name);
    headers.push((name, value.to_owned()));
    headers
}

both! {
    async fn a_signed_request_is_who_it_says(db) {
        let server = Server::start(db).await;
        let client = server.anonymous();
        let signer = server.signer();
        let me: WhoAmI = signed(&client, &signer, WHOAMI).await.ok();
        assert_eq!((me.kind.as_str(), me.client_id.as_deref()), ("hmac", Some(signer.client_id.as_str())));
        assert_eq!((me.slot, me.matched_cidr.as_deref()), (Some(SecretSlot::Primary), Some("127.0.0.0/8")));
        assert!(me.skew_seconds.unwrap().abs() <= 2 && !me.request_id.is_empty());
        // The path and the query as they are on the wire, and every byte of a body.
        signed(&client, &signer, "/api/v1/events?limit=5&q=%2Fa%20b+c%C3%A9").await.done();
        signed(&client, &signer, "/metrics").await.done();
        let rule = json!({ "name": "it's \"100%\"\n\u{2713}", "spec": { "when": [], "then": "drop" } });
        let body = serde_json::to_vec_pretty(&rule).unwrap();
        let headers = signer.headers(("POST", "/api/v1/rules"), &body, now(), &nonce());
        let rule: Value = serde_json::from_slice(&body).unwrap();
        let answer = send(&client, Method::POST, "/api/v1/rules", &body, &headers).await;
        // A name is one line: the body was read, and by the one who reads it without a signature.
        answer.problem(Code::ValidationFailed);
        let body = serde_json::to_vec(&json!({ "name": "r", "spec": rule["spec"] })).unwrap();
        let headers = signer.headers(("POST", "/api/v1/rules"), &body, now(), &nonce());
        let made: Rule = send(&client, Method::POST, "/api/v1/rules", &body, &headers).await.ok();
        assert_eq!(made.name, "r");
    }

    async fn what_was_changed_on_the_way_is_refused(db) {
        let server = Server::start(db).await;
        let client = server.anonymous();
        let signer = server.signer();
        let target = "/api/v1/events?limit=5";
        let good = || signer.headers(("GET", target), &[], now(), &nonce());
        let refused = async |target: &str, headers: &Headers| {
            get(&client, target, headers).await.problem(Code::SignatureInvalid)
        };
        let wrong = refused("/api/v1/events?limit=6", &good()).await;
        refused("/api/v1/events", &good()).await;
        refused(target, &with(good(), "x-nonce", &nonce())).await;
        refused(target, &with(good(), "x-timestamp", &(now() - 3).to_string())).await;
        refused(target, &with(good(), "x-client-id", &server.credentials.bearer.client_id)).await;
        // Who is not known is told what one is told who signs wrongly.
        let unknown = refused(target, &with(good(), "x-client-id", "nobody")).await;
        assert_eq!((unknown.detail, unknown.title), (wrong.detail, wrong.title));
        let post = signer.headers(("POST", "/api/v1/rules"), b"{}", now(), &nonce());
        send(&client, Method::POST, "/api/v1/rules", b"{ }", &post).await.problem(Code::SignatureInvalid);
        for (name, value) in [("x-signature", "v1=00"), ("x-nonce", "short"), ("x-timestamp", "soon"), ("x-client-id", "")] {
            refused(target, &with(good(), name, value)).await;
        }
        let mut without = good();
        without.retain(|(name, _)| *name != "x-signature");
        refused(target, &without).await;
        // A token beside it is one too many.
        let both = client.clone().bearer(&server.credentials.bearer.token);
        get(&both, target, &good()).await.problem(Code::InvalidParameter);
        get(&client, target, &good()).await.done();
    }

    async fn time_is_short_and_nothing_comes_twice(db) {
        let server = Server::start(db).await;
        let client = server.anonymous();
        let signer = server.signer();
        for off in [-70, 70, -86_400] {
            let headers = signer.headers(("GET", WHOAMI), &[], now() + off, &nonce());
            let problem = get(&client, WHOAMI, &headers).await.problem(Code::TimestampOutOfWindow);
            assert!(problem.detail.unwrap().contains(&now().to_string()[..8]), "the server says its time");
        }
        for off in [-50, 50] {
            let headers = signer.headers(("GET", WHOAMI), &[], now() + off, &nonce());
            let me: WhoAmI = get(&client, WHOAMI, &headers).await.ok();
            assert!((me.skew_seconds.unwrap() + off).abs() <= 2);
        }
        let headers = signer.headers(("GET", WHOAMI), &[], now(), &nonce());
        get(&client, WHOAMI, &headers).await.done();
        get(&client, WHOAMI, &headers).await.problem(Code::NonceReplayed);
        // Nor with another request signed for the same nonce, nor after a restart.
        let same = headers.iter().find(|(name, _)| *name == "x-nonce").unwrap().1.clone();
        let other = signer.headers(("GET", "/api/v1/rules"), &[], now(), &same);
        get(&client, "/api/v1/rules", &other).await.problem(Code::NonceReplayed);
        server.restart().await;
        get(&client, WHOAMI, &headers).await.problem(Code::NonceReplayed);
        // Another client's nonces are its own.
        let (_, robot) = made(&server, json!({})).await;
        let headers = robot.headers(("GET", WHOAMI), &[], now(), &same);
        get(&client, WHOAMI, &headers).await.done();
    }

    async fn of_many_at_once_with_one_nonce_one_gets_through(db) {
        let server = Server::start(db).await;
        let signer = server.signer();
        let headers = signer.headers(("GET", WHOAMI), &[], now(), &nonce());
        let sent = (0..24).map(|_| {
            let (client, headers) = (server.anonymous(), headers.clone());
            tokio::spawn(async move { get(&client, WHOAMI, &headers).await.status.as_u16() })
        });
        let sent: Vec<_> = sent.collect();
        let mut statuses = Vec::new();
        for answer in sent {
            statuses.push(answer.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!((statuses[0], statuses[1], statuses.len()), (200, 401, 24), "{statuses:?}");
        // Many with nonces of their own do not wait for each other.
        let sent = (0..24).map(|_| {
            let (client, signer) = (server.anonymous(), signer.clone());
            tokio::spawn(async move { signed(&client, &signer, WHOAMI).await.status.as_u16() })
        });
        let sent: Vec<_> = sent.collect();
        for answer in sent {
            assert_eq!(answer.await.unwrap(), 200);
        }
    }

    async fn the_plain_form_is_for_those_who_are_marked(db) {
        let server = Server::start(db).await;
        let client = server.anonymous();
        let (row, signer) = made(&server, json!({})).await;
        let body = json!({ "name": "r", "spec": { "when": [], "then": "drop" } }).to_string();
        let plain = |path: &str, body: &str, off: i64| {
            signer.plain_headers(("POST", path), body.as_bytes(), now() + off)
        };
        let post = async |target: &str, headers: &Headers| {
            send(&client, Method::POST, target, body.as_bytes(), headers).await
        };
        post("/api/v1/rules", &plain("/api/v1/rules", &body, 0)).await.problem(Code::SignatureInvalid);
        let path = format!("/api/v1/credentials/{}", row.id);
        let marked: Credential = server.session().await.patch(&path, row.revision, &json!({ "legacy": true })).await.ok();
        assert_eq!(marked.warnings[0].code, "legacy_form");
        let headers = plain("/api/v1/rules", &body, 1);
        let rule: Rule = post("/api/v1/rules", &headers).await.ok();
        assert_eq!(rule.name, "r");
        // The signature itself must not come twice, and binds neither nonce nor query.
        let again = with(headers, "x-nonce", &nonce());
        post("/api/v1/rules", &again).await.problem(Code::NonceReplayed);
        post("/api/v1/rules?dry_run=true", &plain("/api/v1/rules", &body, 2)).await.problem(Code::SignatureInvalid);
        post("/api/v1/rules", &plain("/api/v1/rules", "{}", 3)).await.problem(Code::SignatureInvalid);
        post("/api/v1/rules", &plain("/api/v1/rules", &body, 90)).await.problem(Code::TimestampOutOfWindow);
        // The form of today works all the same.
        signed(&client, &signer, "/api/v1/rules").await.done();
    }

    async fn bounds_of_a_credential_hold_for_signatures(db) {
        let server = Server::start_with(db, Options::default().set("trusted_proxies", "127.0.0.0/8")).await;
        let from = |address: &str| server.anonymous().header("x-forwarded-for", address);
        let (row, signer) = made(&server, json!({ "allow_cidrs": ["192.0.2.0/24", "2001:db8::/32"] })).await;
        let me: WhoAmI = signed(&from("192.0.2.7"), &signer, WHOAMI).await.ok();
        assert_eq!((me.remote_addr.as_str(), me.matched_cidr.as_deref()), ("192.0.2.7", Some("192.0.2.0/24")));
        signed(&from("::ffff:192.0.2.7"), &signer, WHOAMI).await.done();
        let me: WhoAmI = signed(&from("2001:db8::7"), &signer, WHOAMI).await.ok();
        assert_eq!(me.matched_cidr.as_deref(), Some("2001:db8::/32"));
        let far = from("198.51.100.1");
        let headers = signer.headers(("GET", WHOAMI), &[], now(), &nonce());
        get(&far, WHOAMI, &headers).await.problem(Code::AddressNotAllowed);
        // A nonce is not spent by who may not use it.
        get(&from("192.0.2.7"), WHOAMI, &headers).await.done();
        signed(&from("192.0.2.7"), &signer, "/api/v1/sources").await.problem(Code::ScopeMissing);
        // Without a list it may come from anywhere.
        let (_, open) = made(&server, json!({})).await;
        let me: WhoAmI = signed(&far, &open, WHOAMI).await.ok();
        assert_eq!(me.matched_cidr, None);
        let path = format!("/api/v1/credentials/{}", row.id);
        let near = from("192.0.2.7");
        let off: Credential = server.session().await.patch(&path, row.revision, &json!({ "enabled": false })).await.ok();
        signed(&near, &signer, WHOAMI).await.problem(Code::CredentialInactive);
        let stranger = ApiSigner::new(&signer.client_id, "guess");
        signed(&near, &stranger, WHOAMI).await.problem(Code::SignatureInvalid);
        assert!(off.revision > row.revision);
    }

    async fn a_client_moves_to_a_second_secret(db) {
        let server = Server::start(db).await;
        let (client, admin) = (server.anonymous(), server.session().await);
        let (row, old) = made(&server, json!({})).await;
        let path = format!("/api/v1/credentials/{}", row.id);
        let second: CredentialRevealed = admin.post(&format!("{path}/secrets"), &json!({})).await.ok();
        let new = ApiSigner::new(&row.client_id, &second.secret);
        let slot = async |signer: &ApiSigner| signed(&client, signer, WHOAMI).await.ok::<WhoAmI>().slot.unwrap();
        assert_eq!((slot(&old).await, slot(&new).await), (SecretSlot::Primary, SecretSlot::Secondary));
        // Signed with both while it moves.
        let (seconds, once) = (now(), nonce());
        let one = new.headers(("GET", WHOAMI), &[], seconds, &once);
        let two = old.headers(("GET", WHOAMI), &[], seconds, &once);
        let both = format!("{},{}", one[3].1, two[3].1);
        get(&client, WHOAMI, &with(one, "x-signature", &both)).await.done();
        let after: Credential = admin.post(&format!("{path}/retire"), &json!({ "slot": "primary" })).await.ok();
        assert_eq!(after.secrets.len(), 1);
        signed(&client, &old, WHOAMI).await.problem(Code::SignatureInvalid);
        assert_eq!(slot(&new).await, SecretSlot::Primary);
        admin.post(&format!("{path}/revoke"), &json!({})).await.done();
        signed(&client, &new, WHOAMI).await.problem(Code::SignatureInvalid);
        // Nothing of it is left, and nothing of any lies open.
        let sealed = format!("SELECT COUNT(*) FROM sealed_secret WHERE name = '{}'", row.client_id);
        assert_eq!(server.store.number(&sealed).await, 0);
        let open = format!("SELECT COUNT(*) FROM credential WHERE secret_hash LIKE '%{}%'", server.signer().secret);
        assert_eq!(server.store.number(&open).await, 0);
    }

    async fn a_body_is_read_within_its_limit(db) {
        let server = Server::start(db).await;
        let client = server.anonymous();
        let signer = server.signer();
        let body = vec![b'x'; 1024 * 1024 + 1];
        let headers = signer.headers(("POST", "/api/v1/rules"), &body, now(), &nonce());
        send(&client, Method::POST, "/api/v1/rules", &body, &headers).await.problem(Code::BodyTooLarge);
        let body = [b"{\"a\":\"", vec![b'x'; 1024 * 1000].as_slice(), b"\"}"].concat();
        let headers = signer.headers(("POST", "/api/v1/rules"), &body, now(), &nonce());
        send(&client, Method::POST, "/api/v1/rules", &body, &headers).await.problem(Code::ValidationFailed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let options = Options::default().set("request_timeout_seconds", 1);
    let server = Server::start_with(Database::Sqlite, options).await;
    let headers = server
        .signer()
        .headers(("POST", "/api/v1/rules"), b"{}", now(), &nonce());
    let mut head = "POST /api/v1/rules HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{head}\r\n{{").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("malformed_body"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_is_slowed_down() {
    let options = Options::default().set("trusted_proxies", "127.0.0.0/8");
    let server = Server::start_with(Database::Sqlite, options).await;
    let (_, signer) = made(&server, json!({})).await;
    let from = |address: &str| server.anonymous().header("x-forwarded-for", address);
    let guess = ApiSigner::new(&signer.client_id, "guess");
    let there = from("192.0.2.1");
    let slowed = wait_until("guesses are refused unread", async || {
        let answer = signed(&there, &guess, WHOAMI).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    slowed.problem(Code::RateLimited);
    assert!(slowed.header("retry-after").is_some());
    // Somewhere else the client goes on.
    signed(&from("198.51.100.1"), &signer, WHOAMI).await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_lies_about_in_clear() {
    let server = Server::start(Database::Sqlite).await;
    let (row, signer) = made(&server, json!({})).await;
    let path = format!("/api/v1/credentials/{}/secrets", row.id);
    let second: CredentialRevealed = server.session().await.post(&path, &json!({})).await.ok();
    let client = server.anonymous();
    signed(&client, &signer, WHOAMI).await.done();
    let guess = ApiSigner::new(&signer.client_id, &second.secret[..40]);
    signed(&client, &guess, WHOAMI)
        .await
        .problem(Code::SignatureInvalid);
    server.terminate().await;
    let first = server.signer();
    let token = &server.credentials.bearer.token;
    let mut looked_at = 0;
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        looked_at += bytes.len();
        for secret in [&signer.secret, &second.secret, &first.secret, token] {
            let random = secret.as_bytes().rchunks(30).next().unwrap();
            let found = bytes.windows(random.len()).any(|window| window == random);
            assert!(!found, "{}", path.display());
        }
    }
    assert!(looked_at > 10_000, "{looked_at} bytes");
    for secret in [&signer.secret, &second.secret, &first.secret, token] {
        assert!(!server.log().contains(secret.as_str()));
    }
}

/// Two nodes on one PostgreSQL.
async fn two(options: &Options) -> Option<(Server, Server)> {
    let one = Server::start_with(Database::postgres()?, options.clone()).await;
    let other = one.another(options.clone());
    other.resume().await;
    Some((one, other))
}

async fn each_nonce_once(one: &Server, other: &Server) {
    let signer = one.signer();
    let mut answers = BTreeSet::new();
    for n in 0..6 {
        let headers = signer.headers(("GET", WHOAMI), &[], now(), &nonce());
        let (one, other) = (one.anonymous(), other.anonymous());
        let (first, second) = if n % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        // At the same time, and again.
        let (a, b) = tokio::join!(get(first, WHOAMI, &headers), get(second, WHOAMI, &headers));
        answers.extend([a.status.as_u16(), b.status.as_u16()]);
        assert_ne!(a.status, b.status, "one of them gets through");
        get(first, WHOAMI, &headers)
            .await
            .problem(Code::NonceReplayed);
        get(second, WHOAMI, &headers)
            .await
            .problem(Code::NonceReplayed);
    }
    assert_eq!(answers, BTreeSet::from([200, 401]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_nonces_in_the_database() {
    let options = Options::default().set("lease_seconds", 3);
    if let Some((one, other)) = two(&options).await {
        each_nonce_once(&one, &other).await;
        let kept = one.store.number("SELECT COUNT(*) FROM nonce").await;
        assert_eq!(kept, 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_nonces_in_redis_and_refuse_without_it() {
    let Ok(url) = std::env::var("SIGNALBOX_TEST_REDIS_URL") else {
        return;
    };
    let proxy = Proxy::before(&url).await;
    let options = Options::default()
        .set("lease_seconds", 3)
        .set("redis_url", proxy.url(&url));
    let Some((one, other)) = two(&options).await else {
        return;
    };
    each_nonce_once(&one, &other).await;
    assert_eq!(one.store.number("SELECT COUNT(*) FROM nonce").await, 0);
    proxy.close();
    let (client, signer) = (one.anonymous(), one.signer());
    let refused = signed(&client, &signer, WHOAMI).await;
    refused.problem(Code::Unavailable);
    assert!(refused.header("retry-after").is_some());
    // Nothing else depends on it.
    one.client().get(WHOAMI).await.done();
    proxy.open();
    wait_until("signed requests are taken again", async || {
        signed(&client, &signer, WHOAMI)
            .await
            .status
            .is_success()
            .then_some(())
    })
    .await;
}
