//! What was delivered is done once more when somebody says so, and stays delivered.

use openapi::deliveries::{Delivery, ReplayedDelivery, State};
use openapi::problem::Code;
use serde_json::json;
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Server, both};
use uuid::Uuid;

use crate::lanes::{arrived, in_lanes, send, sums_hold, tickets};
use crate::replays::audited;
use crate::support::{SECRETS, all, delivered, delivery, drained, in_state};

async fn once_more(client: &Client, id: Uuid) -> Uuid {
    let path = format!("/api/v1/deliveries/{id}/replay");
    let asked = json!({ "repeat_delivered": true });
    let made: ReplayedDelivery = client.post(&path, &asked).await.ok();
    assert_eq!(made.count, 1);
    made.delivery_id
}

/// A sink, the server that sends to it, and the one delivery that it took.
async fn sent_once(db: Database) -> (FakeSink, Server, Client, Delivery) {
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start(db).await;
    let file = File::new().http("sink", &sink.url).source("alerts").rule(
        "copy",
        json!([]),
        json!([copy_to("sink")]),
    );
    server.apply(&file.text()).await;
    let client = server.client();
    let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
    let done = delivered(&client, sent.event_ids[0]).await;
    (sink, server, client, done)
}

both! {
    async fn what_was_delivered_is_repeated_only_when_that_is_confirmed(db) {
        let (sink, server, client, old) = sent_once(db).await;
        let path = format!("/api/v1/deliveries/{}/replay", old.id);
        for unconfirmed in [json!({}), json!({ "repeat_delivered": false })] {
            let problem = client.post(&path, &unconfirmed).await.problem(Code::AlreadyDelivered);
            assert_eq!(problem.errors[0].field, "repeat_delivered");
        }
        client.post(&path, &json!({ "repeat": true })).await.problem(Code::ValidationFailed);
        assert_eq!(sink.counts().taken, 1);

        let first = once_more(&client, old.id).await;
        let again = in_state(&client, first, State::Delivered).await;
        assert_eq!((again.replay_of, &again.message_id, &again.fields), (Some(old.id), &old.message_id, &old.fields));
        let seen = &sink.seen()[&old.message_id];
        assert_eq!((seen.count, seen.bodies), (2, 1), "the same bytes under the same id");
        let kept = delivery(&client, old.id).await;
        assert_eq!((kept.state, kept.replayed_as, kept.finished_at), (State::Delivered, Some(first), old.finished_at));
        let line = audited(&client, "delivery.replay").await.remove(0);
        assert_eq!((line.subject_id, &line.after["was"]), (Some(old.id), &json!("delivered")));
        assert_eq!(line.after["delivery_id"], json!(first));

        // Each time anew, and never two at once.
        sink.fault(Fault::new(Effect::Hang));
        let second = once_more(&client, old.id).await;
        client.post(&path, &json!({ "repeat_delivered": true })).await.problem(Code::Conflict);
        assert_eq!(delivery(&client, old.id).await.replayed_as, Some(second));
        // A dead letter of it is one like any other.
        client.post(&path, &json!({})).await.problem(Code::AlreadyDelivered);
        sums_hold(&server).await;
    }

    async fn two_who_repeat_what_was_delivered_repeat_it_once(db) {
        let (sink, server, client, old) = sent_once(db).await;
        sink.fault(Fault::new(Effect::Hang).times(0));
        let path = format!("/api/v1/deliveries/{}/replay", old.id);
        let asked = json!({ "repeat_delivered": true });
        let (a, b, c) = tokio::join!(client.post(&path, &asked), client.post(&path, &asked), client.post(&path, &asked));
        let taken = [a, b, c].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(taken, 1);
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery").await, 2);
    }

    async fn a_repeat_goes_to_the_end_of_its_lane_and_by_the_ledger(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let client = server.client();
        let alert = json!({ "key": "web1", "state": "down" });
        let sent = server.anonymous().hook("alerts", &alert).await;
        let opened = delivered(&client, sent.event_ids[0]).await;
        assert_eq!(opened.effect.as_deref(), Some("created"));
        // While its ticket is open, an open that is repeated is noted on it.
        let again = in_state(&client, once_more(&client, opened.id).await, State::Delivered).await;
        assert_eq!((again.effect.as_deref(), &again.record_id), (Some("noted"), &opened.record_id));
        assert_eq!(desk.tickets().len(), 1);
        // Behind what waits in its lane.
        desk.fault(Fault { latency_ms: 700, ..Fault::new(Effect::Delay) });
        server.anonymous().hook("alerts", &json!({ "key": "web1", "state": "up" })).await;
        let last = once_more(&client, opened.id).await;
        assert!(delivery(&client, last).await.behind);
        drained(&server).await;
        let effects: Vec<Delivery> = all(&client, "/api/v1/deliveries").await;
        let effects: Vec<_> = effects.iter().rev().map(|d| d.effect.as_deref().unwrap()).collect();
        assert_eq!(effects, ["created", "noted", "closed", "created"]);
        sums_hold(&server).await;
    }

    async fn a_repeat_does_not_pass_a_lane_that_was_set_aside(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "park" }))).await;
        let client = server.client();
        let done = send(&server, "a", 0).await;
        in_state(&client, done, State::Delivered).await;
        sink.fault(Fault::status(400));
        let failed = send(&server, "a", 1).await;
        in_state(&client, failed, State::Dead).await;
        let again = once_more(&client, done).await;
        assert!(in_state(&client, again, State::Dead).await.lane_parked);
        let path = format!("/api/v1/deliveries/{failed}/replay");
        let lane: ReplayedDelivery = client.post(&path, &json!({})).await.ok();
        assert_eq!(lane.count, 2);
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0, 1]);
        assert_eq!(sink.counts().taken, 3, "the repeat came last");
        assert_eq!(delivery(&client, done).await.state, State::Delivered);
        sums_hold(&server).await;
    }
}
