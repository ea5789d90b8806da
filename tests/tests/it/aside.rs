//! A lane that is too long to be set aside in the transaction in which its head fails.

use std::time::Duration;

use openapi::deliveries::DeadResult;
use openapi::webhooks::WebhookDelivery;
use serde_json::json;
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Server, both, wait_until, wait_until_within};

use crate::lanes::{arrived, sums_hold};
use crate::replays::{COUNT_DEAD, DEAD};
use crate::support::{OPEN, drained, job_ended};
use crate::webhooks::{data, subscribe, told, told_of};

/// More than are set aside at once, and in the first piece after that.
const LONG: u64 = 1_300;
const COUNTED: &str = "SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM stat_hour \
    WHERE metric = 'dead'";
/// Failed heads that stop their lanes until the rest is set aside.
const UNDER_WAY: &str = "SELECT COUNT(*) FROM delivery WHERE state = 'parked' AND due_at < 0";

/// A connection with lanes, and another one.
struct Sinks {
    lanes: FakeSink,
    other: FakeSink,
}

impl Sinks {
    async fn start() -> Self {
        Self {
            lanes: FakeSink::start().await.unwrap(),
            other: FakeSink::start().await.unwrap(),
        }
    }

    fn file(&self, enabled: bool) -> String {
        let mut step = copy_to("sink");
        step["deliver"]["key"] = json!("{{ lane }}");
        let park = json!({ "on_failure": "park", "enabled": enabled });
        File::new()
            .http_with("sink", &self.lanes.url, park)
            .http("other", &self.other.url)
            .source("alerts")
            .source("others")
            .rule_of("alerts", "copy", json!([]), json!([step]))
            .rule_of("others", "other", json!([]), json!([copy_to("other")]))
            .text()
    }

    /// Lets a lane wait, and then its head fail.
    async fn fail(&self, server: &Server, lane: &str) {
        server.apply(&self.file(false)).await;
        for n in 0..LONG {
            send(server, lane, n).await;
        }
        self.lanes.answer(400);
        server.apply(&self.file(true)).await;
    }

    /// All of the lanes is sent, in order.
    async fn replayed(&self, server: &Server, lanes: &[&str], count: u64) {
        self.lanes.answer(200);
        let client = server.client();
        let path = format!("{DEAD}/replay");
        let started: DeadResult = client.post(&path, &json!({})).await.ok();
        let job = job_ended(&client, started.job.unwrap().id).await;
        assert_eq!(job.failed, 0, "{job:?}");
        wait_until_within(Duration::from_secs(120), "all of it is sent", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        for lane in lanes {
            assert_eq!(arrived(&self.lanes, lane), (0..count).collect::<Vec<_>>());
        }
        sums_hold(server).await;
    }
}

async fn send(server: &Server, lane: &str, n: u64) {
    let payload = json!({ "lane": lane, "n": n });
    server.anonymous().hook("alerts", &payload).await;
}

/// How many were said to have gone with each head, where any did.
fn lanes_told(hub: &FakeSink) -> Vec<Option<i64>> {
    let dead = told(hub).remove("delivery.dead").unwrap_or_default();
    let dead = dead.iter().map(data::<WebhookDelivery>);
    let mut counts: Vec<_> = dead.map(|message| message.lane_dead).collect();
    counts.sort_unstable();
    counts
}

both! {
    async fn a_long_lane_is_set_aside_whole_while_others_go_on(db) {
        let sinks = Sinks::start().await;
        let hub = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        subscribe(&server.client(), "hub", &hub, json!({ "types": ["delivery.dead"] })).await;
        sinks.fail(&server, "a").await;
        wait_until("the head has failed", async || {
            (server.store.number(COUNT_DEAD).await > 0).then_some(())
        })
        .await;
        // Whether all of it is aside or not, this one is behind it.
        send(&server, "a", LONG).await;
        let all = i64::try_from(LONG).unwrap() + 1;
        let mut others = 0;
        wait_until("the whole lane is set aside", async || {
            server.anonymous().hook("others", &json!({})).await;
            others += 1;
            (server.store.number(COUNT_DEAD).await == all).then_some(())
        })
        .await;
        wait_until("the others arrived", async || {
            (sinks.other.counts().taken == others).then_some(())
        })
        .await;
        assert_eq!(sinks.lanes.counts().requests, 1, "only the head was sent");
        assert_eq!(server.store.number(UNDER_WAY).await, 0);
        assert_eq!(server.store.number(COUNTED).await, all);
        let failed = "SELECT COUNT(*) FROM delivery WHERE error_code = 'lane_failed' \
            AND lane_parked AND finished_at IS NOT NULL";
        assert_eq!(server.store.number(failed).await, all - 1);
        // The one that came late is told by itself.
        told_of(&hub, "delivery.dead", 2).await;
        drained(&server).await;
        assert_eq!(lanes_told(&hub), [None, Some(all - 2)]);
        sinks.replayed(&server, &["a"], LONG + 1).await;
    }

    async fn a_kill_while_a_lane_is_set_aside_costs_nothing(db) {
        let sinks = Sinks::start().await;
        let hub = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        subscribe(&server.client(), "hub", &hub, json!({ "types": ["delivery.dead"] })).await;
        let lanes = ["a", "b", "c"];
        let long = i64::try_from(LONG).unwrap();
        let mut all = 0;
        // Whoever looks may come too late: then with another lane.
        for (nth, lane) in lanes.iter().enumerate() {
            sinks.fail(&server, lane).await;
            let before = all;
            all += long;
            wait_until("it is under way, or over", async || {
                let begun = server.store.number(UNDER_WAY).await > 0;
                (begun || server.store.number(COUNT_DEAD).await > before).then_some(())
            })
            .await;
            server.kill();
            let caught = server.store.number(UNDER_WAY).await > 0;
            server.resume().await;
            wait_until("the whole lane is set aside", async || {
                (server.store.number(COUNT_DEAD).await == all).then_some(())
            })
            .await;
            assert_eq!(server.store.number(COUNTED).await, all, "each is counted once");
            if caught {
                drained(&server).await;
                assert_eq!(lanes_told(&hub), vec![Some(long - 1); nth + 1]);
                sinks.replayed(&server, &lanes[..=nth], LONG).await;
                return;
            }
        }
        panic!("it was over each time");
    }
}
