//! Hooks: the order of the checks, every scheme of authentication, idempotency.

use openapi::problem::Code;
use openapi::sources::{Accepted, Refusal, Source, SourceCreated};
use reqwest::Method;
use serde_json::{Value, json};
use tests::signing::{base64, sha1, sha256, webhook_key};
use tests::yaml::{File, copy_to};
use tests::{Answer, Client, Options, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{all, delivered, events, now};

/// What every refused request of a test sends, so that later checks would fail too.
async fn knock(client: &Client, slug: &str, kind: &str, body: &str) -> Answer {
    client
        .call(Method::POST, &format!("/hooks/{slug}"))
        .header("content-type", kind)
        .body(body.to_owned())
        .send()
        .await
}

async fn source(client: &Client, slug: &str) -> Source {
    let sources: Vec<Source> = all(client, "/api/v1/sources").await;
    sources.into_iter().find(|s| s.slug == slug).unwrap()
}

both! {
    async fn the_first_check_that_fails_answers(db) {
        let server = Server::start_with(db, Options::default().set("refusals_kept", 5)).await;
        let token = json!({ "type": "bearer", "token": { "env": "KUMA_TOKEN" } });
        let strict = |more: Value| {
            let mut all = json!({ "auth": token, "body_limit": 100 });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let file = File::new()
            .source_with("off", strict(json!({ "enabled": false, "allow_cidrs": ["192.0.2.0/24"] })))
            .source_with("far", strict(json!({ "allow_cidrs": ["192.0.2.0/24"], "rate_per_minute": 1 })))
            .source_with("slow", strict(json!({ "rate_per_minute": 1 })))
            .source_with("small", strict(json!({})));
        server.apply_with(&file.text(), crate::support::SECRETS).await;
        let stranger = server.anonymous();
        let friend = server.anonymous().bearer("kuma-token-of-the-test");
        let large = "x".repeat(101);

        knock(&stranger, "nobody", "application/xml", &large).await.problem(Code::NotFound);
        knock(&stranger, "off", "application/xml", &large).await.problem(Code::SourceDisabled);
        knock(&stranger, "far", "application/xml", &large).await.problem(Code::AddressNotAllowed);
        knock(&friend, "slow", "application/json", "{}").await.done();
        let limited = knock(&stranger, "slow", "application/xml", &large).await;
        limited.problem(Code::RateLimited);
        let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        knock(&stranger, "small", "application/xml", &large).await.problem(Code::BodyTooLarge);
        knock(&stranger, "small", "application/xml", "<a/>").await.problem(Code::SignatureInvalid);
        knock(&friend, "small", "application/xml", "<a/>").await.problem(Code::UnsupportedMediaType);
        let malformed = knock(&friend, "small", "application/json", "{\"a\": planted}").await;
        malformed.problem(Code::MalformedBody);
        assert!(!malformed.text().contains("planted"), "a problem never echoes input");
        knock(&friend, "small", "application/json", "{}").await.done();
        assert_eq!(events(&server).await, 2, "a refusal is no event");

        let client = server.client();
        let path = format!("/api/v1/sources/{}/refusals", source(&client, "small").await.id);
        let kept = wait_until("the refusals are kept", async || {
            let kept: Vec<Refusal> = all(&client, &path).await;
            (kept.len() == 4).then_some(kept)
        }).await;
        let kept: Vec<(u16, &str)> = kept.iter().map(|r| (r.status, r.reason.as_str())).collect();
        assert_eq!(kept, [
            (400, "malformed_body"),
            (415, "unsupported_media_type"),
            (401, "missing_credentials"),
            (413, "body_too_large"),
        ]);
        for _ in 0..8 {
            knock(&stranger, "small", "application/json", "{}").await.problem(Code::SignatureInvalid);
        }
        wait_until("the ring is bounded", async || {
            let kept: Vec<Refusal> = all(&client, &path).await;
            let newest = kept.iter().all(|r| r.reason == "missing_credentials");
            (newest && kept.len() == 5).then_some(())
        }).await;
    }

    async fn every_scheme_lets_its_sender_in_and_nobody_else(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let box_ = json!({ "name": "box", "connector": "sandbox" });
        client.post("/api/v1/connections", &box_).await.done();
        for case in cases() {
            let name = case.auth["type"].as_str().unwrap();
            let slug = format!("{}-{}", name.replace('_', "-"), case.tag);
            let new = json!({ "name": slug, "slug": slug, "auth": case.auth, "secret": case.secret });
            let made: SourceCreated = client.post("/api/v1/sources", &new).await.ok();
            assert_eq!(made.secret, None, "a secret that was brought is not shown");
            let call = async |secret: &str, body: &str, sent: &str, at: i64| {
                let mut call = server.anonymous().call(Method::POST, &format!("/hooks/{slug}"))
                    .header("content-type", "application/json");
                for (name, value) in (case.sign)(secret, body, at) {
                    call = call.header(name, value);
                }
                call.body(sent.to_owned()).send().await
            };
            let body = r#"{ "id": "evt_1",  "event_id": "Ev1" }"#;
            call(&case.secret, body, body, now()).await.done();
            let other = if case.secret.starts_with("whsec_") { format!("whsec_{}", base64(b"another secret")) } else { "another".to_owned() };
            call(&other, body, body, now()).await.problem(Code::SignatureInvalid);
            if case.signed {
                call(&case.secret, body, "{}", now()).await.problem(Code::SignatureInvalid);
            }
            if case.dated {
                call(&case.secret, body, body, now() - 400).await.problem(Code::TimestampOutOfWindow);
                call(&case.secret, body, body, now() + 400).await.problem(Code::TimestampOutOfWindow);
            }
            knock(&server.anonymous(), &slug, "application/json", body).await.problem(Code::SignatureInvalid);
        }
        // One event of each, unless the sender's id says that it is the same again.
        assert_eq!(events(&server).await, i64::try_from(cases().len()).unwrap());
    }

    async fn a_repeated_delivery_id_gets_the_first_answer(db) {
        let server = Server::start(db).await;
        let file = File::new()
            .sandbox("box", json!({}))
            .source_with("github", json!({ "auth": { "type": "github", "secret": { "env": "KUMA_TOKEN" } } }))
            .source_with("by-path", json!({ "event_id_path": "$.delivery.id" }))
            .rule("all", json!([]), json!([copy_to("box")]));
        server.apply_with(&file.text(), crate::support::SECRETS).await;
        let anonymous = server.anonymous();
        let send = async |id: &str| -> Accepted {
            let body = b"{}";
            let signature = hex::encode(sha256(b"kuma-token-of-the-test", &[body]));
            anonymous.call(Method::POST, "/hooks/github")
                .header("x-hub-signature-256", format!("sha256={signature}"))
                .header("x-github-delivery", id)
                .header("content-type", "application/json")
                .body(&body[..]).send().await.ok()
        };
        let first = send("one").await;
        assert!(!first.duplicate);
        for _ in 0..3 {
            let again = send("one").await;
            assert!(again.duplicate);
            assert_eq!(again.event_ids, first.event_ids);
            assert_eq!(again.correlation_id, first.correlation_id);
        }
        assert_ne!(send("two").await.event_ids, first.event_ids);

        let payload = json!({ "delivery": { "id": 7 } });
        let burst = futures_util::future::join_all((0..30).map(|_| anonymous.hook("by-path", &payload))).await;
        let ids: std::collections::BTreeSet<Uuid> = burst.iter().map(|a| a.event_ids[0]).collect();
        assert_eq!(ids.len(), 1, "all got the ids of the first");
        assert_eq!(burst.iter().filter(|a| !a.duplicate).count(), 1);
        server.restart().await;
        let after = anonymous.hook("by-path", &payload).await;
        assert!(after.duplicate, "also after a restart");
        assert_eq!(after.event_ids, burst[0].event_ids);
        assert_eq!(events(&server).await, 3);
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery").await, 3);
        delivered(&server.client(), after.event_ids[0]).await;
    }

    async fn all_addresses_and_forms_of_a_hook_work(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("a").text()).await;
        let anonymous = server.anonymous();
        for path in ["/hooks/a", "/hooks/main/a", "/w/a", "/w/main/a", "/webhook/a", "/webhook/main/a"] {
            anonymous.post(path, &json!({ "msg": path })).await.done();
        }
        let form = anonymous.call(Method::POST, "/hooks/a")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("msg=from+a+form&n=1").send().await;
        let query = anonymous.get("/hooks/a?msg=from%20a%20query").await;
        for (answer, title) in [(form, "from a form"), (query, "from a query")] {
            let accepted: Accepted = answer.ok();
            assert_eq!(answer.status.as_u16(), 202);
            let event = crate::support::event(&server.client(), accepted.event_ids[0]).await;
            assert_eq!(event.summary.title, title);
        }
        anonymous.get("/hooks/other/a").await.problem(Code::NotFound);
    }
}

/// One scheme, and how its sender signs.
struct Case {
    tag: &'static str,
    auth: Value,
    secret: String,
    /// Whether the body is covered.
    signed: bool,
    /// Whether a timestamp is covered.
    dated: bool,
    sign: fn(&str, &str, i64) -> Vec<(&'static str, String)>,
}

fn case(auth: Value, sign: fn(&str, &str, i64) -> Vec<(&'static str, String)>) -> Case {
    Case {
        tag: "a",
        auth,
        secret: "a secret of the test".to_owned(),
        signed: true,
        dated: false,
        sign,
    }
}

fn mac(secret: &str, parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    hex::encode(sha256(secret.as_bytes(), &parts))
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            signed: false,
            ..case(json!({ "type": "bearer" }), |s, _, _| {
                vec![("authorization", format!("Bearer {s}"))]
            })
        },
        Case {
            signed: false,
            ..case(json!({ "type": "basic", "username": "kuma" }), |s, _, _| {
                vec![(
                    "authorization",
                    format!("Basic {}", base64(format!("kuma:{s}").as_bytes())),
                )]
            })
        },
        case(json!({ "type": "hmac", "header": "X-Sig" }), |s, b, _| {
            vec![("x-sig", mac(s, &[b]))]
        }),
        Case {
            tag: "b",
            ..case(
                json!({ "type": "hmac", "header": "X-Sig", "algorithm": "sha1", "encoding": "base64", "prefix": "v=" }),
                |s, b, _| {
                    vec![(
                        "x-sig",
                        format!("v={}", base64(&sha1(s.as_bytes(), &[b.as_bytes()]))),
                    )]
                },
            )
        },
        Case {
            tag: "c",
            dated: true,
            ..case(
                json!({ "type": "hmac", "header": "X-Sig", "timestamp": { "header": "X-Time", "tolerance_seconds": 300 } }),
                |s, b, t| {
                    let t = t.to_string();
                    vec![("x-sig", mac(s, &[&t, ".", b])), ("x-time", t)]
                },
            )
        },
        case(json!({ "type": "github" }), |s, b, _| {
            vec![("x-hub-signature-256", format!("sha256={}", mac(s, &[b])))]
        }),
        case(json!({ "type": "jira" }), |s, b, _| {
            vec![("x-hub-signature", format!("sha256={}", mac(s, &[b])))]
        }),
        case(json!({ "type": "grafana" }), |s, b, _| {
            vec![("x-grafana-alerting-signature", mac(s, &[b]))]
        }),
        Case {
            tag: "b",
            dated: true,
            ..case(
                json!({ "type": "grafana", "timestamp_header": "X-Grafana-Time" }),
                |s, b, t| {
                    let t = t.to_string();
                    vec![
                        ("x-grafana-alerting-signature", mac(s, &[&t, ":", b])),
                        ("x-grafana-time", t),
                    ]
                },
            )
        },
        Case {
            signed: false,
            ..case(json!({ "type": "gitlab" }), |s, _, _| {
                vec![("x-gitlab-token", s.to_owned())]
            })
        },
        Case {
            signed: false,
            ..case(json!({ "type": "telegram" }), |s, _, _| {
                vec![("x-telegram-bot-api-secret-token", s.to_owned())]
            })
        },
        Case {
            signed: false,
            ..case(
                json!({ "type": "header", "header": "X-Api-Key" }),
                |s, _, _| vec![("x-api-key", s.to_owned())],
            )
        },
        case(json!({ "type": "shopify" }), |s, b, _| {
            let code = sha256(s.as_bytes(), &[b.as_bytes()]);
            vec![("x-shopify-hmac-sha256", base64(&code))]
        }),
        case(
            json!({ "type": "trello", "callback_url": "https://gw.example/hooks/trello" }),
            |s, b, _| {
                let parts = [b.as_bytes(), b"https://gw.example/hooks/trello"];
                vec![("x-trello-webhook", base64(&sha1(s.as_bytes(), &parts)))]
            },
        ),
        case(
            json!({ "type": "whatsapp", "verify_token": "chosen" }),
            |s, b, _| vec![("x-hub-signature-256", format!("sha256={}", mac(s, &[b])))],
        ),
        case(json!({ "type": "pagerduty" }), |s, b, _| {
            let old = "00".repeat(32);
            vec![(
                "x-pagerduty-signature",
                format!("v1={old},v1={}", mac(s, &[b])),
            )]
        }),
        Case {
            dated: true,
            ..case(json!({ "type": "slack" }), |s, b, t| {
                let t = t.to_string();
                let signature = format!("v0={}", mac(s, &["v0:", &t, ":", b]));
                vec![
                    ("x-slack-signature", signature),
                    ("x-slack-request-timestamp", t),
                ]
            })
        },
        Case {
            dated: true,
            ..case(json!({ "type": "stripe" }), |s, b, t| {
                let t = t.to_string();
                let old = "00".repeat(32);
                vec![(
                    "stripe-signature",
                    format!("t={t},v1={old},v1={},v0={old}", mac(s, &[&t, ".", b])),
                )]
            })
        },
        Case {
            dated: true,
            secret: format!("whsec_{}", base64(b"twenty-four bytes of key")),
            ..case(json!({ "type": "standard_webhooks" }), |s, b, t| {
                let t = t.to_string();
                let parts = [b"msg_1.", t.as_bytes(), b".", b.as_bytes()];
                let signature = base64(&sha256(&webhook_key(s), &parts));
                vec![
                    ("webhook-id", "msg_1".to_owned()),
                    ("webhook-signature", format!("v1,{signature}")),
                    ("webhook-timestamp", t),
                ]
            })
        },
    ]
}
