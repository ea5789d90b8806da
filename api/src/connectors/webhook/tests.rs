//! From settings and messages to signed requests, without a network.

use engine::secret::Secret as SigningKey;
use engine::signature::{PresetOptions, Scheme, verify};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::egress::EgressOptions;
use crate::secrets::Secret;

const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OLD: &str = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn webhook() -> Webhook {
    Webhook::new(
        Egress::new(EgressOptions::default()).unwrap(),
        Clock::from_fn(now),
    )
}

fn connection(secret: &str) -> Connection {
    Connection {
        id: Uuid::from_u128(2),
        workspace_id: Uuid::from_u128(1),
        name: "hub".to_owned(),
        connector: KIND.to_owned(),
        settings: json!({ "url": "https://hub.example/in", "types": ["*"] }),
        secrets: BTreeMap::from([(SECRET.to_owned(), Secret::new(secret))]),
        allow_private: false,
        revision: 1,
        parsed: crate::connectors::Parsed::default(),
    }
}

fn job(body: Value) -> Job {
    Job {
        delivery_id: Uuid::nil(),
        message_id: "msg_1".to_owned(),
        correlation_id: "corr-1".to_owned(),
        operation: MESSAGE.to_owned(),
        key: None,
        action: None,
        fields: body.as_object().unwrap().clone(),
        link: None,
        unsure: false,
        attempt: 1,
        repeats: 1,
        received_at: now(),
    }
}

fn codes(settings: Value) -> Vec<String> {
    let faults = webhook().validate(&settings, &[SECRET]);
    faults.into_iter().map(|f| f.field).collect()
}

#[test]
fn settings_are_checked() {
    let good =
        json!({ "url": "https://hub.example/", "types": ["delivery.*", "*", "event.received"] });
    assert!(codes(good).is_empty());
    assert_eq!(
        codes(json!({ "url": "https://hub.example/" })),
        ["settings.types"]
    );
    assert_eq!(
        codes(json!({ "url": "ftp://hub.example/", "types": [] })),
        ["settings.url", "settings.types"]
    );
    assert_eq!(
        codes(
            json!({ "url": "https://hub.example/", "types": ["delivery.*", "nothing.*", "dead"] })
        ),
        ["settings.types[1]", "settings.types[2]"]
    );
    let faults = webhook().validate(
        &json!({ "url": "https://hub.example/", "types": ["*"] }),
        &[],
    );
    assert_eq!(faults[0].field, "secrets.signing_secret");
    assert!(webhook().validate_secret(SECRET, KEY).is_none());
    assert!(
        webhook()
            .validate_secret(SECRET, &format!("{KEY} {OLD}"))
            .is_none()
    );
    for wrong in ["", " ", "whsec_", "not base64!"] {
        assert!(
            webhook().validate_secret(SECRET, wrong).is_some(),
            "{wrong}"
        );
    }
    assert!(
        webhook()
            .validate_secret(SECRET, &generate_secret())
            .is_none()
    );
}

#[test]
fn a_message_is_signed_with_every_secret_and_names_its_way() {
    let both = rotated(KEY, Some(OLD));
    assert_eq!(both, format!("{KEY} {OLD}"));
    assert_eq!(rotated(OLD, Some(&both)), format!("{OLD} {KEY}"));
    let connection = connection(&both);
    let passed = Uuid::from_u128(9);
    let job = job(json!({ "type": "event.received", "data": {}, "hops": [passed] }));
    let message = Signed::of(&connection, &job);
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body, json!({ "type": "event.received", "data": {} }));
    let headers = webhook().headers(&connection, &message).unwrap();
    assert_eq!(headers["webhook-id"], "msg_1");
    assert_eq!(
        headers[HOPS].to_str().unwrap(),
        format!("{passed}, {}", connection.workspace_id)
    );
    for secret in [KEY, OLD] {
        let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let scheme = Scheme::StandardWebhooks(PresetOptions::default());
        let keys = [SigningKey::from(secret)];
        assert!(verify(&scheme, &keys, &header, &message.body, now().timestamp()).is_ok());
    }
}

#[test]
fn only_a_2xx_takes_a_message() {
    let judged = |status: u16| {
        let answer = Answer {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"no"),
        };
        judge(&Ok(answer), now()).word()
    };
    for status in [200, 202, 204, 299] {
        assert_eq!(judged(status), "delivered", "{status}");
    }
    for status in [302, 400, 401, 403, 404, 500, 503] {
        assert_eq!(judged(status), "retry", "{status}");
    }
    assert_eq!(judged(410), "gone");
    assert_eq!(judged(429), "rate_limited");
    assert_eq!(judged(508), "permanent");
}

#[tokio::test]
async fn nothing_unsigned_leaves() {
    let mut connection = connection("whsec_");
    let report = webhook().execute(&connection, &job(json!({}))).await;
    assert_eq!(report.outcome.fault().unwrap().code, "signing_secret");
    assert!(report.exchanges.is_empty());
    connection.secrets.clear();
    let tested = webhook().test(&connection).await;
    assert_eq!(
        (tested.ok, tested.code.as_deref()),
        (false, Some("signing_secret"))
    );
}
