//! What a carrier does with one connection: whom it calls next, and what it learns from the answers.

use std::time::{Duration, Instant};

use openapi::connections::{Connection, TestResult};
use openapi::deliveries::{ReplayedDelivery, State};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Server, both, wait_until, wait_until_within};
use uuid::Uuid;

use crate::support::{all, delivery, event, in_state};

/// Retries that come too late for a test, unless something calls them.
fn late() -> Value {
    json!({ "first_seconds": 600, "max_seconds": 600, "horizon_seconds": 86_400 })
}

/// A connection `sink` to it, with these keys, and a source `alerts` that is copied to it.
fn to(sink: &FakeSink, more: Value) -> String {
    File::new()
        .http_with("sink", &sink.url, more)
        .source("alerts")
        .rule("copy", json!([]), json!([copy_to("sink")]))
        .text()
}

async fn send(server: &Server, n: u32) -> Uuid {
    let sent = server.anonymous().hook("alerts", &json!({ "n": n })).await;
    let event = event(&server.client(), sent.event_ids[0]).await;
    event.deliveries[0].id
}

async fn connection(client: &Client) -> Connection {
    all::<Connection>(client, "/api/v1/connections")
        .await
        .remove(0)
}

async fn breaker_is(client: &Client, state: &str) -> Connection {
    wait_until(&format!("the breaker is {state}"), async || {
        Some(connection(client).await).filter(|c| c.breaker.state == state)
    })
    .await
}

async fn change(client: &Client, change: Value) -> Connection {
    let saved = connection(client).await;
    client
        .call(
            reqwest::Method::PATCH,
            &format!("/api/v1/connections/{}", saved.id),
        )
        .revision(saved.revision)
        .json(&change)
        .send()
        .await
        .ok()
}

/// So many retries that were due long ago, as copies of a delivery that was tried.
async fn old_retries(server: &Server, db: Database, of: Uuid, many: u32) {
    let random = match db {
        Database::Sqlite => "randomblob(16)",
        Database::Postgres => "gen_random_uuid()",
    };
    let text = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) \
         INSERT INTO delivery (id, workspace_id, event_id, correlation_id, received_at, rule_id, \
         rule_name, rule_revision, step, connection_id, operation, lane, action, fields, \
         message_id, state, behind, due_at, fence, attempts, unsure, created_at, updated_at) \
         SELECT {random}, d.workspace_id, d.event_id, d.correlation_id, d.received_at, d.rule_id, \
         d.rule_name, d.rule_revision, d.step, d.connection_id, d.operation, d.lane, d.action, \
         d.fields, 'old-' || n.i, 'retrying', FALSE, d.created_at, 0, 1, FALSE, d.created_at, \
         d.created_at FROM n CROSS JOIN (SELECT * FROM delivery WHERE id = $1) d"
    );
    let store = server.store.connect().await;
    let statement = Statement::from_sql_and_values(store.get_database_backend(), text, [of.into()]);
    store.execute_raw(statement).await.unwrap();
    store.close().await.unwrap();
}

