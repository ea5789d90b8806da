//! One destination never costs another: breakers, pauses, backlogs, records that are gone.

use std::time::{Duration, Instant};

use openapi::audit::AuditEntry;
use openapi::connections::{Connection, TestResult, Waiting};
use openapi::deliveries::State;
use openapi::notices::Notice;
use openapi::page::Page;
use openapi::problem::Code;
use openapi::stats::Stats;
use openapi::stream::Message;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tests::fakes::{Effect, FakeSink, Fault};
use tests::stream::Stream;
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Server, both, wait_until, wait_until_within};
use uuid::Uuid;

use crate::support::{all, delivered, delivery, drained, event, in_state};

/// Waiting deliveries of the dead destination.
const BACKLOG: i64 = 100_000;

fn two(dead: &FakeSink, alive: &FakeSink) -> String {
    File::new()
        .http_with(
            "a",
            &dead.url,
            json!({ "retry": { "first_seconds": 60, "max_seconds": 600 } }),
        )
        .http("b", &alive.url)
        .source("to-a")
        .source("to-b")
        .rule_of("to-a", "a", json!([]), json!([copy_to("a")]))
        .rule_of("to-b", "b", json!([]), json!([copy_to("b")]))
        .text()
}

async fn connection(client: &Client, name: &str) -> Connection {
    all::<Connection>(client, "/api/v1/connections")
        .await
        .into_iter()
        .find(|c| c.name == name)
        .unwrap()
}

async fn send(server: &Server, source: &str, payload: &Value) -> Uuid {
    let sent = server.anonymous().hook(source, payload).await;
    let event = event(&server.client(), sent.event_ids[0]).await;
    event.deliveries[0].id
}

