//! From settings and fields to the request, without a network.

use engine::secret::Secret as SigningKey;
use engine::signature::{PresetOptions, Scheme, verify};
use serde_json::json;

use super::*;
use crate::connectors::Parsed;
use crate::egress::EgressOptions;
use crate::secrets::Secret;

fn now() -> DateTime<Utc> {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn http() -> Http {
    Http::new(
        Egress::new(EgressOptions::default()).unwrap(),
        Clock::from_fn(now),
    )
}

fn connection(settings: Value, secrets: &[(&str, &str)]) -> Connection {
    Connection {
        id: Uuid::nil(),
        workspace_id: Uuid::nil(),
        name: "hook".to_owned(),
        connector: KIND.to_owned(),
        settings,
        secrets: secrets
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Secret::new(*text)))
            .collect(),
        allow_private: false,
        revision: 1,
        parsed: Parsed::default(),
    }
}

fn job(fields: Value) -> Job {
    Job {
        delivery_id: Uuid::nil(),
        message_id: "msg_1".to_owned(),
        correlation_id: "corr-1".to_owned(),
        operation: REQUEST.to_owned(),
        key: Some("a/b".to_owned()),
        action: None,
        fields: fields.as_object().unwrap().clone(),
        link: None,
        unsure: false,
        attempt: 1,
        repeats: 1,
        received_at: now(),
    }
}

fn prepared(settings: Value, fields: Value) -> Result<Prepared, Fault> {
    let connection = connection(settings, &[("token", "s3cret")]);
    let settings: std::sync::Arc<Settings> = read(&connection)?;
    prepare(&connection, &settings, &job(fields), now())
        .map_err(|(Unprepared::Rule(fault) | Unprepared::Connection(fault))| fault)
}

fn header<'a>(request: &'a Prepared, name: &str) -> &'a str {
    request
        .headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[test]
fn how_far_an_event_has_come_is_counted_on() {
    let settings = json!({"url": "https://x.test/in"});
    let first = prepared(settings.clone(), json!({"body": "a"})).unwrap();
    assert_eq!(header(&first, "signalbox-hops"), "1");
    let told = Uuid::from_u128(7);
    let fields = json!({"body": "a", "hops": [told, 2]});
    let later = prepared(settings, fields).unwrap();
    assert_eq!(header(&later, "signalbox-hops"), format!("{told}, 3"));
    assert_eq!(&later.body[..], b"a");
    let set = json!({"url": "https://x.test/in", "headers": {"Signalbox-Hops": "0"}});
    assert!(!http().validate(&set, &[]).is_empty(), "no rule forges it");
}

