//! What the rules decide, what people do about it, and what `explain` says beforehand.

use openapi::deliveries::{Delivery, State};
use openapi::events::Replayed;
use openapi::problem::Code;
use openapi::rules::{ExplainResponse, NewRule};
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::fakes::connectwise::FakeConnectWise;
use tests::yaml::{File, copy_to, is};
use tests::{Server, both};

use crate::support::{SECRETS, delivered, delivery, event, in_state, settled};

/// Every event of the source waits for a person before it goes to the sink.
async fn hold_all(server: &Server, sink: &FakeSink) {
    let file = File::new().http("sink", &sink.url).source("alerts").rule(
        "ask first",
        json!([]),
        json!([{ "hold": copy_to("sink")["deliver"] }]),
    );
    server.apply(&file.text()).await;
}

/// Sends an event there and returns its delivery, which is held.
async fn held_of(server: &Server, payload: &Value) -> Delivery {
    let sent = server.anonymous().hook("alerts", payload).await;
    let event = event(&server.client(), sent.event_ids[0]).await;
    assert_eq!(event.deliveries[0].state, State::Held);
    event.deliveries[0].clone()
}

both! {
    async fn what_no_rule_takes_can_be_replayed_by_a_new_rule(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url).source("alerts").rule(
            "disks",
            is("$.kind", "disk"),
            json!([copy_to("sink")]),
        );
        server.apply(&file.text()).await;
        let client = server.client();
        let sent = server.anonymous().hook("alerts", &json!({ "kind": "fan" })).await;
        let id = sent.event_ids[0];
        let before = event(&client, id).await;
        assert_eq!((before.summary.disposition.as_str(), before.deliveries.len()), ("unmatched", 0));

        let rule: NewRule = serde_json::from_value(json!({
            "name": "fans",
            "spec": { "when": is("$.kind", "fan"), "then": [copy_to("sink")] },
        })).unwrap();
        client.post("/api/v1/rules", &rule).await.done();
        let replayed: Replayed = client.post(&format!("/api/v1/events/{id}/replay"), &json!({})).await.ok();
        assert_eq!(replayed.disposition, "routed");
        let [made] = replayed.delivery_ids.try_into().unwrap();
        let done = in_state(&client, made, State::Delivered).await;
        assert_eq!(done.rule, "fans");
        assert!(sink.seen().contains_key(&done.message_id));
        let after = event(&client, id).await;
        assert_eq!(after.summary.disposition, "unmatched", "the receipt says what was");
        assert_eq!(after.deliveries.len(), 1);
    }

    async fn all_matches_act_in_the_order_of_priority_until_a_drop(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            .http("sink", &sink.url)
            .source_with("all", json!({ "match": "all" }))
            .source_with("first", json!({ "match": "first" }))
            .rule("one", json!([]), json!([copy_to("sink")]))
            .rule("two", json!([]), json!([copy_to("sink"), copy_to("sink")]))
            .rule("three", is("$.kind", "none"), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        let all = server.anonymous().hook("all", &json!({})).await;
        let all = settled(&client, all.event_ids[0]).await;
        let names: Vec<(&str, i32)> = all.deliveries.iter().map(|d| (d.rule.as_str(), d.step)).collect();
        assert_eq!(names, [("one", 0), ("two", 0), ("two", 1)]);
        let first = server.anonymous().hook("first", &json!({})).await;
        let first = settled(&client, first.event_ids[0]).await;
        assert_eq!(first.deliveries.len(), 1);
        let messages: std::collections::BTreeSet<String> =
            all.deliveries.iter().chain(&first.deliveries).map(|d| d.message_id.clone()).collect();
        assert_eq!(messages.len(), 4, "each delivery is a message of its own");
    }

    async fn a_held_operation_waits_for_a_person(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        hold_all(&server, &sink).await;
        let client = server.client();
        let mut held = Vec::new();
        for n in 0..3 {
            held.push(held_of(&server, &json!({ "n": n })).await);
        }
        assert_eq!(sink.counts().requests, 0, "nothing is sent unasked");
        let path = |n: usize, what: &str| format!("/api/v1/deliveries/{}/{what}", held[n].id);

        client.post(&path(0, "release"), &json!({})).await.done();
        let changed = json!({ "fields": { "body": { "n": "edited" } } });
        let edited: Delivery = client
            .call(reqwest::Method::PATCH, &format!("/api/v1/deliveries/{}", held[1].id))
            .json(&changed).send().await.ok();
        assert_eq!(edited.state, State::Held);
        client.post(&path(1, "release"), &json!({})).await.done();
        client.post(&path(2, "discard"), &json!({})).await.done();

        for sent in &held[..2] {
            in_state(&client, sent.id, State::Delivered).await;
        }
        assert_eq!(delivery(&client, held[2].id).await.state, State::Discarded);
        let seen = sink.seen();
        let body = |n: usize| serde_json::from_str::<Value>(&seen[&held[n].message_id].body).unwrap();
        assert_eq!((body(0), body(1)), (json!({ "n": 0 }), json!({ "n": "edited" })));
        assert_eq!(seen.len(), 2);
        client.post(&path(2, "release"), &json!({})).await.problem(Code::Conflict);
        client.post(&path(0, "discard"), &json!({})).await.problem(Code::Conflict);
    }

    async fn what_an_editor_did_not_see_goes_out_as_it_is_stored(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        hold_all(&server, &sink).await;
        let client = server.client();
        let payload = json!({
            "msg": "opne", "pin": 4711, "door": { "token": "t-1", "name": "back" },
            "users": [{ "name": "ann", "password": "p-1" }, { "name": "bob", "password": "p-2" }],
        });
        let held = held_of(&server, &payload).await;
        let path = format!("/api/v1/deliveries/{}", held.id);
        let edit = async |fields: &Value| {
            let call = client.call(reqwest::Method::PATCH, &path);
            call.json(&json!({ "fields": fields })).send().await
        };
        let mut fields = held.fields.clone();
        assert_eq!(fields["body"]["pin"], "***");
        // A mask where nothing was masked is no value.
        for (place, wrong) in [
            ("fields.body.msg", json!({ "body": { "msg": "***" } })),
            ("fields.body.users[0].password", json!({ "body": { "users": [{ "name": "cid", "password": "***" }] } })),
        ] {
            let problem = edit(&wrong).await.problem(Code::ValidationFailed);
            assert_eq!((problem.errors[0].field.as_str(), problem.errors[0].code.as_str()), (place, "masked"));
        }
        fields["body"]["msg"] = json!("open");
        edit(&fields).await.done();
        let shown = delivery(&client, held.id).await;
        assert_eq!(shown.fields, fields, "it is shown as it was sent");
        // And once more with the release: the first of the users goes.
        fields["body"]["users"].as_array_mut().unwrap().remove(0);
        fields["body"]["door"]["name"] = json!("front");
        client.post(&format!("{path}/release"), &json!({ "fields": fields })).await.done();
        in_state(&client, held.id, State::Delivered).await;
        let body: Value = serde_json::from_str(&sink.seen()[&held.message_id].body).unwrap();
        assert_eq!(body, json!({
            "msg": "open", "pin": 4711, "door": { "token": "t-1", "name": "front" },
            "users": [{ "name": "bob", "password": "p-2" }],
        }));
    }

    async fn explain_says_exactly_what_is_sent(db) {
        let sink = FakeSink::start().await.unwrap();
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        let hook = json!({
            "settings": {
                "url": format!("{}/items/{{{{ params.id }}}}", sink.url),
                "method": "PUT",
                "headers": { "X-Team": "ops" },
                "query": { "from": "signalbox" },
            },
        });
        let file = File::new()
            .http_with("sink", "http://127.0.0.1:9/", hook)
            .connectwise("psa", &desk.url)
            .source_with("alerts", json!({ "match": "all" }))
            .rule("never", is("$.kind", "other"), json!("drop"))
            .rule("to the hook", is("$.kind", "disk"), json!([{ "deliver": {
                "connection": "sink",
                "operation": "http.request",
                "map": {
                    "params": { "path": "$.params" },
                    "headers": { "value": { "X-Kind": "disk" } },
                    "body": { "path": "$.detail" },
                },
            }}]))
            .rule("to the desk", json!([{ "path": "$.used", "op": "gte", "value": 90 }]), json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "disk:{{ host | lower }}",
                "map": { "summary": "Disk of {{ host }} at {{ used }} %", "board": { "value": "Service Board" } },
            }}]));
        server.apply_with(&file.text(), SECRETS).await;
        let client = server.client();
        let payload = json!({
            "kind": "disk", "host": "DB1", "used": 97, "params": { "id": "a b" }, "detail": { "free": "3 GB" },
        });
        let explained: ExplainResponse = client
            .post("/api/v1/rules/explain", &json!({ "source": "alerts", "payload": payload }))
            .await.ok();
        let explanation = serde_json::to_value(&explained.explanation).unwrap();
        let verdicts: Vec<&Value> = explanation["rules"].as_array().unwrap().iter().map(|r| &r["matched"]).collect();
        assert_eq!(verdicts, [&json!(false), &json!(true), &json!(true)]);
        assert!(explanation.to_string().contains("97"), "the values that were seen");
        assert_eq!(sink.counts().requests + desk.calls().values().sum::<u64>(), 0, "nothing is sent");
        assert_eq!(crate::support::events(&server).await, 0, "nothing is stored");

        let sent = server.anonymous().hook("alerts", &payload).await;
        let event = settled(&client, sent.event_ids[0]).await;
        let of = |rule: &str| event.deliveries.iter().find(|d| d.rule == rule).unwrap();
        assert!(event.deliveries.iter().all(|d| d.state == State::Delivered), "{event:?}");

        let planned = explained.requests.iter().find(|r| r.connection == "sink").unwrap();
        let seen = &sink.seen()[&of("to the hook").message_id];
        let path = planned.url.strip_prefix(&sink.url).unwrap();
        assert_eq!(seen.request, format!("{} {path}", planned.method));
        assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), *planned.body.as_ref().unwrap());
        // What differs from message to message is announced, but not by value.
        let changing = [
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
                "x-correlation-id",
            ];
        let mut compared = 0;
        for (name, value) in &planned.headers {
            let name = name.to_lowercase();
            let got = seen.headers.iter().find(|(n, _)| *n == name);
            let (_, got) = got.unwrap_or_else(|| panic!("{name} was planned and not sent"));
            if !changing.contains(&name.as_str()) {
                assert_eq!(got, value, "{name}");
                compared += 1;
            }
        }
        assert!(compared >= 2, "{:?}", planned.headers);

        let planned = explained.requests.iter()
            .find(|r| r.connection == "psa" && r.method == "POST" && r.url.ends_with("/service/tickets"))
            .unwrap();
        let attempt = &delivery(&client, of("to the desk").id).await.attempt_log[0];
        let posted = attempt.exchanges.iter().find(|e| e.method == "POST").unwrap();
        assert_eq!(posted.url, planned.url);
        let body: Value = serde_json::from_str(posted.request_body.as_ref().unwrap()).unwrap();
        let stable = |body: &Value| {
            // The first text ends with the mark of the message.
            let mut body = body.clone();
            let text = body.as_object_mut().unwrap().remove("initialInternalAnalysis");
            assert!(text.unwrap().as_str().unwrap().starts_with("[Signalbox opened "));
            body
        };
        assert_eq!(stable(&body), stable(planned.body.as_ref().unwrap()));
        assert_eq!(desk.tickets()[0]["summary"], "Disk of DB1 at 97 %");
    }

    async fn a_new_order_decides_at_once(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url).source("alerts")
            .rule("one", json!([]), json!([copy_to("sink")]))
            .rule("two", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        let rules: Vec<openapi::rules::Rule> = crate::support::all(&client, "/api/v1/rules").await;
        let ids: Vec<_> = rules.iter().rev().map(|rule| rule.id).collect();
        client.post("/api/v1/rules/reorder", &json!({ "ids": ids })).await.done();
        let sent = server.anonymous().hook("alerts", &json!({})).await;
        assert_eq!(delivered(&client, sent.event_ids[0]).await.rule, "two");
    }
}
