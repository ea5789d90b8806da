use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::secret::{Secret, constant_time_eq};
use engine::signature::{
    AuthCode, IdempotencyKey, PRESETS, Scheme, sign_standard_webhook, verify, verify_token,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";

fn scheme(value: Value) -> Scheme {
    let scheme: Scheme = serde_json::from_value(value).unwrap();
    scheme.validate().unwrap();
    let written = serde_json::to_value(&scheme).unwrap();
    assert_eq!(serde_json::from_value::<Scheme>(written).unwrap(), scheme);
    scheme
}

fn sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

type Sent = Vec<(&'static str, Vec<u8>)>;

fn check(scheme: &Scheme, secrets: &[&str], sent: &Sent, body: &[u8]) -> Result<(), AuthCode> {
    let secrets: Vec<Secret> = secrets.iter().copied().map(Secret::from).collect();
    let headers = |name: &str| {
        sent.iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    };
    verify(scheme, &secrets, &headers, body, NOW).map_err(|fault| fault.code)
}

/// A scheme, the header of its signature, and how a sender signs at a time.
struct Sender {
    scheme: Scheme,
    secret: String,
    signature: &'static str,
    stamped: bool,
    sign: fn(&[u8], &[u8], i64) -> Sent,
}

fn text(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn senders() -> Vec<Sender> {
    let sender = |value, signature, stamped, sign| Sender {
        scheme: scheme(value),
        secret: SECRET.to_owned(),
        signature,
        stamped,
        sign,
    };
    vec![
        sender(
            json!({"type": "github"}),
            "X-Hub-Signature-256",
            false,
            |key, body, _| {
                vec![(
                    "X-Hub-Signature-256",
                    format!("sha256={}", hex::encode(sha256(key, body))).into(),
                )]
            },
        ),
        sender(
            json!({"type": "jira"}),
            "X-Hub-Signature",
            false,
            |key, body, _| {
                vec![(
                    "X-Hub-Signature",
                    format!("sha256={}", hex::encode(sha256(key, body))).into(),
                )]
            },
        ),
        sender(
            json!({"type": "grafana"}),
            "X-Grafana-Alerting-Signature",
            false,
            |key, body, _| {
                vec![(
                    "X-Grafana-Alerting-Signature",
                    hex::encode(sha256(key, body)).into(),
                )]
            },
        ),
        sender(
            json!({"type": "grafana", "timestamp_header": "X-Grafana-Time", "tolerance_seconds": 300}),
            "X-Grafana-Alerting-Signature",
            true,
            |key, body, now| {
                let now = now.to_string();
                let code = sha256(key, &text(&[now.as_bytes(), b":", body]));
                vec![
                    ("X-Grafana-Alerting-Signature", hex::encode(code).into()),
                    ("X-Grafana-Time", now.into()),
                ]
            },
        ),
        sender(
            json!({"type": "slack"}),
            "X-Slack-Signature",
            true,
            |key, body, now| {
                let now = now.to_string();
                let code = sha256(key, &text(&[b"v0:", now.as_bytes(), b":", body]));
                vec![
                    (
                        "X-Slack-Signature",
                        format!("v0={}", hex::encode(code)).into(),
                    ),
                    ("X-Slack-Request-Timestamp", now.into()),
                ]
            },
        ),
        sender(
            json!({"type": "stripe"}),
            "Stripe-Signature",
            true,
            |key, body, now| {
                let code = sha256(key, &text(&[now.to_string().as_bytes(), b".", body]));
                let other = hex::encode([0_u8; 32]);
                vec![(
                    "Stripe-Signature",
                    format!("t={now},v1={other}, v1={},v0=xyz", hex::encode(code)).into(),
                )]
            },
        ),
        sender(
            json!({"type": "shopify"}),
            "X-Shopify-Hmac-Sha256",
            false,
            |key, body, _| {
                let code = STANDARD.encode(sha256(key, body));
                vec![("X-Shopify-Hmac-Sha256", code.into())]
            },
        ),
        sender(
            json!({"type": "trello", "callback_url": "https://gw.example/hooks/main/trello"}),
            "X-Trello-Webhook",
            false,
            |key, body, _| {
                let signed = text(&[body, b"https://gw.example/hooks/main/trello"]);
                vec![(
                    "X-Trello-Webhook",
                    STANDARD.encode(sha1(key, &signed)).into(),
                )]
            },
        ),
        sender(
            json!({"type": "asana"}),
            "X-Hook-Signature",
            false,
            |key, body, _| vec![("X-Hook-Signature", hex::encode(sha256(key, body)).into())],
        ),
        sender(
            json!({"type": "whatsapp", "verify_token": "chosen"}),
            "X-Hub-Signature-256",
            false,
            |key, body, _| {
                let code = hex::encode(sha256(key, body));
                vec![("X-Hub-Signature-256", format!("sha256={code}").into())]
            },
        ),
        sender(
            json!({"type": "pagerduty"}),
            "X-PagerDuty-Signature",
            false,
            |key, body, _| {
                let (old, new) = (hex::encode([7_u8; 32]), hex::encode(sha256(key, body)));
                vec![("X-PagerDuty-Signature", format!("v1={old},v1={new}").into())]
            },
        ),
        Sender {
            secret: format!("whsec_{}", STANDARD.encode(SECRET)),
            ..sender(
                json!({"type": "standard_webhooks"}),
                "webhook-signature",
                true,
                |key, body, now| {
                    let secret = Secret::new(format!("whsec_{}", STANDARD.encode(key)));
                    let sent = sign_standard_webhook(&[secret], "msg_1", now, body);
                    vec![
                        ("webhook-id", sent.id.into()),
                        ("webhook-timestamp", sent.timestamp.into()),
                        (
                            "webhook-signature",
                            format!("v1a,zzz {}", sent.signature).into(),
                        ),
                    ]
                },
            )
        },
        sender(
            json!({"type": "hmac", "algorithm": "sha1", "header": "X-Sig", "encoding": "base64"}),
            "X-Sig",
            false,
            |key, body, _| vec![("X-Sig", STANDARD.encode(sha1(key, body)).into())],
        ),
        sender(
            json!({
                "type": "hmac", "header": "X-Sig", "prefix": "v=", "id_header": "X-Id",
                "timestamp": {"header": "X-Time", "tolerance_seconds": 300},
                "text": "{id}{{timestamp}|{body}",
            }),
            "X-Sig",
            true,
            |key, body, now| {
                let now = now.to_string();
                let code = sha256(key, &text(&[b"7{", now.as_bytes(), b"|", body]));
                vec![
                    ("X-Sig", format!("v={}", hex::encode_upper(code)).into()),
                    ("X-Id", b"7".to_vec()),
                    ("X-Time", now.into()),
                ]
            },
        ),
    ]
}

#[test]
fn every_signature_scheme_against_every_tampering() {
    for sender in senders() {
        let name = serde_json::to_string(&sender.scheme).unwrap();
        let secret = sender.secret.as_str();
        let sign = |body: &[u8], now| (sender.sign)(SECRET.as_bytes(), body, now);
        let run =
            |secrets: &[&str], sent: &Sent, body: &[u8]| check(&sender.scheme, secrets, sent, body);
        let good = sign(BODY, NOW);
        assert_eq!(run(&[secret], &good, BODY), Ok(()), "{name}");
        // an empty body and one that is no text are signed like any other
        for body in [&b""[..], b"\xff\x00{body}"] {
            assert_eq!(run(&[secret], &sign(body, NOW), body), Ok(()), "{name}");
        }
        // rotation: any of several secrets, in any place
        let other = if secret.starts_with("whsec_") {
            "whsec_b3RoZXI="
        } else {
            "other"
        };
        assert_eq!(run(&[other, secret], &good, BODY), Ok(()), "{name}");
        assert_eq!(run(&[secret, other], &good, BODY), Ok(()), "{name}");
        // wrong secret, no secret, an empty one
        assert_eq!(
            run(&[other], &good, BODY),
            Err(AuthCode::WrongSignature),
            "{name}"
        );
        assert_eq!(run(&[], &good, BODY), Err(AuthCode::NoSecret), "{name}");
        assert_eq!(run(&[""], &good, BODY), Err(AuthCode::NoSecret), "{name}");
        // a changed byte
        assert_eq!(
            run(&[secret], &good, b"Hello, World?"),
            Err(AuthCode::WrongSignature),
            "{name}"
        );
        // missing header
        let without: Sent = good
            .iter()
            .filter(|(n, _)| *n != sender.signature)
            .cloned()
            .collect();
        assert_eq!(
            run(&[secret], &without, BODY),
            Err(AuthCode::MissingSignature),
            "{name}"
        );
        // bytes that are no text, and junk
        for junk in [
            &b"\xff\xfe"[..],
            b"",
            b"zz",
            "sha256=é".as_bytes(),
            b"v1,",
            b"sha256=",
        ] {
            let mut sent = good.clone();
            sent.iter_mut()
                .filter(|(n, _)| *n == sender.signature)
                .for_each(|(_, v)| *v = junk.to_vec());
            assert_eq!(
                run(&[secret], &sent, BODY),
                Err(AuthCode::MalformedSignature),
                "{name}"
            );
        }
        if sender.stamped {
            for (shift, expected) in [
                (-300, Ok(())),
                (300, Ok(())),
                (-301, Err(AuthCode::StaleTimestamp)),
                (301, Err(AuthCode::FutureTimestamp)),
            ] {
                assert_eq!(
                    run(&[secret], &sign(BODY, NOW + shift), BODY),
                    expected,
                    "{name}"
                );
            }
            // A stranger learns nothing about the clock.
            assert_eq!(
                run(&[other], &sign(BODY, NOW - 999), BODY),
                Err(AuthCode::WrongSignature),
                "{name}"
            );
            let stamp = good
                .iter()
                .position(|(n, _)| n.to_lowercase().contains("time"));
            if let Some(stamp) = stamp {
                let mut sent = good.clone();
                sent.remove(stamp);
                assert_eq!(
                    run(&[secret], &sent, BODY),
                    Err(AuthCode::MissingTimestamp),
                    "{name}"
                );
                for junk in [&b""[..], b"soon", b"-5", b"99999999999999999999", b"\xff"] {
                    let mut sent = good.clone();
                    sent[stamp].1 = junk.to_vec();
                    assert_eq!(
                        run(&[secret], &sent, BODY),
                        Err(AuthCode::MalformedTimestamp),
                        "{name}"
                    );
                }
            }
        }
    }
}

/// The example of GitHub's documentation: facts from outside, not from our own signing.
#[test]
fn a_known_signature() {
    let sent = vec![(
        "X-Hub-Signature-256",
        b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17".to_vec(),
    )];
    assert_eq!(
        check(&scheme(json!({"type": "github"})), &[SECRET], &sent, BODY),
        Ok(())
    );
}

/// Trello signs with SHA-1 over the body and the address as it was registered.
#[test]
fn the_known_signature_of_trello() {
    let url = "https://gw.example/api/webhooks/trello/1";
    let trello = scheme(json!({"type": "trello", "callback_url": url}));
    let sent = vec![("x-trello-webhook", b"dCp4UDHDcKs5q1l8BOcRFj08Zco=".to_vec())];
    let body = br#"{"action":{"type":"updateCard"}}"#;
    assert_eq!(check(&trello, &["s3cret"], &sent, body), Ok(()));
    let moved = scheme(json!({"type": "trello", "callback_url": format!("{url}2")}));
    assert_eq!(
        check(&moved, &["s3cret"], &sent, body),
        Err(AuthCode::WrongSignature)
    );
}

#[test]
fn a_token_stands_in_the_header_of_its_sender() {
    for (value, header) in [
        (json!({"type": "gitlab"}), "X-Gitlab-Token"),
        (
            json!({"type": "telegram"}),
            "X-Telegram-Bot-Api-Secret-Token",
        ),
        (
            json!({"type": "header", "header": "X-Api-Key"}),
            "x-api-key",
        ),
    ] {
        let scheme = scheme(value);
        let run = |secrets: &[&str], token: &[u8]| {
            check(&scheme, secrets, &vec![(header, token.to_vec())], BODY)
        };
        assert_eq!(run(&[SECRET], SECRET.as_bytes()), Ok(()));
        assert_eq!(run(&["new", SECRET], SECRET.as_bytes()), Ok(()), "rotation");
        for wrong in [
            &b"it's a secret to everybody"[..],
            b"",
            b"\xff",
            b"It's a Secret",
        ] {
            assert_eq!(run(&[SECRET], wrong), Err(AuthCode::WrongCredentials));
        }
        assert_eq!(run(&[], SECRET.as_bytes()), Err(AuthCode::NoSecret));
        assert_eq!(run(&[""], b""), Err(AuthCode::NoSecret));
        assert_eq!(
            check(&scheme, &[SECRET], &Sent::new(), BODY),
            Err(AuthCode::MissingCredentials)
        );
    }
}

#[test]
fn a_token_in_the_address_is_not_looked_for_elsewhere() {
    let url = scheme(json!({"type": "url"}));
    let sent = vec![("authorization", b"Bearer token".to_vec())];
    assert_eq!(
        check(&url, &["token"], &sent, BODY),
        Err(AuthCode::MissingCredentials)
    );
    let secrets = [Secret::from("token"), Secret::from("old")];
    for (token, expected) in [
        (Some(&b"token"[..]), Ok(())),
        (Some(b"old"), Ok(())),
        (Some(b"tokem"), Err(AuthCode::WrongCredentials)),
        (None, Err(AuthCode::MissingCredentials)),
    ] {
        assert_eq!(verify_token(&secrets, token).map_err(|f| f.code), expected);
    }
    assert_eq!(
        verify_token(&[], Some(b"")).map_err(|f| f.code),
        Err(AuthCode::NoSecret)
    );
}

#[test]
fn an_option_that_a_sender_does_not_have_is_refused() {
    for (value, at) in [
        (
            json!({"type": "github", "callback_url": "https://a"}),
            "callback_url",
        ),
        (
            json!({"type": "github", "timestamp_header": "X-Time"}),
            "timestamp_header",
        ),
        (
            json!({"type": "asana", "tolerance_seconds": 9}),
            "tolerance_seconds",
        ),
        (
            json!({"type": "slack", "verify_token": "t"}),
            "verify_token",
        ),
        (json!({"type": "trello"}), "callback_url"),
        (
            json!({"type": "trello", "callback_url": "ftp://a"}),
            "callback_url",
        ),
        (
            json!({"type": "whatsapp", "verify_token": "a b"}),
            "verify_token",
        ),
        (json!({"type": "header", "header": "no header"}), "header"),
    ] {
        let scheme: Scheme = serde_json::from_value(value.clone()).unwrap();
        let fault = scheme.validate().unwrap_err();
        assert_eq!(fault.at, at, "{value}");
    }
}

#[test]
fn a_missing_message_id_is_refused() {
    let standard = scheme(json!({"type": "standard_webhooks"}));
    let secret = format!("whsec_{}", STANDARD.encode("key"));
    let sent = sign_standard_webhook(&[Secret::from(secret.as_str())], "m", NOW, BODY);
    let headers = vec![
        ("webhook-timestamp", sent.timestamp.into_bytes()),
        ("webhook-signature", sent.signature.into_bytes()),
    ];
    assert_eq!(
        check(&standard, &[&secret], &headers, BODY),
        Err(AuthCode::MissingMessageId)
    );
    assert_eq!(
        check(&standard, &["no base64!"], &headers, BODY),
        Err(AuthCode::MissingMessageId)
    );
}

#[test]
fn signing_with_two_secrets_and_bad_ones() {
    let secrets = [
        Secret::from("whsec_bmV3"),
        Secret::from("***"),
        Secret::from("b2xk"),
    ];
    let sent = sign_standard_webhook(&secrets, "msg_1", 5, b"{}");
    assert_eq!((sent.id.as_str(), sent.timestamp.as_str()), ("msg_1", "5"));
    let expected = [&b"new"[..], b"old"]
        .map(|key| format!("v1,{}", STANDARD.encode(sha256(key, b"msg_1.5.{}"))))
        .join(" ");
    assert_eq!(sent.signature, expected);
    assert_eq!(sign_standard_webhook(&[], "m", 5, b"").signature, "");
}

#[test]
fn bearer_basic_and_none() {
    let header = |value: &[u8]| vec![("Authorization", value.to_vec())];
    let bearer = scheme(json!({"type": "bearer"}));
    for (value, expected) in [
        (&b"Bearer token"[..], Ok(())),
        (b"bearer  token ", Ok(())),
        (b"Bearer tokem", Err(AuthCode::WrongCredentials)),
        (b"Bearer t\xc3\xb6ken", Err(AuthCode::WrongCredentials)),
        (b"Bearer \xff", Err(AuthCode::WrongCredentials)),
        (b"Bearer ", Err(AuthCode::MalformedCredentials)),
        (b"Bearer", Err(AuthCode::MalformedCredentials)),
        (b"Basic token", Err(AuthCode::MalformedCredentials)),
        (b"", Err(AuthCode::MalformedCredentials)),
    ] {
        assert_eq!(
            check(&bearer, &["old", "token"], &header(value), b""),
            expected
        );
    }
    assert_eq!(
        check(&bearer, &["token"], &vec![], b""),
        Err(AuthCode::MissingCredentials)
    );
    assert_eq!(
        check(&bearer, &[], &header(b"Bearer "), b""),
        Err(AuthCode::NoSecret)
    );
    let basic = scheme(json!({"type": "basic", "username": "üser"}));
    let pair = |pair: &str| header(format!("Basic {}", STANDARD.encode(pair)).as_bytes());
    assert_eq!(
        check(&basic, &["pass:word"], &pair("üser:pass:word"), b""),
        Ok(())
    );
    assert_eq!(
        check(&basic, &["a", "pass"], &pair("üser:pass"), b""),
        Ok(())
    );
    assert_eq!(
        check(&basic, &["pass"], &pair("user:pass"), b""),
        Err(AuthCode::WrongCredentials)
    );
    assert_eq!(
        check(&basic, &["pass"], &pair("üserpass"), b""),
        Err(AuthCode::MalformedCredentials)
    );
    assert_eq!(
        check(&basic, &["pass"], &header(b"Basic %"), b""),
        Err(AuthCode::MalformedCredentials)
    );
    let none = scheme(json!({"type": "none"}));
    assert_eq!(check(&none, &[], &vec![], b""), Ok(()));
    assert_eq!(
        (none.secret_key(), bearer.secret_key(), basic.secret_key()),
        (None, Some("token"), Some("password"))
    );
}

#[test]
fn schemes_are_checked_when_they_are_written() {
    for (value, part) in [
        (json!({"type": "magic"}), "unknown variant `magic`"),
        (
            json!({"type": "github", "secret": "x"}),
            "unknown field `secret`",
        ),
        (json!({"type": "hmac"}), "missing field `header`"),
        (
            json!({"type": "hmac", "header": "X", "encoding": "hax"}),
            "unknown variant `hax`",
        ),
        (json!({}), "missing field `type`"),
    ] {
        let error = serde_json::from_value::<Scheme>(value)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
    for (value, at) in [
        (json!({"type": "basic", "username": ""}), "username"),
        (json!({"type": "basic", "username": "a:b"}), "username"),
        (json!({"type": "hmac", "header": "X Sig"}), "header"),
        (
            json!({"type": "hmac", "header": "X", "text": "body"}),
            "text",
        ),
        (
            json!({"type": "hmac", "header": "X", "text": "{timestamp}{body}"}),
            "text",
        ),
        (
            json!({"type": "hmac", "header": "X", "id_header": "Y"}),
            "text",
        ),
        (
            json!({"type": "grafana", "timestamp_header": ""}),
            "timestamp.header",
        ),
    ] {
        let scheme: Scheme = serde_json::from_value(value).unwrap();
        assert_eq!(scheme.validate().unwrap_err().at, at);
    }
}

#[test]
fn presets_are_complete() {
    for preset in PRESETS {
        let mut written = json!({"type": preset.name});
        if preset.signs_address() {
            written["callback_url"] = json!("https://gw.example/hook");
        }
        let scheme = scheme(written);
        assert_eq!(
            (scheme.name(), scheme.preset().unwrap().title),
            (preset.name, preset.title)
        );
    }
    let key = |name: &str| {
        PRESETS
            .iter()
            .find(|p| p.name == name)
            .unwrap()
            .idempotency_key
    };
    assert_eq!(
        key("github"),
        Some(IdempotencyKey::Header("X-GitHub-Delivery"))
    );
    assert_eq!(key("stripe"), Some(IdempotencyKey::Path("$.id")));
    assert_eq!(
        key("standard_webhooks"),
        Some(IdempotencyKey::Header("webhook-id"))
    );
    assert_eq!(key("grafana"), None);
}

#[test]
fn secrets_do_not_print() {
    assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(***)");
    assert!(constant_time_eq(b"", b"") && constant_time_eq(b"a", b"a"));
    assert!(!constant_time_eq(b"a", b"b") && !constant_time_eq(b"a", b"aa"));
}
