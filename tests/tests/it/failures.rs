//! Upstreams that fail: retries, dead letters, connections that need attention.

use openapi::connections::{Connection, TestResult};
use openapi::deliveries::{DeadGroup, DeadResult, Delivery, ReplayedDelivery, State};
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{all, delivered, delivery, drained, event, in_state, settled};

const DEAD: &str = "/api/v1/dead-letters";

fn to(sink: &FakeSink) -> String {
    File::new()
        .http("sink", &sink.url)
        .source("alerts")
        .rule("copy", json!([]), json!([copy_to("sink")]))
        .text()
}

/// Sends this many events; the ids of their deliveries.
async fn send(server: &Server, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for n in 0..count {
        let sent = server.anonymous().hook("alerts", &json!({ "n": n })).await;
        let event = event(&server.client(), sent.event_ids[0]).await;
        ids.push(event.deliveries[0].id);
    }
    ids
}

async fn connection(client: &Client) -> Connection {
    all::<Connection>(client, "/api/v1/connections")
        .await
        .remove(0)
}

both! {
    async fn dead_letters_are_grouped_replayed_and_discarded(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink)).await;
        let client = server.client();
        sink.answer(400);
        let ids = send(&server, 4).await;
        for id in &ids {
            let dead = in_state(&client, *id, State::Dead).await;
            assert_eq!((dead.attempts, dead.error_code.as_deref()), (1, Some("http_400")));
        }
        let [group] = all::<DeadGroup>(&client, DEAD).await.try_into().unwrap();
        assert_eq!((group.error_code.as_str(), group.connection.as_str(), group.count), ("http_400", "sink", 4));
        let listed: Vec<Delivery> = all(&client, &format!("{DEAD}/list?error_code=http_400")).await;
        assert_eq!(listed.len(), 4);

        sink.answer(200);
        let one: ReplayedDelivery = client
            .post(&format!("/api/v1/deliveries/{}/replay", ids[0]), &json!({})).await.ok();
        let repeat = in_state(&client, one.delivery_id, State::Delivered).await;
        let old = delivery(&client, ids[0]).await;
        assert_eq!((repeat.replay_of, old.replayed_as), (Some(ids[0]), Some(one.delivery_id)));
        assert_eq!(old.state, State::Superseded);
        assert_eq!(repeat.message_id, old.message_id, "a repeat carries the same message id");

        let by_filter = json!({ "error_code": "http_400", "ids": [ids[1], ids[2]] });
        let replayed: DeadResult = client.post(&format!("{DEAD}/replay"), &by_filter).await.ok();
        assert_eq!(replayed.count, 2);
        let none: DeadResult = client
            .post(&format!("{DEAD}/replay"), &json!({ "error_code": "timeout" })).await.ok();
        assert_eq!(none.count, 0);
        let discarded: DeadResult = client.post(&format!("{DEAD}/discard"), &json!({})).await.ok();
        assert_eq!(discarded.count, 1);
        assert_eq!(delivery(&client, ids[3]).await.state, State::Discarded);
        drained(&server).await;
        assert!(all::<DeadGroup>(&client, DEAD).await.is_empty());
        assert_eq!(sink.seen().len(), 3);
    }

    async fn retry_after_is_honoured(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink)).await;
        sink.fault(Fault::too_many(2));
        let sent = server.anonymous().hook("alerts", &json!({})).await;
        let done = delivered(&server.client(), sent.event_ids[0]).await;
        let [first, second] = done.attempt_log.try_into().unwrap();
        assert_eq!((first.status, second.status), (Some(429), Some(200)));
        let waited = (second.started_at - first.started_at).num_milliseconds();
        assert!(waited >= 2000, "the upstream asked for 2 s and got {waited} ms");
    }

    async fn a_burst_of_failures_recovers(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink)).await;
        sink.answer(503);
        let ids = send(&server, 30).await;
        wait_until("every delivery has failed once", async || {
            let tried = server.store.number("SELECT COUNT(*) FROM delivery WHERE attempts > 0").await;
            // The breaker lets only a few through.
            (tried >= 10).then_some(())
        }).await;
        sink.answer(200);
        drained(&server).await;
        let client = server.client();
        let seen = sink.seen();
        for id in ids {
            let done = delivery(&client, id).await;
            assert_eq!(done.state, State::Delivered);
            assert_eq!(seen[&done.message_id].count, 1);
        }
    }

    async fn refused_credentials_pause_the_connection_until_a_test_passes(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink)).await;
        let client = server.client();
        sink.answer(401);
        let first = send(&server, 1).await;
        in_state(&client, first[0], State::Paused).await;
        assert_eq!(connection(&client).await.state, "attention");
        let asked = sink.counts().requests;
        let more = send(&server, 3).await;
        for id in &more {
            in_state(&client, *id, State::Paused).await;
        }
        assert_eq!(sink.counts().requests, asked, "nobody knocks at a closed door");

        let test = format!("/api/v1/connections/{}/test", connection(&client).await.id);
        let failed: TestResult = client.post(&test, &json!({})).await.ok();
        assert!(!failed.ok);
        assert_eq!(delivery(&client, first[0]).await.state, State::Paused);
        sink.answer(200);
        let passed: TestResult = client.post(&test, &json!({})).await.ok();
        assert!(passed.ok, "{passed:?}");
        for id in first.iter().chain(&more) {
            in_state(&client, *id, State::Delivered).await;
        }
        assert_eq!(connection(&client).await.state, "ok");
    }

    async fn a_lane_keeps_its_order_through_failures(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let mut step = copy_to("sink");
        step["deliver"]["key"] = json!("{{ lane }}");
        let file = File::new().http("sink", &sink.url).source("alerts").rule("copy", json!([]), json!([step]));
        server.apply(&file.text()).await;
        for _ in 0..4 {
            sink.fault(Fault::status(500));
            sink.fault(Fault::new(Effect::Delay));
            sink.fault(Fault::new(Effect::Cut));
            sink.fault(Fault::new(Effect::LoseReply));
        }
        for n in 0..40 {
            server.anonymous().hook("alerts", &json!({ "lane": n % 2, "n": n })).await;
        }
        drained(&server).await;
        for lane in 0..2 {
            let mut arrived: Vec<(u64, u64)> = sink.seen().values()
                .map(|seen| (seen.first_at_us, serde_json::from_str::<Value>(&seen.body).unwrap()))
                .filter(|(_, body)| body["lane"] == lane)
                .map(|(at, body)| (at, body["n"].as_u64().unwrap()))
                .collect();
            arrived.sort_unstable();
            let order: Vec<u64> = arrived.into_iter().map(|(_, n)| n).collect();
            let expected: Vec<u64> = (0..40).filter(|n| n % 2 == lane).collect();
            assert_eq!(order, expected, "lane {lane}");
        }
    }

    async fn a_private_address_is_called_only_where_it_is_allowed(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            .http_with("sink", &sink.url, json!({ "allow_private": false }))
            .source("alerts")
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let sent = server.anonymous().hook("alerts", &json!({})).await;
        let event = settled(&server.client(), sent.event_ids[0]).await;
        assert_eq!(event.deliveries[0].state, State::Dead, "{event:?}");
        assert_eq!(sink.counts().requests, 0);
        server.client()
            .post(&format!("/api/v1/deliveries/{}/release", event.deliveries[0].id), &json!({}))
            .await
            .problem(Code::Conflict);
    }
}
