//! Lanes that were set aside with a failed head: whatever names one of them takes all of it, in order,
//! as a few at once, as a job, with a rate, and while more comes in.

use openapi::connections::Connection;
use openapi::deliveries::{DeadPreview, DeadResult, Delivery, ReplayedDelivery, State};
use openapi::jobs::JobState;
use openapi::page::Page;
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::{FakeSink, Fault};
use tests::{Database, Server, both, wait_until};
use uuid::Uuid;

use crate::lanes::{arrived, in_lanes, post, send, sums_hold};
use crate::replays::{COUNT_DEAD, DEAD, job};
use crate::support::{all, delivery, drained, in_state, job_ended};

/// A lane of so many that was set aside: the first was refused, the others waited behind it.
async fn aside(db: Database, count: u64) -> (FakeSink, Server, Vec<Uuid>) {
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start(db).await;
    server
        .apply(&in_lanes(&sink, json!({ "on_failure": "park" })))
        .await;
    sink.fault(Fault::status(400));
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(send(&server, "a", n).await);
    }
    dead(&server, count).await;
    (sink, server, ids)
}

async fn dead(server: &Server, count: u64) {
    let count = i64::try_from(count).unwrap();
    wait_until("all are dead", async || {
        (server.store.number(COUNT_DEAD).await == count).then_some(())
    })
    .await;
}

async fn replay(server: &Server, asked: Value) -> DeadResult {
    let path = format!("{DEAD}/replay");
    server.client().post(&path, &asked).await.ok()
}

/// All of it arrived, in order, and the lane is free again.
async fn all_arrived(server: &Server, sink: &FakeSink, count: u64) {
    drained(server).await;
    assert_eq!(server.store.number(COUNT_DEAD).await, 0);
    assert_eq!(arrived(sink, "a"), (0..count).collect::<Vec<_>>());
    let next = send(server, "a", count).await;
    in_state(&server.client(), next, State::Delivered).await;
    sums_hold(server).await;
}