both! {
    async fn a_probe_that_hangs_holds_up_no_other(db) {
        let sink = FakeSink::start().await.unwrap();
        // It opens with the last of them, so that nothing but retries is left.
        let server = Server::start_with(db, Options::default().set("breaker_failures", 20)).await;
        server.apply(&to(&sink, json!({ "retry": late() }))).await;
        let client = server.client();
        sink.set_down(true);
        for n in 0..20 {
            send(&server, n).await;
        }
        breaker_is(&client, "open").await;
        let fresh = "SELECT COUNT(*) FROM delivery WHERE attempts = 0";
        assert_eq!(server.store.number(fresh).await, 0);
        // From now on nobody gets an answer; a call would wait half a minute for it.
        sink.fault(Fault::new(Effect::Hang).times(0));
        sink.set_down(false);
        let asked = sink.counts().requests;
        let since = Instant::now();
        wait_until_within(Duration::from_secs(12), "it is asked once a second", async || {
            (sink.counts().requests >= asked + 8).then_some(())
        })
        .await;
        assert!(since.elapsed() >= Duration::from_secs(6), "and not more often: {:?}", since.elapsed());
        sink.mend();
        let back = Instant::now();
        wait_until("the first arrives", async || (sink.counts().taken > 0).then_some(())).await;
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        // All but those that hang; they get no answer any more.
        wait_until_within(Duration::from_secs(10), "the others follow", async || {
            (sink.counts().ids >= 8).then_some(())
        })
        .await;
        breaker_is(&client, "closed").await;
    }

    async fn fresh_work_is_called_among_old_retries(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, json!({ "retry": late(), "rate_per_minute": 600 }))).await;
        let client = server.client();
        sink.answer(500);
        let first = send(&server, 0).await;
        in_state(&client, first, State::Retrying).await;
        sink.answer(200);
        old_retries(&server, db, first, 3_000).await;
        // The burst is over: ten a second from now on.
        wait_until("they are carried", async || (sink.counts().taken >= 70).then_some(())).await;
        for n in 1..4 {
            let before = sink.counts().taken;
            let id = send(&server, n).await;
            in_state(&client, id, State::Delivered).await;
            let calls = sink.counts().taken - before;
            assert!(calls <= 20, "it was called after {calls} others");
        }
        let waiting = "SELECT COUNT(*) FROM delivery WHERE state IN ('retrying', 'leased')";
        assert!(server.store.number(waiting).await > 2_000);
    }

    async fn a_breaker_that_opens_at_the_first_failure_closes_at_the_first_success(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start_with(db, Options::default().set("breaker_failures", 1)).await;
        server.apply(&to(&sink, json!({ "retry": late() }))).await;
        let client = server.client();
        sink.set_down(true);
        let mut ids = Vec::new();
        for n in 0..3 {
            ids.push(send(&server, n).await);
        }
        breaker_is(&client, "open").await;
        wait_until("one was tried", async || (sink.counts().requests > 1).then_some(())).await;
        sink.set_down(false);
        for id in ids {
            in_state(&client, id, State::Delivered).await;
        }
        breaker_is(&client, "closed").await;
        server.restart().await;
        assert_eq!(connection(&client).await.breaker.state, "closed");
    }

    async fn an_open_breaker_takes_no_tokens(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start_with(db, Options::default().set("breaker_failures", 1)).await;
        // Twelve at once, then two a second.
        server.apply(&to(&sink, json!({ "retry": late(), "rate_per_minute": 120 }))).await;
        let client = server.client();
        sink.set_down(true);
        send(&server, 0).await;
        breaker_is(&client, "open").await;
        // Each of them wakes the carrier, which may not call. Probes take half of what comes.
        let (anonymous, asked) = (server.anonymous(), sink.counts().requests);
        while sink.counts().requests < asked + 4 {
            anonymous.hook("alerts", &json!({ "more": true })).await;
        }
        sink.set_down(false);
        wait_until("it is back", async || (sink.counts().taken > 0).then_some(())).await;
        let back = Instant::now();
        wait_until("what was saved up is there", async || (sink.counts().taken >= 10).then_some(())).await;
        assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
    }

    async fn the_horizon_stands_still_while_nobody_calls(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let retry = json!({ "first_seconds": 1, "max_seconds": 1, "jitter": 0, "horizon_seconds": 60 });
        server.apply(&to(&sink, json!({ "retry": retry }))).await;
        let client = server.client();
        // As if it had waited so long, over a weekend.
        let wait = "UPDATE delivery SET tried_at = tried_at - 200000000, \
                    updated_at = updated_at - 200000000, created_at = created_at - 200000000 \
                    WHERE state = 'paused'";

        sink.answer(503);
        let off = send(&server, 0).await;
        wait_until("it was tried", async || {
            Some(delivery(&client, off).await).filter(|d| d.attempts > 0)
        })
        .await;
        change(&client, json!({ "enabled": false })).await;
        let tried = in_state(&client, off, State::Paused).await.attempts;
        server.store.run(wait).await;
        change(&client, json!({ "enabled": true })).await;
        let again = wait_until("it is tried again, and waits", async || {
            Some(delivery(&client, off).await).filter(|d| d.attempts > tried && d.state != State::Leased)
        })
        .await;
        assert_eq!(again.state, State::Retrying, "{again:?}");

        sink.answer(401);
        let refused = send(&server, 1).await;
        for id in [off, refused] {
            in_state(&client, id, State::Paused).await;
        }
        server.store.run(wait).await;
        sink.answer(503);
        change(&client, json!({ "settings": { "url": format!("{}/new", sink.url) } })).await;
        let again = wait_until("it is tried again, and waits", async || {
            Some(delivery(&client, refused).await).filter(|d| d.attempts > 1 && d.state != State::Leased)
        })
        .await;
        assert_eq!(again.state, State::Retrying, "{again:?}");
        sink.answer(200);
        for id in [off, refused] {
            in_state(&client, id, State::Delivered).await;
        }
    }

    async fn what_the_upstream_asks_for_is_shown_and_outlives_a_restart(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, json!({}))).await;
        let client = server.client();
        sink.fault(Fault::too_many(8));
        let asked = Instant::now();
        let id = send(&server, 0).await;
        let waits = wait_until("the wait is shown", async || {
            Some(connection(&client).await).filter(|c| c.breaker.asked_until.is_some())
        })
        .await;
        assert_eq!((waits.state.as_str(), waits.breaker.state.as_str()), ("ok", "closed"));
        let shown = wait_until("so is the pace", async || connection(&client).await.breaker.pace).await;
        assert_eq!(shown.at_once, 1, "{shown:?}");
        // One that was never tried: it waits for its connection, not for itself.
        server.restart().await;
        assert_eq!(connection(&client).await.breaker.asked_until, waits.breaker.asked_until);
        let fresh = send(&server, 1).await;
        for id in [id, fresh] {
            in_state(&client, id, State::Delivered).await;
        }
        assert!(asked.elapsed() >= Duration::from_secs(8), "{:?}", asked.elapsed());
        assert_eq!(sink.counts().requests, 3);
        assert_eq!(connection(&client).await.breaker.asked_until, None);
    }

    async fn a_replay_goes_behind_what_waits_whatever_the_clock_says(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let mut step = copy_to("sink")["deliver"].clone();
        step["key"] = json!("one");
        let file = File::new()
            .http("sink", &sink.url)
            .source("alerts")
            .source("later")
            .rule_of("alerts", "now", json!([]), json!([{ "deliver": step }]))
            .rule_of("later", "later", json!([]), json!([{ "hold": step }]));
        server.apply(&file.text()).await;
        let client = server.client();
        sink.answer(400);
        let dead = send(&server, 0).await;
        in_state(&client, dead, State::Dead).await;
        sink.answer(200);
        let sent = server.anonymous().hook("later", &json!({ "n": 1 })).await;
        let held = event(&client, sent.event_ids[0]).await.deliveries[0].id;
        in_state(&client, held, State::Held).await;
        // As if a node whose clock is ahead had taken it.
        let ahead: Uuid = "01ffffff-ffff-7000-8000-000000000001".parse().unwrap();
        let (was, is) = match db {
            Database::Sqlite => (format!("x'{}'", held.simple()), format!("x'{}'", ahead.simple())),
            Database::Postgres => (format!("'{held}'"), format!("'{ahead}'")),
        };
        server.store.run(&format!("UPDATE delivery SET id = {is} WHERE id = {was}")).await;
        let path = format!("/api/v1/deliveries/{dead}/replay");
        let replayed: ReplayedDelivery = client.post(&path, &json!({})).await.ok();
        assert!(replayed.delivery_id > ahead, "{replayed:?}");
        let waits = delivery(&client, replayed.delivery_id).await;
        assert!(waits.behind, "{waits:?}");
        client.post(&format!("/api/v1/deliveries/{ahead}/release"), &json!({})).await.done();
        let second = in_state(&client, replayed.delivery_id, State::Delivered).await;
        let first = in_state(&client, ahead, State::Delivered).await;
        assert!(first.attempt_log[0].started_at <= second.attempt_log[0].started_at);
    }

    async fn a_late_refusal_is_not_held_against_what_was_mended(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, json!({}))).await;
        let client = server.client();
        let mut late = Fault::status(401);
        late.latency_ms = 6_000;
        sink.fault(late);
        sink.fault(Fault::status(401));
        let slow = send(&server, 0).await;
        wait_until("the first is under way", async || (sink.counts().requests == 1).then_some(())).await;
        let quick = send(&server, 1).await;
        in_state(&client, quick, State::Paused).await;
        let broken = connection(&client).await;
        assert_eq!(broken.state, "attention");
        let test = format!("/api/v1/connections/{}/test", broken.id);
        let passed: TestResult = client.post(&test, &json!({})).await.ok();
        assert!(passed.ok, "{passed:?}");
        assert_eq!(delivery(&client, slow).await.state, State::Leased, "the late answer is still to come");
        // Both go on; the refusal that came after the test stops nothing.
        let done = in_state(&client, slow, State::Delivered).await;
        assert_eq!(done.attempt_log[0].status, Some(401));
        in_state(&client, quick, State::Delivered).await;
        assert_eq!(connection(&client).await.state, "ok");
        let told = server.log().matches("A connection needs attention.").count();
        assert_eq!(told, 1, "people are told once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_upstream_asks_for_holds_on_every_node() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start(db).await;
    let other = server.another(Options::default());
    other.resume().await;
    server.apply(&to(&sink, json!({}))).await;
    sink.fault(Fault::too_many(8));
    let asked = Instant::now();
    let mut ids = vec![send(&server, 0).await];
    wait_until("the wait is shown", async || {
        connection(&other.client()).await.breaker.asked_until
    })
    .await;
    // Every node hears of it within a second: that is what is tested.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (n, node) in [&server, &other].into_iter().enumerate() {
        for more in 0..5 {
            let sent = node
                .anonymous()
                .hook("alerts", &json!({ "n": n, "more": more }))
                .await;
            ids.push(event(&server.client(), sent.event_ids[0]).await.deliveries[0].id);
        }
    }
    let first = wait_until("the first arrives", async || {
        (sink.counts().taken > 0).then(|| asked.elapsed())
    })
    .await;
    assert!(first >= Duration::from_secs(8), "{first:?}");
    for id in ids {
        in_state(&server.client(), id, State::Delivered).await;
    }
    assert_eq!(sink.counts().requests, 12);
}
