//! One request that carries many events.

use std::collections::BTreeSet;

use openapi::events::{EventSummary, Replayed};
use openapi::problem::Code;
use openapi::rules::{ExplainResponse, Part};
use openapi::sources::{Accepted, Source};
use reqwest::Method;
use serde_json::{Value, json};
use tests::fakes::{FakeConnectWise, FakeSink};
use tests::yaml::{File, copy_to, is};
use tests::{Server, both};
use uuid::Uuid;

use crate::support::{SECRETS, all, delivered, drained, event, events, in_state};

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

/// As Grafana sends it, of one alert of a group.
fn grafana_alert(instance: &str, status: &str) -> Value {
    json!({
        "status": status,
        "labels": {
            "alertname": "High memory use", "instance": instance, "severity": "critical",
            "grafana_folder": "Servers",
        },
        "annotations": { "summary": format!("Memory use of {instance} is above 90 %") },
        "startsAt": "2026-11-21T12:00:00Z",
        "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-11-21T12:30:00Z" },
        "generatorURL": "https://grafana.example.com/alerting/grafana/cd4a/view?orgId=1",
        "fingerprint": format!("57c6d9296de2-{instance}"),
        "silenceURL": "https://grafana.example.com/alerting/silence/new?alertmanager=grafana",
        "dashboardURL": "https://grafana.example.com/d/rYdd",
        "panelURL": "https://grafana.example.com/d/rYdd?viewPanel=4",
        "values": { "B": 93.5, "C": 1 },
        "valueString": "[ var='B' labels={instance=web} value=93.5 ]",
    })
}

