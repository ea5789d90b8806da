//! `http.request` against the sink.

use api::connectors::Connector as _;
use api::connectors::http::Http;
use engine::secret::Secret as Key;
use engine::signature::{PresetOptions, Scheme, verify};
use serde_json::json;
use tests::fakes::{Effect as Do, FakeSink, Fault};

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn http() -> Http {
    Http::new(egress(), clock())
}

fn to(sink: &FakeSink, settings: &Value) -> Connection {
    let mut all = json!({"url": format!("{}/in", sink.url)});
    for (name, value) in settings.as_object().unwrap() {
        all[name] = value.clone();
    }
    connection(
        "http",
        all,
        &[("signing_secret", SECRET), ("token", "t0ken")],
    )
}

fn request(message: &str) -> Job {
    job("http.request", message, &json!({"body": {"msg": "down"}}))
}

#[tokio::test]
async fn the_receiver_can_verify_what_it_gets() {
    let sink = FakeSink::start().await.unwrap();
    let report = http()
        .execute(&to(&sink, &json!({"auth": "bearer"})), &request("msg_1"))
        .await;
    assert_eq!(effect(&report), Effect::Sent);
    let seen = &sink.seen()["msg_1"];
    assert_eq!(
        (seen.request.as_str(), seen.body.as_str()),
        ("POST /in", r#"{"msg":"down"}"#)
    );
    let header = |name: &str| {
        seen.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_bytes())
    };
    let scheme = Scheme::StandardWebhooks(PresetOptions::default());
    verify(
        &scheme,
        &[Key::from(SECRET)],
        &header,
        seen.body.as_bytes(),
        now().timestamp(),
    )
    .unwrap();
    assert_eq!(header("authorization"), Some(&b"Bearer t0ken"[..]));
    assert_eq!(header("x-correlation-id"), Some(&b"corr-msg_1"[..]));
    assert!(!format!("{:?}", report.exchanges).contains("t0ken"));
}

#[tokio::test]
async fn a_repeat_has_the_same_id() {
    let sink = FakeSink::start().await.unwrap();
    let (http, connection) = (http(), to(&sink, &json!({})));
    sink.fault(Fault::new(Do::LoseReply));
    let first = http.execute(&connection, &request("msg_1")).await;
    assert_eq!((first.outcome.word(), code(&first)), ("unknown", "reset"));
    let second = http
        .execute(&connection, &again(&request("msg_1"), &first))
        .await;
    assert_eq!(effect(&second), Effect::Sent);
    let seen = &sink.seen()["msg_1"];
    assert_eq!((seen.count, seen.bodies, sink.counts().ids), (2, 1, 1));
}

#[tokio::test]
async fn statuses_and_cuts_become_outcomes() {
    let sink = FakeSink::start().await.unwrap();
    let (http, connection) = (http(), to(&sink, &json!({})));
    for (fault, word) in [
        (Fault::status(400), "permanent"),
        (Fault::status(302), "permanent"),
        (Fault::status(401), "auth_failed"),
        (Fault::status(410), "gone"),
        (Fault::status(503), "retry"),
        (Fault::too_many(9), "rate_limited"),
        (Fault::new(Do::Cut), "unknown"),
    ] {
        sink.fault(fault.clone());
        let report = http.execute(&connection, &request("m")).await;
        assert_eq!(report.outcome.word(), word, "{fault:?}");
        if let Outcome::RateLimited { after, .. } = report.outcome {
            assert_eq!(after, Some(std::time::Duration::from_secs(9)));
        }
    }
    sink.fault(Fault::new(Do::Status {
        status: 503,
        retry_after: Some("Sat, 21 Nov 2026 09:01:00 GMT".to_owned()),
    }));
    let report = http.execute(&connection, &request("m")).await;
    assert!(
        matches!(report.outcome, Outcome::Retry { after: Some(after), .. } if after.as_secs() == 60)
    );
    assert_eq!(sink.counts().taken, 0);
    // Down: the connection is cut after it was taken, so nobody can say.
    sink.set_down(true);
    assert_eq!(
        http.execute(&connection, &request("m"))
            .await
            .outcome
            .word(),
        "unknown"
    );
    sink.set_down(false);
    assert_eq!(
        http.execute(&connection, &request("m"))
            .await
            .outcome
            .word(),
        "delivered"
    );
}

#[tokio::test]
async fn sets_of_statuses_are_settings() {
    let sink = FakeSink::start().await.unwrap();
    let http = http();
    let connection = to(&sink, &json!({"success": ["2xx", 409], "retry": [404]}));
    for (status, word) in [(409, "delivered"), (404, "retry"), (503, "permanent")] {
        sink.fault(Fault::status(status));
        assert_eq!(
            http.execute(&connection, &request("m"))
                .await
                .outcome
                .word(),
            word,
            "{status}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_was_not_reached() {
    let sink = FakeSink::start().await.unwrap();
    let connection = to(&sink, &json!({}));
    drop(sink);
    let report = http().execute(&connection, &request("m")).await;
    assert_eq!((report.outcome.word(), code(&report)), ("retry", "connect"));
    assert!(!http().test(&connection).await.ok);
}

#[tokio::test]
async fn a_timeout_is_a_setting_and_its_outcome_unknown() {
    let sink = FakeSink::start().await.unwrap();
    sink.fault(Fault::new(Do::Hang));
    let connection = to(&sink, &json!({"timeout_seconds": 0.2}));
    let report = http().execute(&connection, &request("m")).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("unknown", "timeout")
    );
}

#[tokio::test]
async fn private_addresses_need_leave() {
    let sink = FakeSink::start().await.unwrap();
    let mut connection = to(&sink, &json!({}));
    connection.allow_private = false;
    let report = http().execute(&connection, &request("m")).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "blocked")
    );
    let mut elsewhere = request("m");
    elsewhere.fields.insert(
        "url".to_owned(),
        "http://169.254.169.254/latest/meta-data".into(),
    );
    let open = to(&sink, &json!({"any_origin": true}));
    let report = http().execute(&open, &elsewhere).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "blocked")
    );
    let report = http().execute(&to(&sink, &json!({})), &elsewhere).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "foreign_origin")
    );
    assert_eq!(sink.counts().requests, 0);
}

#[tokio::test]
async fn a_test_sends_no_message() {
    let sink = FakeSink::start().await.unwrap();
    let test = http().test(&to(&sink, &json!({}))).await;
    assert!(test.ok, "{test:?}");
    sink.answer(403);
    assert_eq!(
        http().test(&to(&sink, &json!({}))).await.code.as_deref(),
        Some("http_403")
    );
}

#[tokio::test]
async fn a_refusal_elsewhere_does_not_pause_the_connection() {
    let (own, other) = (
        FakeSink::start().await.unwrap(),
        FakeSink::start().await.unwrap(),
    );
    other.answer(401);
    let mut job = request("m");
    job.fields
        .insert("url".to_owned(), format!("{}/x", other.url).into());
    let connection = to(&own, &json!({"any_origin": true, "auth": "bearer"}));
    let report = http().execute(&connection, &job).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "http_401")
    );
    assert_eq!(own.counts().requests, 0);
}
