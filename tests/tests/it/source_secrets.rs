//! Secrets of sources: two while a sender moves, tokens in addresses, and how senders check an address.

use openapi::notices::Notice;
use openapi::problem::Code;
use openapi::sources::{Refusal, Source, SourceCreated};
use reqwest::Method;
use serde_json::{Value, json};
use tests::signing::{base64, sha1, sha256};
use tests::{Answer, Client, Server, both, wait_until};

use crate::clocks::Hand;
use crate::support::{all, events, now};

const DAY_MS: i64 = 24 * 3_600_000;

async fn make(client: &Client, slug: &str, auth: Value, more: Value) -> SourceCreated {
    let mut new = json!({ "name": slug, "slug": slug, "auth": auth });
    new.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    client.post("/api/v1/sources", &new).await.ok()
}

async fn act(client: &Client, source: &Source, what: &str, body: Value) -> Answer {
    client
        .call(
            Method::POST,
            &format!("/api/v1/sources/{}/{what}", source.id),
        )
        .header("if-match", format!("\"{}\"", source.revision))
        .json(&body)
        .send()
        .await
}

async fn read(client: &Client, source: &Source) -> Source {
    client
        .get(&format!("/api/v1/sources/{}", source.id))
        .await
        .ok()
}

async fn send(server: &Server, token: &str) -> Answer {
    server
        .anonymous()
        .bearer(token)
        .post("/hooks/a", &json!({ "n": 1 }))
        .await
}