#[test]
fn a_body_is_json_unless_it_is_a_text() {
    let settings = json!({"url": "https://x.test/in"});
    let request = prepared(settings.clone(), json!({"body": {"a": [1, null]}})).unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(request.url.as_str(), "https://x.test/in");
    assert_eq!(&request.body[..], br#"{"a":[1,null]}"#);
    assert_eq!(header(&request, "content-type"), "application/json");
    let request = prepared(settings.clone(), json!({"body": "plain"})).unwrap();
    assert_eq!(
        header(&request, "content-type"),
        "text/plain; charset=utf-8"
    );
    let request = prepared(
        settings,
        json!({"body": "<a/>", "content_type": "application/xml"}),
    )
    .unwrap();
    assert_eq!(
        (&request.body[..], header(&request, "content-type")),
        (&b"<a/>"[..], "application/xml")
    );
}

#[test]
fn settings_give_defaults_and_templates() {
    let settings = json!({
        "url": "https://x.test/items/{{ params.id }}?fix=1", "method": "PUT",
        "headers": {"X-Key": "{{ key }}", "X-Team": "ops"}, "query": {"q": "{{ params.q }}"},
        "body": {"text": "item {{ params.id }}", "n": 1},
    });
    let fields = json!({"params.id": "../a b?c", "params": {"q": "1&2"}, "headers.X-Team": "core", "query.z": [1, 2]});
    let request = prepared(settings, fields).unwrap();
    assert_eq!(request.method, "PUT");
    assert_eq!(
        request.url.as_str(),
        "https://x.test/items/..%2Fa%20b%3Fc?fix=1&q=1%262&z=1&z=2"
    );
    assert_eq!(
        (header(&request, "x-key"), header(&request, "x-team")),
        ("a/b", "core")
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({"n": 1, "text": "item ../a b?c"}));
}

#[test]
fn a_value_cannot_climb_in_the_address() {
    for value in ["..", ".", "../..", "%2e%2e", "//evil.test"] {
        let settings = json!({"url": "https://x.test/safe/{{ params.id }}/end"});
        let request = prepared(settings, json!({"params.id": value})).unwrap();
        assert_eq!(request.url.host_str(), Some("x.test"));
        assert!(request.url.path().starts_with("/safe/"), "{}", request.url);
        assert!(request.url.path().ends_with("/end"), "{}", request.url);
        assert_eq!(
            request.url.path_segments().unwrap().count(),
            3,
            "{}",
            request.url
        );
    }
}

#[test]
fn an_address_of_the_rule_stays_on_the_origin() {
    let settings = json!({"url": "https://x.test/in"});
    let request = prepared(settings.clone(), json!({"url": "/other?a=1"})).unwrap();
    assert_eq!(request.url.as_str(), "https://x.test/other?a=1");
    for url in [
        "https://evil.test/",
        "http://x.test/",
        "https://x.test:444/",
        "//evil.test/in",
        "https://x.test.evil.test/",
    ] {
        let fault = prepared(settings.clone(), json!({"url": url})).unwrap_err();
        assert_eq!(fault.code, "foreign_origin", "{url}");
    }
}

#[test]
fn credentials_stay_on_the_origin_even_if_others_are_allowed() {
    let settings = json!({"url": "https://x.test/in", "any_origin": true, "auth": "bearer"});
    let own = prepared(settings.clone(), json!({})).unwrap();
    assert_eq!(header(&own, "authorization"), "Bearer s3cret");
    let foreign = prepared(settings, json!({"url": "https://y.test/"})).unwrap();
    assert_eq!(foreign.url.as_str(), "https://y.test/");
    assert_eq!(header(&foreign, "authorization"), "");
}

#[test]
fn own_headers_cannot_be_replaced() {
    let settings = json!({"url": "https://x.test/in"});
    for name in [
        "Host",
        "webhook-id",
        "Content-Length",
        "bad name",
        "X-Correlation-Id",
    ] {
        let fault =
            prepared(settings.clone(), json!({format!("headers.{name}"): "x"})).unwrap_err();
        assert_eq!(fault.code, "invalid_header", "{name}");
    }
    let fault = prepared(settings, json!({"headers.X-A": "a\r\nX-B: c"})).unwrap_err();
    assert_eq!(fault.code, "invalid_header");
}

#[test]
fn single_members_and_forms() {
    let settings = json!({"url": "https://x.test/in"});
    let request = prepared(settings.clone(), json!({"body": {"a": 1}, "body.b": "two"})).unwrap();
    assert_eq!(&request.body[..], br#"{"a":1,"b":"two"}"#);
    let fields = json!({"body.a": "x y", "body.b": null, "content_type": "application/x-www-form-urlencoded"});
    let request = prepared(settings, fields).unwrap();
    assert_eq!(&request.body[..], b"a=x+y");
}

#[test]
fn the_engine_verifies_our_signature() {
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let connection = connection(
        json!({"url": "https://x.test/in"}),
        &[("signing_secret", key)],
    );
    let settings: std::sync::Arc<Settings> = read(&connection).unwrap();
    let request = prepare(
        &connection,
        &settings,
        &job(json!({"body": {"a": 1}})),
        now(),
    )
    .unwrap();
    let scheme = Scheme::StandardWebhooks(PresetOptions::default());
    let look = |name: &str| request.headers.get(name).map(|value| value.as_bytes());
    let keys = [SigningKey::from(key)];
    let at = now().timestamp();
    verify(&scheme, &keys, &look, &request.body, at).unwrap();
    assert!(verify(&scheme, &keys, &look, b"{}", at).is_err());
    assert_eq!(header(&request, "webhook-id"), "msg_1");
    assert_eq!(header(&request, "x-correlation-id"), "corr-1");
}

#[test]
fn a_plan_shows_no_secret() {
    let connection = connection(
        json!({"url": "https://x.test/in?api_key=q1", "auth": "bearer"}),
        &[
            ("token", "s3cret"),
            ("signing_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ],
    );
    let plan = http().plan(
        &connection,
        &job(json!({"body": {"password": "p1", "a": 1}})),
    );
    let text = format!("{plan:?}");
    for secret in ["s3cret", "q1", "p1", "v1,"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(plan[0].body, Some(json!({"password": "***", "a": 1})));
}

#[test]
fn settings_are_checked() {
    let faults = |settings: Value, secrets: &[&str]| -> Vec<(String, String)> {
        http()
            .validate(&settings, secrets)
            .into_iter()
            .map(|f| (f.field, f.code))
            .collect()
    };
    let one = |at: &str, code: &str| vec![(at.to_owned(), code.to_owned())];
    assert_eq!(
        faults(
            json!({"url": "http://127.0.0.1:9002/in", "method": "POST"}),
            &[]
        ),
        []
    );
    assert_eq!(faults(json!({}), &[]), one("settings.url", "missing_field"));
    assert_eq!(
        faults(json!({"url": "https://x.test", "urll": 1}), &[]),
        one("settings.urll", "unknown_field")
    );
    assert_eq!(
        faults(json!({"url": "ftp://x.test"}), &[]),
        one("settings.url", "invalid_url")
    );
    assert_eq!(
        faults(json!({"url": "https://{{ params.host }}/"}), &[]),
        one("settings.url", "invalid_url")
    );
    assert_eq!(
        faults(json!({"url": "https://x.test{{ params.host }}/"}), &[]),
        one("settings.url", "invalid_url")
    );
    assert_eq!(
        faults(json!({"url": "https://x.test/{{ a"}), &[]),
        one("settings.url", "template_syntax")
    );
    assert_eq!(
        faults(json!({"url": "https://x.test", "auth": "bearer"}), &[]),
        one("secrets.token", "missing_field")
    );
    assert_eq!(
        faults(json!({"url": "https://x.test"}), &["tokn"]),
        one("secrets.tokn", "unknown_field")
    );
    assert_eq!(
        faults(json!({"url": "https://x.test", "retry": ["6xx"]}), &[]),
        one("settings.retry", "invalid_value")
    );
    assert_eq!(
        faults(
            json!({"url": "https://x.test", "headers": {"Authorization": "x"}}),
            &[]
        ),
        one("settings.headers.Authorization", "invalid_value")
    );
}

#[test]
fn every_described_setting_is_known_to_the_type() {
    for field in settings::fields() {
        let value = field.default.unwrap_or_else(|| match field.kind.as_str() {
            "map" => json!({}),
            "any" => json!(1),
            _ => json!("x"),
        });
        let settings = json!({"url": "https://x.test", field.name.clone(): value});
        assert!(
            serde_json::from_value::<Settings>(settings).is_ok(),
            "{}",
            field.name
        );
    }
}

#[test]
fn statuses_become_outcomes() {
    let settings: Settings = serde_json::from_value(json!({"url": "https://x.test"})).unwrap();
    for (status, word) in [
        (200, "delivered"),
        (204, "delivered"),
        (302, "permanent"),
        (400, "permanent"),
        (401, "auth_failed"),
        (403, "auth_failed"),
        (404, "gone"),
        (408, "retry"),
        (410, "gone"),
        (425, "retry"),
        (429, "rate_limited"),
        (500, "retry"),
        (503, "retry"),
    ] {
        let answer = Answer {
            status,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        assert_eq!(judge(&settings, Ok(answer), now()).word(), word, "{status}");
    }
    let settings: Settings =
        serde_json::from_value(json!({"url": "https://x.test", "success": [409], "retry": [404]}))
            .unwrap();
    for (status, word) in [
        (409, "delivered"),
        (404, "retry"),
        (200, "permanent"),
        (503, "permanent"),
    ] {
        let answer = Answer {
            status,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        assert_eq!(judge(&settings, Ok(answer), now()).word(), word, "{status}");
    }
}
