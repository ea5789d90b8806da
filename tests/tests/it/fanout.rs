//! One request that carries many events.

use openapi::events::Replayed;
use openapi::problem::Code;
use openapi::sources::{Accepted, Refusal, Source};
use reqwest::Method;
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Server, both, wait_until};

use crate::support::{all, delivered, drained, event, events, in_state};

fn alert(name: &str, status: &str) -> Value {
    json!({
        "status": status,
        "labels": { "alertname": "InstanceDown", "instance": name },
        "annotations": { "summary": format!("{name} does not answer") },
        "startsAt": "2026-11-21T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": format!("fingerprint-of-{name}"),
    })
}

/// As Alertmanager sends it.
fn group(alerts: &[Value]) -> Value {
    json!({
        "version": "4",
        "groupKey": "{}:{alertname=\"InstanceDown\"}",
        "status": "firing",
        "receiver": "signalbox",
        "groupLabels": { "alertname": "InstanceDown" },
        "alerts": alerts,
    })
}

fn to(sink: &FakeSink, split: Value) -> String {
    File::new()
        .http("sink", &sink.url)
        .source_with("alerts", json!({ "split": split }))
        .rule("copy", json!([]), json!([copy_to("sink")]))
        .text()
}

both! {
    async fn each_alert_is_an_event_with_its_own_key(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, json!({ "preset": "alertmanager" }))).await;
        let client = server.client();
        let (one, two, three) = (alert("web1", "firing"), alert("web2", "firing"), alert("web3", "firing"));
        let first = server.anonymous().hook("alerts", &group(&[one.clone(), two.clone()])).await;
        assert_eq!((first.event_ids.len(), first.duplicate), (2, false));
        let told = event(&client, first.event_ids[1]).await;
        let payload = told.payload.clone().unwrap();
        assert_eq!(payload["labels"]["instance"], "web2");
        assert_eq!(payload["_envelope"]["receiver"], "signalbox");
        assert!(payload["_envelope"]["alerts"].is_null());
        assert_eq!(told.summary.title, "web2 does not answer");
        assert_eq!(told.summary.correlation_id, first.correlation_id, "one request, one correlation id");
        drained(&server).await;
        let sent = delivered(&client, first.event_ids[0]).await;
        let body: Value = serde_json::from_str(&sink.seen()[&sent.message_id].body).unwrap();
        assert_eq!(body["_envelope"]["groupLabels"]["alertname"], "InstanceDown");

        let again = server.anonymous().hook("alerts", &group(&[one.clone(), two.clone()])).await;
        assert_eq!((&again.event_ids, again.duplicate), (&first.event_ids, true));
        let more = server.anonymous().hook("alerts", &group(&[two, three, alert("web1", "resolved")])).await;
        assert!(!more.duplicate);
        assert_eq!(more.event_ids.len(), 3);
        assert_eq!(more.event_ids[0], first.event_ids[1], "what is known keeps its id");
        // The same alert twice in one request is one event.
        let twin = alert("web9", "firing");
        let twins = server.anonymous().hook("alerts", &group(&[twin.clone(), twin])).await;
        assert_eq!(twins.event_ids[0], twins.event_ids[1]);
        assert_eq!(events(&server).await, 5);
        drained(&server).await;
        assert_eq!(sink.counts().taken, 5);
    }

    async fn an_item_keeps_its_bytes_and_is_replayed_from_them(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, json!({ "path": "$.data.items[*]", "key": ["$.id"] }))).await;
        let client = server.client();
        let text = r#"{ "data": {"items": [ {"id" : 7, "v":1.10}, "plain" ], "page":  2} }"#;
        let sent: Accepted = client
            .call(Method::POST, "/hooks/alerts")
            .header("content-type", "application/json")
            .header("x-correlation-id", "request-1")
            .body(text)
            .send().await.ok();
        assert_eq!((sent.event_ids.len(), sent.correlation_id.as_str()), (2, "request-1"));
        let bytes = client.get(&format!("/api/v1/events/{}/body", sent.event_ids[0])).await.text();
        assert_eq!(bytes, r#"{"id" : 7, "v":1.10}"#);
        let plain = event(&client, sent.event_ids[1]).await;
        let seen = json!({ "value": "plain", "_envelope": { "data": { "page": 2 } } });
        assert_eq!(plain.payload, Some(seen.clone()));
        assert_eq!(plain.idempotency_key, None, "without a key nothing is taken for a repeat");
        drained(&server).await;

        let replayed: Replayed = client
            .post(&format!("/api/v1/events/{}/replay", sent.event_ids[1]), &json!({})).await.ok();
        let done = in_state(&client, replayed.delivery_ids[0], openapi::deliveries::State::Delivered).await;
        let body: Value = serde_json::from_str(&sink.seen()[&done.message_id].body).unwrap();
        assert_eq!(body, seen);
    }

    async fn the_rest_is_one_event_and_too_much_is_refused(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, json!({ "path": "alerts[*]", "limit": 3 }))).await;
        let client = server.client();
        for whole in [json!({ "msg": "hello" }), json!({ "alerts": [] }), json!({ "alerts": "none" })] {
            let sent = server.anonymous().hook("alerts", &whole).await;
            assert_eq!(sent.event_ids.len(), 1);
            assert_eq!(event(&client, sent.event_ids[0]).await.payload, Some(whole));
        }
        let form: Accepted = server.anonymous()
            .call(Method::POST, "/hooks/alerts")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("payload=%7B%22alerts%22%3A%5B%7B%22a%22%3A1%7D%2C%7B%22a%22%3A2%7D%5D%2C%22b%22%3A3%7D")
            .send().await.ok();
        assert_eq!(form.event_ids.len(), 2);
        let second = event(&client, form.event_ids[1]).await;
        assert_eq!(second.payload, Some(json!({ "a": 2, "_envelope": { "b": 3 } })));

        let stored = events(&server).await;
        let many = json!({ "alerts": [1, 2, 3, 4] });
        server.anonymous().post("/hooks/alerts", &many).await.problem(Code::TooManyEvents);
        assert_eq!(events(&server).await, stored, "all of a request or nothing");
        let [source] = all::<Source>(&client, "/api/v1/sources").await.try_into().unwrap();
        let path = format!("/api/v1/sources/{}/refusals", source.id);
        let refusals = wait_until("the refusal is kept", async || {
            Some(all::<Refusal>(&client, &path).await).filter(|all| !all.is_empty())
        }).await;
        assert_eq!((refusals[0].status, refusals[0].reason.as_str()), (413, "too_many_events"));
        let bad = json!({ "split": { "path": "$..alerts" } });
        let answer = client.patch(&format!("/api/v1/sources/{}", source.id), source.revision, &bad).await;
        assert_eq!(answer.problem(Code::ValidationFailed).errors[0].field, "split.path");
    }

    async fn a_request_id_numbers_what_has_no_key(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            .http("sink", &sink.url)
            .source_with("alerts", json!({ "split": { "path": "$.list[*]" }, "event_id_path": "$.id" }))
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let request = json!({ "id": "r1", "list": [1, 2] });
        let first = server.anonymous().hook("alerts", &request).await;
        let again = server.anonymous().hook("alerts", &request).await;
        assert_eq!((first.event_ids, true), (again.event_ids, again.duplicate));
    }
}