both! {
    async fn the_old_secret_is_valid_beside_the_new_one_until_its_time(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let client = server.client();
        let made = make(&client, "a", json!({ "type": "bearer" }), json!({})).await;
        let first = made.secret.unwrap();
        send(&server, &first).await.done();

        let answer = act(&client, &made.source, "rotate-secret", json!({ "overlap_seconds": 7200 })).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let rotated: SourceCreated = answer.ok();
        let second = rotated.secret.unwrap();
        assert_ne!(first, second);
        let until = rotated.source.old_secret_until.unwrap().timestamp_millis();
        assert!((until - now() * 1000 - 7_200_000).abs() < 60_000, "{until}");
        for token in [&first, &second] {
            send(&server, token).await.done();
        }
        act(&client, &made.source, "rotate-secret", json!({})).await.problem(Code::RevisionStale);

        // A third one ends the first at once; what was in use last stays for the overlap.
        let rotated: SourceCreated = act(&client, &rotated.source, "rotate-secret", json!({})).await.ok();
        let third = rotated.secret.unwrap();
        send(&server, &first).await.problem(Code::SignatureInvalid);
        for token in [&second, &third] {
            send(&server, token).await.done();
        }
        hand.turn(DAY_MS + 60_000);
        wait_until("the time of the old one is over", async || {
            let answer = send(&server, &second).await;
            (answer.status.as_u16() == 401).then_some(())
        }).await;
        send(&server, &third).await.done();
        let source = read(&client, &rotated.source).await;
        assert_eq!(source.old_secret_until, None);

        // Also over a restart, and ended by hand.
        let rotated: SourceCreated = act(&client, &source, "rotate-secret", json!({})).await.ok();
        server.restart().await;
        send(&server, &third).await.done();
        let client = server.client();
        let source: Source = act(&client, &rotated.source, "retire-secret", json!({})).await.ok();
        send(&server, &third).await.problem(Code::SignatureInvalid);
        send(&server, &rotated.secret.unwrap()).await.done();
        act(&client, &source, "retire-secret", json!({})).await.problem(Code::Conflict);
        let none: SourceCreated = act(&client, &source, "rotate-secret", json!({ "overlap_seconds": 0 })).await.ok();
        assert_eq!(none.source.old_secret_until, None);
        let faulty = act(&client, &none.source, "rotate-secret", json!({ "overlap_seconds": 2_678_401 })).await;
        assert_eq!(faulty.problem(Code::ValidationFailed).errors[0].field, "overlap_seconds");

        let told = client.get("/api/v1/audit?subject_kind=source&limit=50").await.text().to_owned();
        assert!(told.contains("rotation"), "what the server did by itself is there: {told}");
        for secret in [first, second, third] {
            assert!(!told.contains(&secret), "no secret is");
        }
    }

    async fn somebody_is_reminded_to_replace_a_secret(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let client = server.client();
        let made = make(&client, "a", json!({ "type": "bearer" }), json!({ "rotate_days": 30 })).await;
        let due = made.source.rotation_due_at.unwrap();
        assert_eq!((due - made.source.created_at).num_days(), 30);
        let reminders = async || {
            let notices: Vec<Notice> = all(&client, "/api/v1/notices").await;
            notices.into_iter().filter(|n| n.kind == "source").map(|n| n.text).collect::<Vec<_>>()
        };
        assert_eq!(reminders().await, Vec::<String>::new());
        hand.turn(24 * DAY_MS);
        wait_until("a week before", async || {
            reminders().await.iter().any(|text| text.contains("is due")).then_some(())
        }).await;
        let _: SourceCreated = act(&client, &made.source, "rotate-secret", json!({})).await.ok();
        assert_eq!(reminders().await, Vec::<String>::new(), "done");
        let open = client.post("/api/v1/sources", &json!({
            "name": "b", "slug": "b", "auth": { "type": "none" }, "rotate_days": 30
        })).await;
        assert_eq!(open.problem(Code::ValidationFailed).errors[0].field, "rotate_days");
    }

    async fn a_token_in_the_address_opens_only_that_source(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let made = make(&client, "a", json!({ "type": "url" }), json!({})).await;
        let token = made.secret.unwrap();
        let stranger = server.anonymous();
        let body = json!({ "n": 1 });
        stranger.post(&format!("/hooks/main/a/{token}"), &body).await.done();
        for path in ["/hooks/main/a".to_owned(), "/hooks/a".to_owned(), format!("/hooks/main/a/{token}x"), "/hooks/main/a/".to_owned()] {
            stranger.post(&path, &body).await.problem(Code::SignatureInvalid);
        }
        // Where no token belongs there is nothing behind the slug.
        make(&client, "open", json!({ "type": "none" }), json!({})).await;
        stranger.post("/hooks/main/open/x", &body).await.problem(Code::NotFound);
        stranger.post(&format!("/hooks/a/{token}"), &body).await.problem(Code::NotFound);
        let short = json!({ "name": "s", "slug": "s", "auth": { "type": "url" }, "secret": "with/slash and more" });
        let refused = client.post("/api/v1/sources", &short).await;
        assert_eq!(refused.problem(Code::ValidationFailed).errors[0].code, "not_an_address");

        let event: Value = client.get("/api/v1/events?limit=1").await.ok();
        let id = event["items"][0]["id"].as_str().unwrap();
        let event = client.get(&format!("/api/v1/events/{id}")).await;
        assert!(!event.text().contains(&token), "the token is not kept with the event");
        assert!(!server.log().contains(&token), "nor in the log");
    }

    async fn a_token_in_a_header_is_not_kept_with_the_event(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let made = make(&client, "a", json!({ "type": "gitlab" }), json!({})).await;
        let token = made.secret.unwrap();
        let accepted = server.anonymous().call(Method::POST, "/hooks/a")
            .header("x-gitlab-token", &token)
            .header("idempotency-key", "one")
            .json(&json!({ "object_kind": "push" })).send().await;
        let accepted: openapi::sources::Accepted = accepted.ok();
        let event = client.get(&format!("/api/v1/events/{}", accepted.event_ids[0])).await;
        assert!(event.text().contains("push"));
        assert!(!event.text().contains(&token));
    }

    async fn slack_and_meta_and_trello_get_their_answers(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let stranger = server.anonymous();
        let secret = json!({ "secret": "a secret of the test" });
        let key = b"a secret of the test";

        make(&client, "slack", json!({ "type": "slack" }), secret.clone()).await;
        let slack = async |body: &str, key: &[u8]| {
            let at = now().to_string();
            let code = sha256(key, &[b"v0:", at.as_bytes(), b":", body.as_bytes()]);
            stranger.call(Method::POST, "/hooks/slack")
                .header("content-type", "application/json")
                .header("x-slack-request-timestamp", &at)
                .header("x-slack-signature", format!("v0={}", hex::encode(code)))
                .body(body.to_owned()).send().await
        };
        let check = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
        let answer = slack(check, key).await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.text(), "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        slack(check, b"another").await.problem(Code::SignatureInvalid);
        let page = r#"{"type":"url_verification","challenge":"<script>alert(1)</script>"}"#;
        let answer = slack(page, key).await;
        assert_eq!(answer.status.as_u16(), 202, "no challenge, so an event like any other");
        assert!(!answer.text().contains("script"));

        make(&client, "meta", json!({ "type": "whatsapp", "verify_token": "chosen-by-us" }), secret.clone()).await;
        let meta = async |token: &str, challenge: &str| {
            stranger.get(&format!("/hooks/meta?hub.mode=subscribe&hub.verify_token={token}&hub.challenge={challenge}")).await
        };
        assert_eq!(meta("chosen-by-us", "1158201444").await.text(), "1158201444");
        meta("chosen-by-them", "1158201444").await.problem(Code::SignatureInvalid);
        meta("chosen-by-us", "%3Cb%3E").await.problem(Code::SignatureInvalid);
        stranger.get("/hooks/meta").await.problem(Code::SignatureInvalid);

        let url = "https://gw.example/hooks/main/trello";
        make(&client, "trello", json!({ "type": "trello", "callback_url": url }), secret).await;
        let head = stranger.call(Method::HEAD, "/hooks/trello").send().await;
        assert_eq!((head.status.as_u16(), head.text().as_str()), (200, ""));
        let head = stranger.call(Method::HEAD, "/hooks/slack").send().await;
        assert_eq!(head.status.as_u16(), 405, "only where it is asked for");
        let body = r#"{"action":{"id":"a1","type":"updateCard"}}"#;
        let trello = async || {
            let code = sha1(key, &[body.as_bytes(), url.as_bytes()]);
            stranger.call(Method::POST, "/hooks/trello")
                .header("content-type", "application/json")
                .header("x-trello-webhook", base64(&code))
                .body(body).send().await
        };
        trello().await.done();
        let again: openapi::sources::Accepted = trello().await.ok();
        assert!(again.duplicate, "Trello's own id counts");
        assert_eq!(events(&server).await, 2, "checks of an address are no events");
    }

    async fn asana_tells_its_secret_once_and_only_where_it_was_sent(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let stranger = server.anonymous();
        let made = make(&client, "asana", json!({ "type": "asana" }), json!({})).await;
        assert!(made.source.awaits_handshake);
        let token = made.secret.unwrap();
        let address = format!("/hooks/main/asana/{token}");
        let shake = async |path: &str, told: &str| {
            stranger.call(Method::POST, path).header("x-hook-secret", told).send().await
        };
        let event = async |path: &str, key: &str| {
            let body = r#"{"events":[{"action":"changed"}]}"#;
            let code = hex::encode(sha256(key.as_bytes(), &[body.as_bytes()]));
            stranger.call(Method::POST, path)
                .header("content-type", "application/json")
                .header("x-hook-signature", code)
                .body(body).send().await
        };
        // Nobody else can plant a secret, and without one nothing is let in.
        shake("/hooks/main/asana", "planted").await.problem(Code::SignatureInvalid);
        shake(&format!("/hooks/main/asana/{token}0"), "planted").await.problem(Code::SignatureInvalid);
        event(&address, "planted").await.problem(Code::SignatureInvalid);

        let answer = shake(&address, "b537207f20cbfa02357cf448134da559").await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("x-hook-secret"), Some("b537207f20cbfa02357cf448134da559"));
        let source = read(&client, &made.source).await;
        assert!(!source.awaits_handshake);
        event(&address, "b537207f20cbfa02357cf448134da559").await.done();
        event(&address, "planted").await.problem(Code::SignatureInvalid);
        event("/hooks/main/asana", "b537207f20cbfa02357cf448134da559").await.problem(Code::SignatureInvalid);
        shake(&address, "planted").await.problem(Code::Conflict);
        event(&address, "b537207f20cbfa02357cf448134da559").await.done();

        // A new address waits for a new webhook.
        let rotated: SourceCreated = act(&client, &source, "rotate-secret", json!({})).await.ok();
        assert!(rotated.source.awaits_handshake);
        shake(&address, "planted").await.problem(Code::SignatureInvalid);
        let address = format!("/hooks/main/asana/{}", rotated.secret.unwrap());
        shake(&address, "0123456789abcdef0123456789abcdef").await.done();
        event(&address, "0123456789abcdef0123456789abcdef").await.done();
        event(&address, "b537207f20cbfa02357cf448134da559").await.problem(Code::SignatureInvalid);

        let path = format!("/api/v1/sources/{}/refusals", source.id);
        wait_until("refused handshakes are in the ring", async || {
            let kept: Vec<Refusal> = all(&client, &path).await;
            let wrong = kept.iter().filter(|r| r.reason == "wrong_credentials").count();
            (wrong >= 2).then_some(())
        }).await;
        let lines = client.get("/api/v1/audit?subject_kind=source&limit=50").await;
        assert!(lines.text().contains("handshake") && !lines.text().contains("0123456789abcdef0123"));
    }
}