fn grafana_group(status: &str, alerts: &[Value]) -> Value {
    json!({
        "receiver": "signalbox",
        "status": status,
        "alerts": alerts,
        "groupLabels": { "alertname": "High memory use", "grafana_folder": "Servers" },
        "commonLabels": { "alertname": "High memory use", "severity": "critical" },
        "commonAnnotations": {},
        "externalURL": "https://grafana.example.com/",
        "version": "1",
        "groupKey": "{}/{}:{alertname=\"High memory use\", grafana_folder=\"Servers\"}",
        "truncatedAlerts": 0,
        "orgId": 1,
        "title": format!("[FIRING:{}] High memory use Servers", alerts.len()),
        "state": "alerting",
        "message": "**Firing**",
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

    async fn what_the_lifecycle_ignores_sends_nothing(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            .connectwise("psa", &desk.url)
            .source_with("alerts", json!({ "split": { "preset": "alertmanager" } }))
            .rule("alerts", json!([]), json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "{{ labels.instance }}",
                "lifecycle": { "path": "$.status", "open": ["firing"], "close": ["resolved"], "otherwise": "ignore" },
                "map": { "summary": "{{ annotations.summary }}", "board": { "value": "Service Board" } },
            }}]));
        server.apply_with(&file.text(), SECRETS).await;
        let client = server.client();
        let anonymous = server.anonymous();
        let alerts = [alert("web1", "firing"), alert("web2", "suppressed"), alert("web3", "firing")];
        let sent = anonymous.hook("alerts", &group(&alerts)).await;
        drained(&server).await;
        let effects = async |ids: &[Uuid]| {
            let mut effects = Vec::new();
            for id in ids {
                let done = delivered(&client, *id).await;
                effects.push((done.action.unwrap(), done.effect.unwrap(), done.attempts));
            }
            effects
        };
        let is = |action: &str, effect: &str, attempts| (action.to_owned(), effect.to_owned(), attempts);
        assert_eq!(effects(&sent.event_ids).await, [
            is("open", "created", 1), is("ignore", "none", 0), is("open", "created", 1),
        ]);
        // Of two keys nobody waits for the other: either may be first.
        let keys = |desk: &FakeConnectWise| -> BTreeSet<String> {
            desk.tickets().iter().map(|t| t["externalXRef"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(keys(&desk), ["web1", "web3"].map(str::to_owned).into());
        // Nor is a ticket that is open touched, and what is ignored keeps nobody waiting.
        let calls = desk.calls();
        let sent = anonymous.hook("alerts", &group(&[alert("web1", "suppressed"), alert("web9", "suppressed")])).await;
        assert_eq!(effects(&sent.event_ids).await, [is("ignore", "none", 0), is("ignore", "none", 0)]);
        assert_eq!(desk.calls(), calls);
        let sent = anonymous.hook("alerts", &group(&[alert("web1", "resolved")])).await;
        assert_eq!(effects(&sent.event_ids).await, [is("close", "closed", 1)]);
        let open = desk.tickets().iter().filter(|t| t["closedFlag"] == false).count();
        assert_eq!((keys(&desk).len(), open), (2, 1));
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

    async fn the_rest_is_one_event_and_too_much_is_kept_as_one(db) {
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

        // A sender would not send again what is refused: it is kept, and nobody takes it for one alert.
        let many = json!({ "alerts": [1, 2, 3, 4], "title": "storm" });
        let storm = server.anonymous().hook("alerts", &many).await;
        assert_eq!((storm.event_ids.len(), storm.duplicate), (1, false));
        let id = storm.event_ids[0];
        let kept = event(&client, id).await;
        assert_eq!((kept.summary.disposition.as_str(), kept.summary.reason.as_str()), ("unrouted", "too_many_events"));
        assert_eq!((kept.payload, kept.deliveries.len()), (Some(many.clone()), 0));
        assert_eq!(kept.summary.title, "storm");
        let listed: Vec<EventSummary> = all(&client, "/api/v1/events?disposition=unrouted").await;
        assert_eq!(listed.iter().map(|line| line.id).collect::<Vec<_>>(), [id]);
        let bytes = client.get(&format!("/api/v1/events/{id}/body")).await.text();
        assert_eq!(serde_json::from_str::<Value>(&bytes).unwrap(), many);
        for rules in ["today", "then"] {
            let again: Replayed = client
                .post(&format!("/api/v1/events/{id}/replay"), &json!({ "rules": rules })).await.ok();
            assert_eq!((again.disposition.as_str(), again.delivery_ids.len()), ("unrouted", 0));
        }
        let metrics = client.get("/metrics").await.text();
        assert!(metrics.contains(r#"signalbox_events_routed_total{disposition="unrouted"} 1"#), "{metrics}");
        for (field, asked) in [
            ("event_id", json!({ "event_id": id })),
            ("payload", json!({ "source": "alerts", "payload": many })),
        ] {
            let problem = client.post("/api/v1/rules/explain", &asked).await.problem(Code::ValidationFailed);
            assert_eq!((problem.errors[0].field.as_str(), problem.errors[0].code.as_str()), (field, "too_many_events"));
        }
        let [source] = all::<Source>(&client, "/api/v1/sources").await.try_into().unwrap();
        let bad = json!({ "split": { "path": "$..alerts" } });
        let answer = client.patch(&format!("/api/v1/sources/{}", source.id), source.revision, &bad).await;
        assert_eq!(answer.problem(Code::ValidationFailed).errors[0].field, "split.path");
    }

    async fn the_alerts_of_a_grafana_group_have_keys_and_lives_of_their_own(db) {
        let server = Server::start(db).await;
        let file = File::new()
            .sandbox("desk", json!({}))
            .source_with("alerts", json!({ "split": { "preset": "grafana" } }))
            .rule("tickets", json!([]), json!([{ "deliver": {
                "connection": "desk",
                "operation": "ticket.upsert",
                "key": "{{ labels.alertname }}/{{ labels.instance }}",
                "lifecycle": { "path": "$.status", "open": ["firing"], "close": ["resolved"] },
                "map": { "summary": "{{ annotations.summary }} ({{ _envelope.receiver }})" },
            }}]));
        server.apply(&file.text()).await;
        let client = server.client();
        let (one, two) = (grafana_alert("web-1", "firing"), grafana_alert("web-2", "firing"));
        let first = server.anonymous().hook("alerts", &grafana_group("firing", &[one.clone(), two.clone()])).await;
        assert_eq!(first.event_ids.len(), 2);
        let mut tickets = Vec::new();
        for (id, instance) in first.event_ids.iter().zip(["web-1", "web-2"]) {
            let made = delivered(&client, *id).await;
            assert_eq!(made.key.as_deref(), Some(format!("High memory use/{instance}").as_str()));
            assert_eq!(made.fields["summary"], format!("Memory use of {instance} is above 90 % (signalbox)"));
            assert_eq!(made.effect.as_deref(), Some("created"));
            let stored = event(&client, *id).await;
            let key = format!("57c6d9296de2-{instance}|firing|2026-11-21T12:00:00Z");
            assert_eq!(stored.idempotency_key, Some(key));
            assert_eq!(stored.payload.unwrap()["values"], json!({ "B": 93.5, "C": 1 }));
            tickets.push(made.record_id.unwrap());
        }
        assert_ne!(tickets[0], tickets[1]);
        // The group once more, with one alert resolved: the other is known, the ticket of one is closed.
        let group = grafana_group("firing", &[grafana_alert("web-1", "resolved"), two]);
        let second = server.anonymous().hook("alerts", &group).await;
        assert_eq!((second.event_ids[1], second.duplicate), (first.event_ids[1], false));
        let closed = delivered(&client, second.event_ids[0]).await;
        assert_eq!((closed.effect.as_deref(), closed.record_id.as_ref()), (Some("closed"), tickets.first()));
        assert_eq!(events(&server).await, 3);
    }

    async fn a_test_is_cut_as_a_request_is_and_no_repeat_of_anything(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        // Takes one alert, not their list.
        let file = File::new()
            .http("sink", &sink.url)
            .source_with("alerts", json!({ "split": { "preset": "alertmanager", "limit": 3 } }))
            .rule("copy", is("$.labels.alertname", "InstanceDown"), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        let [source] = all::<Source>(&client, "/api/v1/sources").await.try_into().unwrap();
        let path = format!("/api/v1/sources/{}/test", source.id);
        let sample = json!({ "sample": "alertmanager" });
        let sent: Accepted = client.post(&path, &sample).await.ok();
        assert_eq!((sent.event_ids.len(), sent.duplicate), (2, false));
        for (id, instance) in sent.event_ids.iter().zip(["web-1:9100", "web-2:9100"]) {
            let told = event(&client, *id).await;
            assert_eq!((told.summary.test, told.summary.disposition.as_str()), (true, "routed"));
            assert_eq!(told.payload.unwrap()["labels"]["instance"], instance);
            assert_eq!((told.idempotency_key, told.summary.correlation_id.as_str()), (None, sent.correlation_id.as_str()));
            delivered(&client, *id).await;
        }
        let again: Accepted = client.post(&path, &sample).await.ok();
        assert!(again.event_ids.iter().all(|id| !sent.event_ids.contains(id)), "a test is always new");
        let grafana: Accepted = client.post(&path, &json!({ "sample": "grafana" })).await.ok();
        assert_eq!(event(&client, grafana.event_ids[0]).await.payload.unwrap()["labels"]["instance"], "web-1");
        // The alert itself is none of its tests.
        let one = alert("web1", "firing");
        let group = group(&[one.clone(), alert("web2", "firing")]);
        client.post(&path, &json!({ "payload": group })).await.ok::<Accepted>();
        assert!(!server.anonymous().hook("alerts", &group).await.duplicate);

        // And explained one by one.
        let explain = async |more: Value| {
            let mut asked = json!({ "source": "alerts", "payload": group });
            asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            client.post("/api/v1/rules/explain", &asked).await
        };
        for (more, place) in [(json!({}), 0), (json!({ "item": 1 }), 1)] {
            let told: ExplainResponse = explain(more).await.ok();
            assert_eq!(told.part, Some(Part { item: place, items: 2 }));
            let body = told.requests[0].body.clone().unwrap();
            assert_eq!(body["labels"]["instance"], format!("web{}", place + 1));
            assert_eq!(body["_envelope"]["receiver"], "signalbox");
        }
        let beyond = explain(json!({ "item": 2 })).await.problem(Code::ValidationFailed);
        assert_eq!(beyond.errors[0].field, "item");
        let whole = json!({ "source": "alerts", "payload": one });
        let told: ExplainResponse = client.post("/api/v1/rules/explain", &whole).await.ok();
        assert_eq!((told.part, told.requests.len()), (None, 1));
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