both! {
    async fn whichever_is_named_takes_its_lane_along(db) {
        let (sink, server, ids) = aside(db, 4).await;
        let client = server.client();
        // Followers alone, as the console groups them by their cause.
        let followers = json!({ "error_code": "lane_failed" });
        let preview: DeadPreview = client.post(&format!("{DEAD}/preview"), &followers).await.ok();
        assert_eq!((preview.count, preview.with_lanes), (4, 1));
        let causes: Vec<(&str, i64)> = preview.causes.iter().map(|c| (c.name.as_str(), c.count)).collect();
        assert_eq!(causes, [("lane_failed", 3), ("http_400", 1)]);
        let last: DeadPreview = client.post(&format!("{DEAD}/preview"), &json!({ "ids": [ids[3]] })).await.ok();
        assert_eq!((last.count, last.with_lanes), (4, 3));
        let result = replay(&server, followers).await;
        assert_eq!((result.count, result.failed), (4, 0), "{result:?}");
        all_arrived(&server, &sink, 4).await;
    }

    async fn a_lane_that_fails_again_is_not_continued_past_it(db) {
        let (sink, server, _) = aside(db, 4).await;
        let client = server.client();
        sink.fault(Fault::status(400));
        let started = replay(&server, json!({ "per_second": 1 })).await;
        assert_eq!(started.count, 4);
        let stopped = job_ended(&client, started.job.unwrap().id).await;
        assert_eq!((stopped.state, stopped.total, stopped.done + stopped.failed), (JobState::Done, 4, 4));
        // Each second one more is sent behind it until it has failed.
        assert_eq!(stopped.reasons.get("lane_stopped"), Some(&stopped.failed), "{stopped:?}");
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0_u64; 0], "nothing overtook it");
        assert_eq!(server.store.number(COUNT_DEAD).await, 4);
        // The first is the first again, though its repeat is the newest.
        let result = replay(&server, json!({})).await;
        assert_eq!((result.count, result.failed), (4, 0), "{result:?}");
        all_arrived(&server, &sink, 4).await;
    }

    async fn a_lane_longer_than_a_commit_keeps_its_order_when_it_fails_again(db) {
        let (sink, server, ids) = aside(db, 230).await;
        let client = server.client();
        sink.answer(400);
        let started = replay(&server, json!({ "ids": [ids[7]] })).await;
        let failed = job_ended(&client, started.job.unwrap().id).await;
        assert_eq!((failed.total, failed.done + failed.failed), (230, 230), "{failed:?}");
        dead(&server, 230).await;
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0_u64; 0]);
        // The same by hand, of one of them.
        let newest: Page<Delivery> = client.read(&format!("{DEAD}/list?limit=1")).await;
        let id = newest.items[0].id;
        sink.answer(200);
        let again: ReplayedDelivery = client.post(&format!("/api/v1/deliveries/{id}/replay"), &json!({})).await.ok();
        assert_eq!(again.count, 230);
        all_arrived(&server, &sink, 230).await;
    }

    async fn what_joins_a_lane_while_it_is_replayed_is_replayed_with_it(db) {
        let (sink, server, ids) = aside(db, 3).await;
        let client = server.client();
        let started = replay(&server, json!({ "ids": [ids[0]], "per_minute": 30 })).await;
        let id = started.job.unwrap().id;
        wait_until("the first is replayed", async || (job(&client, id).await.done > 0).then_some(())).await;
        let late = send(&server, "a", 3).await;
        assert!(in_state(&client, late, State::Dead).await.lane_parked);
        let done = job_ended(&client, id).await;
        assert_eq!((done.total, done.done, done.failed), (4, 4, 0), "{done:?}");
        all_arrived(&server, &sink, 4).await;
    }

    async fn nothing_is_taken_of_a_lane_that_is_still_being_set_aside(db) {
        let (sink, server, ids) = aside(db, 4).await;
        let client = server.client();
        // As the journal leaves the head of a long lane, but without the timer.
        let stopped = "UPDATE delivery SET state = 'parked', due_at = -1, finished_at = NULL \
            WHERE error_code = 'http_400'";
        server.store.run(stopped).await;
        for (id, what) in [(ids[0], "retry"), (ids[0], "discard"), (ids[0], "replay"), (ids[2], "replay")] {
            let path = format!("/api/v1/deliveries/{id}/{what}");
            client.post(&path, &json!({})).await.problem(Code::Conflict);
        }
        let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
        let path = format!("/api/v1/connections/{}/retry-parked", connections[0].id);
        let heads: DeadResult = client.post(&path, &json!({})).await.ok();
        assert_eq!((heads.count, heads.failed), (0, 0), "{heads:?}");
        let result = replay(&server, json!({})).await;
        assert_eq!((result.count, result.failed), (0, 3), "{result:?}");
        assert_eq!(result.reasons["lane_stopped"], 3);
        let late = send(&server, "a", 4).await;
        assert!(in_state(&client, late, State::Dead).await.lane_parked);
        assert_eq!(arrived(&sink, "a"), [0_u64; 0]);

        let timer = format!(
            "INSERT INTO timer (kind, key, due_at, owner, fence, failures) \
             VALUES ('lane_aside', '{}', 0, NULL, 0, 0)",
            ids[0]
        );
        server.store.run(&timer).await;
        assert!(in_state(&client, ids[0], State::Dead).await.lane_parked);
        let result = replay(&server, json!({})).await;
        assert_eq!((result.count, result.failed), (5, 0), "{result:?}");
        all_arrived(&server, &sink, 5).await;
    }

    async fn many_short_lanes_share_their_commits(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "park" }))).await;
        sink.answer(400);
        for n in 0..120 {
            send(&server, &format!("lane {}", n % 60), n).await;
        }
        dead(&server, 120).await;
        sink.answer(200);
        let started = replay(&server, json!({})).await;
        let done = job_ended(&server.client(), started.job.unwrap().id).await;
        assert_eq!((done.done, done.failed), (120, 0), "{done:?}");
        drained(&server).await;
        for lane in 0..60 {
            assert_eq!(arrived(&sink, &format!("lane {lane}")), [lane, lane + 60]);
        }
    }

    async fn a_repeat_of_something_else_waits_behind_a_lane_that_is_aside(db) {
        let (sink, server, ids) = aside(db, 3).await;
        let client = server.client();
        post(&server, ids[1], "discard").await;
        let again: ReplayedDelivery = client
            .post(&format!("/api/v1/deliveries/{}/replay", ids[1]), &json!({})).await.ok();
        let waits = delivery(&client, again.delivery_id).await;
        assert_eq!((waits.state, waits.lane_parked, waits.replay_of), (State::Dead, true, Some(ids[1])));
        assert_eq!(waits.error_code.as_deref(), Some("lane_failed"));
        let result = replay(&server, json!({ "ids": [again.delivery_id] })).await;
        assert_eq!((result.count, result.failed), (3, 0), "{result:?}");
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0, 2, 1], "at the end of its lane");
        sums_hold(&server).await;
    }
}