/// Median time from request to arrival, one event after the other.
async fn latency(server: &Server, sink: &FakeSink, round: u64) -> Duration {
    let anonymous = server.anonymous();
    let mut times = Vec::new();
    for n in 0..40 {
        let before = sink.counts().taken;
        let begun = Instant::now();
        anonymous
            .hook("to-b", &json!({ "round": round, "n": n }))
            .await;
        while sink.counts().taken == before {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it does not arrive"
            );
            tokio::task::yield_now().await;
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Copies a delivery of a connection so often, as if so many events had come in.
async fn backlog(server: &Server, db: Database, connection: Uuid) {
    let store = server.store.connect().await;
    let random = match db {
        Database::Sqlite => "randomblob(16)",
        Database::Postgres => "gen_random_uuid()",
    };
    // In parts, so that the server's own writer waits for none of them long.
    let part = BACKLOG / 20;
    for _ in 0..20 {
        let text = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {part}), \
             d AS (SELECT * FROM delivery WHERE connection_id = $1 ORDER BY id LIMIT 1) \
             INSERT INTO delivery (id, workspace_id, event_id, correlation_id, received_at, rule_id, \
             rule_name, rule_revision, step, connection_id, operation, lane, action, fields, \
             message_id, state, behind, due_at, fence, attempts, unsure, created_at, updated_at) \
             SELECT {random}, d.workspace_id, d.event_id, d.correlation_id, d.received_at, d.rule_id, \
             d.rule_name, d.rule_revision, d.step, d.connection_id, d.operation, d.lane, d.action, \
             d.fields, d.message_id, CASE WHEN n.i % 2 = 0 THEN 'ready' ELSE 'retrying' END, FALSE, \
             d.created_at, 0, 0, FALSE, d.created_at, d.updated_at FROM n CROSS JOIN d"
        );
        let statement =
            Statement::from_sql_and_values(store.get_database_backend(), text, [connection.into()]);
        store.execute_raw(statement).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Plans are made by what PostgreSQL knows of a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_grows_fast_is_analyzed_soon() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start(db).await;
    let store = &server.store;
    // What PostgreSQL does by itself within a minute is not what is tested.
    store
        .run("ALTER TABLE delivery SET (autovacuum_enabled = false)")
        .await;
    server.apply(&two(&sink, &sink)).await;
    let client = server.client();
    sink.set_down(true);
    let first = send(&server, "to-a", &json!({})).await;
    wait_until("the first failed", async || {
        Some(delivery(&client, first).await).filter(|d| d.attempts > 0)
    })
    .await;
    backlog(&server, db, connection(&client, "a").await.id).await;
    let known = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'delivery'::regclass";
    wait_until("it is known how much there is", async || {
        (store.number(known).await * 2 > BACKLOG).then_some(())
    })
    .await;
    // Once whenever it has doubled.
    let times = "SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'delivery'";
    let times = store.number(times).await;
    assert!(times <= 8, "{times}");
}

both! {
    async fn a_dead_destination_with_a_backlog_leaves_another_alone(db) {
        let (dead, alive) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        server.apply(&two(&dead, &alive)).await;
        let client = server.client();
        latency(&server, &alive, 0).await;
        let alone = latency(&server, &alive, 1).await;

        dead.set_down(true);
        let first = send(&server, "to-a", &json!({})).await;
        wait_until("the first failed", async || {
            Some(delivery(&client, first).await).filter(|d| d.attempts > 0)
        }).await;
        backlog(&server, db, connection(&client, "a").await.id).await;
        wait_until("its breaker is open", async || {
            Some(connection(&client, "a").await).filter(|c| c.breaker.state == "open")
        }).await;
        let beside = latency(&server, &alive, 2).await;
        // A bare fsync varies by more than this from one moment to the next on a busy machine.
        let most = alone * 4 + Duration::from_millis(25);
        assert!(beside <= most, "alone {alone:?}, beside a dead one {beside:?}");

        // To look at it costs little, too.
        let waiting: Waiting = client
            .read(&format!("/api/v1/connections/{}/waiting", connection(&client, "a").await.id)).await;
        assert!(waiting.ready + waiting.retrying >= BACKLOG, "{waiting:?}");

        // Credentials that are refused now set all of it aside, and the other does not notice.
        dead.set_down(false);
        dead.answer(401);
        wait_until("it needs attention", async || {
            Some(connection(&client, "a").await).filter(|c| c.state == "attention")
        }).await;
        let beside = latency(&server, &alive, 3).await;
        assert!(beside <= most, "alone {alone:?}, beside one that is set aside {beside:?}");
    }

    async fn a_breaker_is_data_and_its_first_success_sends_everything(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            // Left to their own time, the second attempts would come far too late for this test.
            .http_with("sink", &sink.url, json!({ "retry": { "first_seconds": 600, "max_seconds": 600, "horizon_seconds": 86_400 } }))
            .source("alerts")
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        let mut stream = Stream::open(&client, None).await;
        sink.set_down(true);
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(send(&server, "alerts", &json!({ "n": n })).await);
        }
        let open = wait_until("the breaker is open", async || {
            Some(connection(&client, "sink").await).filter(|c| c.breaker.state == "open")
        }).await;
        assert!(open.breaker.failures >= 10, "{open:?}");
        let (opened, next) = (open.breaker.opened_at.unwrap(), open.breaker.next_probe_at.unwrap());
        assert!(next > opened && open.state == "ok");
        stream.find(|m| matches!(m, Message::Connection(c) if c.change == "breaker_opened")).await;
        let stats: Stats = client.read("/api/v1/stats").await;
        let light = stats.lights.iter().find(|l| l.name == "sink").unwrap();
        assert_eq!(light.colour, "red", "{light:?}");
        let number = "signalbox_connection_breaker_open{workspace=\"main\",connection=\"sink\"} 1\n";
        wait_until("the numbers say so", async || {
            client.get("/metrics").await.text().contains(number).then_some(())
        })
        .await;

        // It outlives the process: the next one looks before it sends all it has.
        server.restart().await;
        assert_eq!(connection(&client, "sink").await.breaker.opened_at, Some(opened));
        let asked = sink.counts().requests;
        // Eight times in eight seconds, and a second for a busy machine.
        wait_until_within(Duration::from_secs(9), "it looks at least once a second", async || {
            (sink.counts().requests >= asked + 8).then_some(())
        })
        .await;
        sink.set_down(false);
        let back = Instant::now();
        drained(&server).await;
        assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
        for id in ids {
            assert_eq!(delivery(&client, id).await.state, State::Delivered);
        }
        wait_until("it is closed for everybody", async || {
            Some(connection(&client, "sink").await).filter(|c| c.breaker.state == "closed")
        }).await;
    }

    async fn refused_credentials_are_told_once_and_nothing_is_burnt(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url).source("alerts")
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        let mut stream = Stream::open(&client, None).await;
        let mut slow = Fault::status(403).times(0);
        slow.latency_ms = 300;
        sink.fault(slow);
        let anonymous = server.anonymous();
        let payload = json!({});
        let sent = (0..60).map(|_| anonymous.hook("alerts", &payload));
        let ids: Vec<Uuid> = futures_util::future::join_all(sent).await
            .into_iter().map(|sent| sent.event_ids[0]).collect();
        wait_until("all are set aside", async || {
            let paused = "SELECT COUNT(*) FROM delivery WHERE state = 'paused'";
            (server.store.number(paused).await == 60).then_some(())
        }).await;
        let broken = connection(&client, "sink").await;
        assert_eq!((broken.state.as_str(), broken.state_code.as_deref()), ("attention", Some("credentials_refused")));
        assert!(broken.state_reason.unwrap().contains("403"));
        assert!(sink.counts().requests <= 32, "{:?}", sink.counts());

        let notices: Page<Notice> = client.read("/api/v1/notices").await;
        let banner = notices.items.iter().find(|n| n.id == Some(broken.id)).unwrap();
        assert_eq!((banner.kind.as_str(), banner.colour.as_str()), ("connection", "red"));
        assert!(banner.text.contains("403"), "{banner:?}");
        let stats: Stats = client.read("/api/v1/stats").await;
        let light = stats.lights.iter().find(|l| l.id == Some(broken.id)).unwrap();
        assert_eq!((light.name.as_str(), light.colour.as_str()), ("sink", "red"));
        assert!(light.detail.as_ref().unwrap().contains("403"), "{light:?}");

        let told = |m: &Message| matches!(m, Message::Connection(c) if c.change == "attention");
        let first = stream.find(told).await;
        let Message::Connection(notice) = &first.message else { unreachable!() };
        assert_eq!((notice.id, notice.code.as_deref()), (broken.id, Some("credentials_refused")));

        // All answers are in; the end of it shows that there was no other notice.
        let revision = broken.revision;
        let change = json!({ "settings": { "url": format!("{}/new", sink.url), "retry": [503] } });
        sink.answer(503);
        client.call(reqwest::Method::PATCH, &format!("/api/v1/connections/{}", broken.id))
            .revision(revision).json(&change).send().await.ok::<Connection>();
        let next = stream.find(|m| matches!(m, Message::Connection(_))).await;
        let Message::Connection(over) = &next.message else { unreachable!() };
        assert_eq!(over.change, "ok", "an edit is a repair, and it was told once");
        assert_eq!(ids.len(), 60);
    }

    async fn what_was_set_aside_goes_on_after_a_restart(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url).source("alerts")
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        sink.answer(401);
        let mut ids = Vec::new();
        for n in 0..5 {
            ids.push(send(&server, "alerts", &json!({ "n": n })).await);
        }
        for id in &ids {
            in_state(&client, *id, State::Paused).await;
        }
        server.restart().await;
        assert_eq!(connection(&client, "sink").await.state, "attention");
        sink.answer(200);
        let test = format!("/api/v1/connections/{}/test", connection(&client, "sink").await.id);
        let passed: TestResult = client.post(&test, &json!({})).await.ok();
        assert!(passed.ok);
        drained(&server).await;
        for id in ids {
            assert_eq!(delivery(&client, id).await.state, State::Delivered);
        }
    }

    async fn many_records_gone_at_once_are_not_believed(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let mut step = copy_to("sink");
        step["deliver"]["key"] = json!("{{ n }}");
        let file = File::new().http("sink", &sink.url).source("alerts")
            .rule("copy", json!([]), json!([step]));
        server.apply(&file.text()).await;
        let client = server.client();
        sink.answer(404);
        let mut ids = Vec::new();
        for n in 0..15 {
            ids.push(send(&server, "alerts", &json!({ "n": n })).await);
        }
        let stopped = wait_until("it needs attention", async || {
            Some(connection(&client, "sink").await).filter(|c| c.state == "attention")
        }).await;
        assert_eq!(stopped.state_code.as_deref(), Some("mass_gone"));
        let dead = "SELECT COUNT(*) FROM delivery WHERE state = 'dead'";
        assert!(server.store.number(dead).await <= 9, "the tenth is one too many");
        sink.answer(200);
        let path = format!("/api/v1/connections/{}", stopped.id);
        let passed: TestResult = client.post(&format!("{path}/test"), &json!({})).await.ok();
        assert!(passed.ok);
        assert_eq!(connection(&client, "sink").await.state, "attention", "a test proves nothing here");
        let resumed: Connection = client.post(&format!("{path}/resume"), &json!({})).await.ok();
        assert_eq!((resumed.state.as_str(), resumed.state_code), ("ok", None));
        drained(&server).await;
        client.post(&format!("{path}/resume"), &json!({})).await.problem(Code::Conflict);
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=connection.resume").await;
        let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
        assert_eq!((line.subject_id, line.subject.as_str()), (Some(stopped.id), "sink"));
        assert_eq!(line.before, json!({ "state": "attention", "state_code": "mass_gone" }));
        assert_eq!(line.after, json!({ "state": "ok", "state_code": null }));
        let delivered = "SELECT COUNT(*) FROM delivery WHERE state = 'delivered'";
        assert!(server.store.number(delivered).await >= 6);
    }

    async fn an_upstream_that_is_overrun_is_called_less(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url).source("alerts")
            .rule("copy", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let anonymous = server.anonymous();
        for _ in 0..6 {
            sink.fault(Fault::status(503).times(2));
            sink.fault(Fault { latency_ms: 300, ..Fault::new(Effect::Delay) });
        }
        let payload = json!({});
        let sent = (0..100).map(|_| anonymous.hook("alerts", &payload));
        let ids = futures_util::future::join_all(sent).await;
        drained(&server).await;
        delivered(&server.client(), ids[0].event_ids[0]).await;
        assert_eq!(sink.seen().len(), 100);
        assert!(sink.counts().requests <= 112 + 12, "{:?}", sink.counts());
    }
}
