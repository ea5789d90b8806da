//! Replays that ask rules again: what stands for what, and what is never done twice.

use openapi::connections::Connection;
use openapi::deliveries::{DeadPreview, DeadResult, Delivery, State};
use openapi::rules::Rule;
use serde_json::{Value, json};
use tests::fakes::{FakeSink, Fault};
use tests::yaml::{File, copy_to, quick};
use tests::{Client, Server, both};
use uuid::Uuid;

use crate::replays::DEAD;
use crate::support::{all, delivery, drained, event, in_state, settled};

async fn replay(client: &Client, asked: Value) -> DeadResult {
    client.post(&format!("{DEAD}/replay"), &asked).await.ok()
}

/// A subscriber of new events that is never told twice by itself.
async fn subscribe(client: &Client, hub: &FakeSink) {
    let mut retry = quick();
    retry["permanent"] = json!(["400"]);
    let new = json!({
        "name": "hub", "connector": "webhook", "allow_private": true, "retry": retry,
        "settings": { "url": hub.url, "types": ["event.received"] },
    });
    client.post("/api/v1/connections", &new).await.done();
}

/// The message about an event whose own deliveries have ended, once its state is this one.
async fn message(client: &Client, about: Uuid, state: State) -> Delivery {
    settled(client, about).await;
    // It is no part of the way of the event, so the event does not show it.
    let told: Vec<Delivery> = all(client, "/api/v1/deliveries?connection=hub").await;
    let found = told.iter().find(|d| d.event_id == about).unwrap();
    assert_eq!(found.operation, "webhook.send");
    in_state(client, found.id, state).await
}

