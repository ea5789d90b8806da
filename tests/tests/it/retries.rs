//! When a delivery is tried again: schedules, statuses, `Retry-After`, and what is shown of it.

use openapi::connections::{Connection, Waiting};
use openapi::deliveries::{Delivery, State};
use openapi::problem::{Code, Problem};
use serde_json::{Value, json};
use tests::fakes::{FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{all, delivery, event, in_state};

/// An `http` connection with this retry policy alone.
fn with(sink: &FakeSink, retry: Value) -> String {
    let own = json!({
        "allow_private": true,
        "settings": { "url": sink.url },
        "retry": retry,
    });
    File::new()
        .connection("sink", "http", own)
        .source("alerts")
        .rule("copy", json!([]), json!([copy_to("sink")]))
        .text()
}

async fn send(server: &Server) -> Uuid {
    let sent = server.anonymous().hook("alerts", &json!({})).await;
    let event = event(&server.client(), sent.event_ids[0]).await;
    event.deliveries[0].id
}

async fn connection(client: &Client) -> Connection {
    all::<Connection>(client, "/api/v1/connections")
        .await
        .remove(0)
}

fn gaps(delivery: &Delivery) -> Vec<i64> {
    delivery
        .attempt_log
        .windows(2)
        .map(|pair| (pair[1].started_at - pair[0].started_at).num_milliseconds())
        .collect()
}

both! {
    async fn listed_waits_come_one_after_the_other(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&with(&sink, json!({ "waits_seconds": [0.3, 0.9], "jitter": 0 }))).await;
        sink.answer(500);
        let id = send(&server).await;
        let dead = in_state(&server.client(), id, State::Dead).await;
        assert_eq!(dead.attempts, 3, "one, and one after each wait");
        let gaps = gaps(&dead);
        assert!(gaps[0] >= 300 && gaps[1] >= 900, "{gaps:?}");
    }

    async fn what_will_happen_is_shown(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&with(&sink, json!({ "waits_seconds": [600, 1200, 3600], "jitter": 0 }))).await;
        let client = server.client();
        sink.answer(500);
        let id = send(&server).await;
        let waits = in_state(&client, id, State::Retrying).await;
        let first = waits.attempt_log[0].started_at;
        let after = |at: chrono::DateTime<chrono::Utc>| (at - first).num_seconds();
        assert!((600..610).contains(&after(waits.due_at.unwrap())), "{waits:?}");
        let schedule: Vec<i64> = waits.schedule.iter().map(|at| after(*at)).collect();
        assert_eq!(schedule.len(), 2, "{schedule:?}");
        assert!((1800..1810).contains(&schedule[0]) && (5400..5410).contains(&schedule[1]), "{schedule:?}");
        assert_eq!(waits.gives_up_at, waits.schedule.last().copied());

        let path = format!("/api/v1/connections/{}/waiting", connection(&client).await.id);
        let waiting: Waiting = client.read(&path).await;
        assert_eq!((waiting.retrying, waiting.ready, waiting.paused), (1, 0, 0));
        let [next] = waiting.next.try_into().unwrap();
        assert_eq!((next.delivery_id, Some(next.at), next.attempts), (id, waits.due_at, 1));

        sink.answer(200);
        let now: Delivery = client.post(&format!("/api/v1/deliveries/{id}/retry"), &json!({})).await.ok();
        assert_ne!(now.state, State::Retrying);
        in_state(&client, id, State::Delivered).await;
        client.post(&format!("/api/v1/deliveries/{id}/retry"), &json!({})).await.problem(Code::Conflict);
        let waiting: Waiting = client.read(&path).await;
        assert_eq!((waiting.retrying, waiting.oldest_at), (0, None));
    }

    async fn listed_statuses_win_over_the_connector(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let retry = json!({
            "first_seconds": 0.05, "max_seconds": 0.2,
            "permanent": [500, "502-503"], "retried": ["404", 400],
        });
        server.apply(&with(&sink, retry)).await;
        let client = server.client();
        sink.answer(500);
        let id = send(&server).await;
        assert_eq!(in_state(&client, id, State::Dead).await.attempts, 1);
        for status in [404, 400] {
            sink.answer(status);
            let id = send(&server).await;
            wait_until("it was tried more than once", async || {
                Some(delivery(&client, id).await).filter(|d| d.attempts > 2)
            }).await;
            sink.answer(200);
            in_state(&client, id, State::Delivered).await;
        }
    }

    async fn what_the_upstream_asks_for_is_heard_as_far_as_it_may_ask(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let retry = |most: f64| json!({ "first_seconds": 0.05, "jitter": 0, "retry_after_max_seconds": most });
        server.apply(&with(&sink, retry(2.0))).await;
        let client = server.client();
        sink.fault(Fault::too_many(60));
        let id = send(&server).await;
        let done = in_state(&client, id, State::Delivered).await;
        assert!((2000..20_000).contains(&gaps(&done)[0]), "{:?}", gaps(&done));

        server.apply(&with(&sink, retry(0.0))).await;
        let mut unavailable = Fault::too_many(60);
        unavailable.effect = tests::fakes::Effect::Status { status: 503, retry_after: Some("60".to_owned()) };
        sink.fault(unavailable);
        let id = send(&server).await;
        let done = in_state(&client, id, State::Delivered).await;
        assert!(gaps(&done)[0] < 20_000, "{:?}", gaps(&done));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_policy_is_refused_where_it_is_faulty() {
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start(Database::Sqlite).await;
    server.apply(&with(&sink, json!({}))).await;
    let client = server.client();
    let saved = connection(&client).await;
    let change = async |body: Value| {
        client
            .call(
                reqwest::Method::PATCH,
                &format!("/api/v1/connections/{}", saved.id),
            )
            .revision(saved.revision)
            .json(&body)
            .send()
            .await
    };
    for (retry, field) in [
        (json!({ "waits_seconds": [1, 0] }), "retry.waits_seconds[1]"),
        (
            json!({ "waits_seconds": [1], "factor": 2 }),
            "retry.waits_seconds",
        ),
        (json!({ "jitter": 1.5 }), "retry.jitter"),
        (
            json!({ "retry_after_max_seconds": -1 }),
            "retry.retry_after_max_seconds",
        ),
        (json!({ "permanent": [404, "often"] }), "retry.permanent[1]"),
        (json!({ "retried": ["700"] }), "retry.retried[0]"),
    ] {
        let answer = change(json!({ "retry": retry })).await;
        let problem: Problem = answer.json();
        assert_eq!(problem.errors[0].field, field, "{problem:?}");
        assert!(!answer.text().contains("often"), "nothing is echoed");
        answer.problem(Code::ValidationFailed);
    }
    change(json!({ "on_failure": "stop" }))
        .await
        .problem(Code::ValidationFailed);
    let wanted = json!({
        "retry": { "waits_seconds": [5.0, 30.0], "permanent": ["4xx"], "retried": ["404"] },
        "on_failure": "block",
        "coalesce": false,
    });
    let changed: Connection = change(wanted.clone()).await.ok();
    let changed = serde_json::to_value(changed).unwrap();
    for key in ["retry", "on_failure", "coalesce"] {
        assert_eq!(changed[key], wanted[key], "{key}");
    }
    let exported = server.cli(&["export"]).await;
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert!(
        exported.contains("on_failure: block") && exported.contains("coalesce: false"),
        "{exported}"
    );
}