both! {
    async fn a_message_is_what_it_was_whatever_the_rules_say(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url)
            .source_with("alerts", json!({ "on_no_match": copy_to("sink") }));
        server.apply(&file.text()).await;
        let client = server.client();
        subscribe(&client, &hub).await;
        for rules in ["today", "then"] {
            hub.answer(400);
            let sent = server.anonymous().hook("alerts", &json!({ "n": rules })).await;
            let dead = message(&client, sent.event_ids[0], State::Dead).await;
            assert_eq!(dead.error_code.as_deref(), Some("http_400"));
            let taken = sink.counts().taken;
            let preview: DeadPreview = client.post(&format!("{DEAD}/preview"), &json!({})).await.ok();
            for outcome in [&preview.samples[0].today, &preview.samples[0].then] {
                assert_eq!(outcome.operations[0].operation, "webhook.send", "{outcome:?}");
            }
            hub.answer(200);
            let result = replay(&client, json!({ "rules": rules })).await;
            assert_eq!((result.count, result.failed), (1, 0), "{result:?}");
            drained(&server).await;
            let again = delivery(&client, delivery(&client, dead.id).await.replayed_as.unwrap()).await;
            assert_eq!((again.state, &again.message_id), (State::Delivered, &dead.message_id));
            assert_eq!(hub.seen()[&dead.message_id].count, 1);
            assert_eq!(sink.counts().taken, taken, "the default target was not told again");
        }
    }

    async fn a_message_is_no_step_that_was_made_before(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url)
            .source_with("alerts", json!({ "on_no_match": copy_to("sink") }))
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        subscribe(&client, &hub).await;
        sink.answer(400);
        let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
        message(&client, sent.event_ids[0], State::Delivered).await;
        sink.answer(200);
        // Without its rule the default target takes the event, for the first time.
        let rule = all::<Rule>(&client, "/api/v1/rules").await.remove(0);
        client.delete(&format!("/api/v1/rules/{}", rule.id), rule.revision).await.done();
        let result = replay(&client, json!({ "rules": "today" })).await;
        assert_eq!((result.count, result.failed), (1, 0), "{result:?}");
        drained(&server).await;
        let made = event(&client, sent.event_ids[0]).await.deliveries;
        let target: Vec<&Delivery> = made.iter()
            .filter(|d| d.rule_id.is_none() && d.operation == "http.request").collect();
        assert_eq!((target.len(), target[0].state), (1, State::Delivered), "{made:?}");
    }

    async fn a_step_that_was_done_never_stands_for_one_that_was_taken_out(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let client = server.client();
        // The second step goes by the same connection as the first, or by another one.
        for second in ["x", "y"] {
            let second = step(second, "/second");
            server.apply(&by(&sink, json!([step("x", "/first"), second])).text()).await;
            sink.fault(Fault::status(400).on("POST", "/first"));
            let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
            let before = settled(&client, sent.event_ids[0]).await.deliveries;
            let dead = before.iter().find(|d| d.state == State::Dead).unwrap();
            let done = before.iter().find(|d| d.state == State::Delivered).unwrap();
            assert_eq!((dead.step, done.step), (0, 1));

            server.apply(&by(&sink, json!([second])).text()).await;
            let preview: DeadPreview = client.post(&format!("{DEAD}/preview"), &json!({})).await.ok();
            assert_eq!(preview.samples[0].today.reason.as_deref(), Some("no_rule"));
            let today = replay(&client, json!({ "rules": "today" })).await;
            assert_eq!((today.count, today.reasons.get("no_rule")), (0, Some(&1)), "{today:?}");
            assert_eq!(sink.seen()[&done.message_id].count, 1, "it was done before");
            assert!(!sink.seen().contains_key(&dead.message_id));

            let then = replay(&client, json!({ "rules": "then" })).await;
            assert_eq!((then.count, then.failed), (1, 0), "{then:?}");
            drained(&server).await;
            assert!(sink.seen()[&dead.message_id].request.ends_with("/first"));
            assert_eq!(sink.seen()[&done.message_id].count, 1);
        }
    }

    async fn a_step_that_goes_elsewhere_now_is_another_message(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let client = server.client();
        server.apply(&by(&sink, json!([step("x", "/wrong"), step("x", "/second")])).text()).await;
        sink.fault(Fault::status(400).on("POST", "/wrong").times(2));
        let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
        settled(&client, sent.event_ids[0]).await;
        for mended in [step("x", "/wrong"), step("y", "/right")] {
            let old = all::<Delivery>(&client, &format!("{DEAD}/list")).await.remove(0);
            server.apply(&by(&sink, json!([mended, step("x", "/second")])).text()).await;
            let result = replay(&client, json!({ "rules": "today" })).await;
            assert_eq!((result.count, result.failed), (1, 0), "{result:?}");
            drained(&server).await;
            let new = delivery(&client, delivery(&client, old.id).await.replayed_as.unwrap()).await;
            // The same by the same connection is the same message.
            assert_eq!(new.message_id == old.message_id, new.connection == "x", "{new:?}");
        }
        let requests: Vec<String> = sink.seen().into_values().map(|seen| seen.request).collect();
        let count = |path: &str| requests.iter().filter(|request| request.ends_with(path)).count();
        assert_eq!((count("/right"), count("/second"), requests.len()), (1, 1, 2), "{requests:?}");
    }

    async fn what_was_rendered_for_a_connection_that_is_gone_is_not_sent(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let client = server.client();
        server.apply(&by(&sink, json!([step("x", "/first")])).text()).await;
        sink.answer(400);
        let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
        settled(&client, sent.event_ids[0]).await;
        let rule = all::<Rule>(&client, "/api/v1/rules").await.remove(0);
        client.delete(&format!("/api/v1/rules/{}", rule.id), rule.revision).await.done();
        for gone in all::<Connection>(&client, "/api/v1/connections").await {
            client.delete(&format!("/api/v1/connections/{}", gone.id), gone.revision).await.done();
        }
        let preview: DeadPreview = client.post(&format!("{DEAD}/preview"), &json!({})).await.ok();
        assert_eq!(preview.samples[0].again.reason.as_deref(), Some("connection_gone"));
        let result = replay(&client, json!({})).await;
        assert_eq!((result.count, result.reasons.get("connection_gone")), (0, Some(&1)), "{result:?}");
    }
}

/// A step to a path of the sink.
fn step(connection: &str, path: &str) -> Value {
    let mut step = copy_to(connection);
    step["deliver"]["map"]["params.to"] = json!({ "value": path.trim_start_matches('/') });
    step
}

/// Two connections to paths of the sink, and a rule with these steps.
fn by(sink: &FakeSink, then: Value) -> File {
    let url = format!("{}/{{{{ params.to }}}}", sink.url);
    File::new()
        .http("x", &url)
        .http("y", &url)
        .source("alerts")
        .rule("steps", json!([]), then)
}
