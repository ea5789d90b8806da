//! Maintenance: what waits, what is not made, and what goes on at the end.

use openapi::audit::AuditEntry;
use openapi::deliveries::{Delivery, ReplayedDelivery, State};
use openapi::maintenance::{Maintenance, MaintenanceWindow};
use openapi::notices::Notice;
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};
use uuid::Uuid;

use crate::clocks::{HOUR_MS, Hand, noticed};
use crate::support::{all, delivered, delivery, drained, event, in_state, now};

const WINDOWS: &str = "/api/v1/maintenance/windows";
const SWITCH: &str = "/api/v1/maintenance";

/// Open whenever one looks.
fn always() -> Value {
    json!({ "kind": "daily", "start": "00:00", "end": "00:00" })
}

fn moment(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0)
        .unwrap()
        .to_rfc3339()
}

/// One call at a time, so that the order of calls is the order of claims.
fn to(sink: &FakeSink) -> File {
    to_with(sink, json!({}))
}

fn to_with(sink: &FakeSink, source: Value) -> File {
    let mut step = copy_to("sink");
    step["deliver"]["key"] = json!("lane {{ lane }}");
    File::new()
        .http_with("sink", &sink.url, json!({ "concurrency": 1 }))
        .source_with("alerts", source)
        .rule("copy", json!([]), json!([step]))
}

async fn send(server: &Server, payload: &Value) -> Uuid {
    let sent = server.anonymous().hook("alerts", payload).await;
    event(&server.client(), sent.event_ids[0]).await.deliveries[0].id
}

async fn turn(client: &Client, change: Value) -> Maintenance {
    let revision = client.read::<Maintenance>(SWITCH).await.revision;
    client.patch(SWITCH, revision, &change).await.ok()
}

/// The numbers that the sink took, in the order in which they came.
fn order(sink: &FakeSink) -> Vec<i64> {
    let mut seen: Vec<(u64, i64)> = sink
        .seen()
        .values()
        .map(|seen| {
            assert_eq!(seen.count, 1);
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            (seen.first_at_us, body["n"].as_i64().unwrap())
        })
        .collect();
    seen.sort_unstable();
    seen.into_iter().map(|(_, n)| n).collect()
}

both! {
    async fn deliveries_wait_for_the_end_of_a_window(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let end = now() + 5;
        let schedule = json!({ "kind": "once", "start": moment(end - 3600), "end": moment(end) });
        server.apply(&to(&sink).window("patches", json!({ "schedule": schedule })).text()).await;
        let client = server.client();
        let waiting = send(&server, &json!({ "n": 1, "lane": "a" })).await;
        let done = in_state(&client, waiting, State::Delivered).await;
        let [attempt] = done.attempt_log.try_into().unwrap();
        assert!(attempt.started_at.timestamp() >= end, "nothing is called while it is open");
        let [window] = all::<MaintenanceWindow>(&client, WINDOWS).await.try_into().unwrap();
        assert!(!window.open && window.next_opening.is_none());
        let after = send(&server, &json!({ "n": 2, "lane": "a" })).await;
        in_state(&client, after, State::Delivered).await;
    }

    async fn what_waited_goes_in_order_also_after_a_crash_and_an_early_end(db) {
        let sink = FakeSink::start().await.unwrap();
        let other = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let scope = json!({ "kind": "connections", "connections": ["sink"] });
        let file = to_with(&sink, json!({ "match": "all" }))
            .http("other", &other.url)
            .rule("too", json!([]), json!([copy_to("other")]))
            .window("patches", json!({ "schedule": always(), "scope": scope }));
        server.apply(&file.text()).await;
        let client = server.client();
        for n in 0..40 {
            let waiting = send(&server, &json!({ "n": n, "lane": n % 4 })).await;
            assert_eq!(delivery(&client, waiting).await.state, State::Windowed);
        }
        wait_until("the other connection has all", async || {
            (other.counts().ids == 40).then_some(())
        }).await;
        server.kill();
        server.resume().await;
        let client = server.client();
        let state: Maintenance = client.read(SWITCH).await;
        assert_eq!((state.waiting, state.windows.len(), state.on), (40, 1, false));
        assert_eq!(sink.counts().requests, 0);

        let [window] = all::<MaintenanceWindow>(&client, WINDOWS).await.try_into().unwrap();
        assert!(window.open);
        let path = format!("{WINDOWS}/{}", window.id);
        client.patch(&path, window.revision + 1, &json!({ "enabled": false })).await.problem(Code::RevisionStale);
        let closed: MaintenanceWindow = client
            .patch(&path, window.revision, &json!({ "enabled": false })).await.ok();
        assert!(!closed.open);
        drained(&server).await;
        let came = order(&sink);
        assert_eq!(came.len(), 40);
        for lane in 0..4 {
            let of_lane: Vec<i64> = came.iter().copied().filter(|n| n % 4 == lane).collect();
            assert!(of_lane.is_sorted(), "lane {lane}: {of_lane:?}");
        }
    }

    async fn many_that_wait_are_let_go_in_batches(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            .http_with("sink", &sink.url, json!({ "concurrency": 1 }))
            .source("alerts")
            .rule("copy", json!([]), json!([copy_to("sink")]))
            .window("patches", json!({ "schedule": always() }));
        server.apply(&file.text()).await;
        let client = server.client();
        for n in 0..700 {
            server.anonymous().hook("alerts", &json!({ "n": n })).await;
        }
        let state: Maintenance = client.read(SWITCH).await;
        assert_eq!(state.waiting, 700);
        let [window] = all::<MaintenanceWindow>(&client, WINDOWS).await.try_into().unwrap();
        client.delete(&format!("{WINDOWS}/{}", window.id), window.revision).await.done();
        drained(&server).await;
        let came = order(&sink);
        assert_eq!(came.len(), 700);
        assert!(came.is_sorted(), "in the order of acceptance");
    }

    async fn skip_discards_but_no_recovery_is_lost(db) {
        let server = Server::start(db).await;
        let file = File::new().sandbox("desk", json!({})).source("alerts").source("others").rule(
            "tickets",
            json!([]),
            json!([{ "deliver": {
                "connection": "desk",
                "operation": "ticket.upsert",
                "key": "{{ host }}",
                "lifecycle": { "path": "$.state", "open": ["down"], "close": ["up"], "otherwise": "note" },
                "map": { "summary": "{{ host }} is {{ state }}" },
            }}]),
        );
        server.apply(&file.text()).await;
        let client = server.client();
        let alert = |host: &str, state: &str| json!({ "host": host, "state": state });
        let before = send(&server, &alert("web1", "down")).await;
        in_state(&client, before, State::Delivered).await;

        let new = json!({
            "name": "reboot", "mode": "skip", "zone": "Europe/Madrid", "schedule": always(),
            "scope": { "kind": "sources", "sources": ["alerts"] },
        });
        let made: MaintenanceWindow = client.post(WINDOWS, &new).await.ok();
        client.post(WINDOWS, &new).await.problem(Code::NameTaken);
        let close = send(&server, &alert("web1", "up")).await;
        let skipped = send(&server, &alert("web2", "down")).await;
        let note = send(&server, &alert("web2", "flapping")).await;
        for id in [skipped, note] {
            let row = delivery(&client, id).await;
            assert_eq!((row.state, row.error_code.as_deref()), (State::Discarded, Some("maintenance")));
            assert!(row.error.unwrap().contains("reboot") && row.finished_at.is_some());
        }
        assert_eq!(delivery(&client, close).await.state, State::Windowed);
        let elsewhere = server.anonymous().hook("others", &alert("web3", "down")).await;
        delivered(&client, elsewhere.event_ids[0]).await;

        // Who replays by hand wants it; it waits with the rest.
        let again: ReplayedDelivery = client
            .post(&format!("/api/v1/deliveries/{skipped}/replay"), &json!({})).await.ok();
        in_state(&client, again.delivery_id, State::Windowed).await;
        client.delete(&format!("{WINDOWS}/{}", made.id), made.revision).await.done();
        let closed = in_state(&client, close, State::Delivered).await;
        assert_eq!(closed.effect.as_deref(), Some("closed"), "the ticket from before is closed");
        let opened = in_state(&client, again.delivery_id, State::Delivered).await;
        assert_eq!(opened.effect.as_deref(), Some("created"));
    }

    async fn the_switch_makes_everything_wait_and_nothing_is_refused(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        let off: Maintenance = client.read(SWITCH).await;
        assert_eq!((off.on, off.revision), (false, 0));
        client.patch(SWITCH, 7, &json!({ "on": true })).await.problem(Code::RevisionStale);
        let late = json!({ "on": true, "until": moment(now() - 1) });
        client.patch(SWITCH, 0, &late).await.problem(Code::ValidationFailed);
        assert!(turn(&client, json!({ "on": true })).await.on);
        let first = send(&server, &json!({ "n": 1, "lane": "a" })).await;
        assert_eq!(delivery(&client, first).await.state, State::Windowed);
        let notices: Vec<Notice> = all(&client, "/api/v1/notices").await;
        assert!(notices.iter().any(|n| n.kind == "maintenance"), "{notices:?}");
        assert!(!turn(&client, json!({ "on": false })).await.on);
        in_state(&client, first, State::Delivered).await;
        assert!(all::<Notice>(&client, "/api/v1/notices").await.is_empty());

        let end = now() + 4;
        let on = turn(&client, json!({ "on": true, "until": moment(end) })).await;
        assert_eq!(on.until.map(|at| at.timestamp()), Some(end));
        let second = send(&server, &json!({ "n": 2, "lane": "a" })).await;
        let done = in_state(&client, second, State::Delivered).await;
        assert!(done.attempt_log[0].started_at.timestamp() >= end);
        assert!(!client.read::<Maintenance>(SWITCH).await.on, "it went off by itself");
    }

    async fn retries_that_come_due_wait_too(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        sink.answer(503);
        let failing = send(&server, &json!({ "n": 1, "lane": "a" })).await;
        in_state(&client, failing, State::Retrying).await;
        turn(&client, json!({ "on": true })).await;
        let waiting: Delivery = in_state(&client, failing, State::Windowed).await;
        assert!(waiting.attempts >= 1);
        let behind = send(&server, &json!({ "n": 2, "lane": "a" })).await;
        assert_eq!(delivery(&client, behind).await.state, State::Windowed);
        sink.answer(200);
        turn(&client, json!({ "on": false })).await;
        let done = in_state(&client, failing, State::Delivered).await;
        assert_eq!(done.attempts, waiting.attempts + 1, "no call was made while it waited");
        in_state(&client, behind, State::Delivered).await;
        assert_eq!(order(&sink), [1, 2]);
    }

    async fn what_comes_to_wait_after_the_end_is_let_go_within_a_minute(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let sink = FakeSink::start().await.unwrap();
        let file = File::new().http("sink", &sink.url).source("alerts").rule(
            "ask first",
            json!([]),
            json!([{ "hold": copy_to("sink")["deliver"] }]),
        );
        server.apply(&file.text()).await;
        let late = send(&server, &json!({ "n": 1 })).await;
        // The look after the last change is over, and the one ten seconds after that.
        let looked = format!(
            "SELECT COUNT(*) FROM timer WHERE kind = 'maintenance' AND key IN ('change', 'again') AND due_at > {}",
            (now() + 40) * 1000
        );
        let pending = format!(
            "SELECT COUNT(*) FROM timer WHERE kind = 'maintenance' AND due_at <= {}",
            (now() + 40) * 1000
        );
        hand.turn(15_000);
        wait_until("both looks are over", async || {
            let (looked, pending) = (server.store.number(&looked).await, server.store.number(&pending).await);
            (looked > 0 && pending == 0).then_some(())
        }).await;
        // As a node would whose clock is behind.
        server.store.run("UPDATE delivery SET state = 'windowed'").await;
        hand.turn(15_000 + 61_000);
        in_state(&server.client(), late, State::Delivered).await;
    }

    async fn windows_end_by_the_clock_as_it_is_set(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let sink = FakeSink::start().await.unwrap();
        // Half an hour more, and long enough ago that it is open an hour back.
        let (start, end) = (now() - 7_200, now() + 1_800);
        let schedule = json!({ "kind": "once", "start": moment(start), "end": moment(end) });
        server.apply(&to(&sink).window("patches", json!({ "schedule": schedule })).text()).await;
        let client = server.client();
        let mut jumps = 0;
        let mut turn = async |offset: i64| {
            hand.turn(offset);
            jumps += 1;
            noticed(&server, jumps).await;
        };
        let waits = async |n: i64| {
            let id = send(&server, &json!({ "n": n, "lane": n })).await;
            assert_eq!(delivery(&client, id).await.state, State::Windowed, "{n}");
            id
        };
        let first = waits(1).await;
        turn(HOUR_MS).await;
        in_state(&client, first, State::Delivered).await;
        // Open once more; its end comes before anything that was planned by the other clock.
        turn(0).await;
        let second = waits(2).await;
        assert_eq!(sink.counts().ids, 1, "nothing is called while it is open");
        turn(1_801_000).await;
        in_state(&client, second, State::Delivered).await;
        turn(-HOUR_MS).await;
        let third = waits(3).await;
        turn(1_801_000).await;
        in_state(&client, third, State::Delivered).await;
        assert_eq!(order(&sink), [1, 2, 3], "each once");
    }

    async fn windows_and_the_switch_leave_lines_in_the_audit_log(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("alerts").text()).await;
        let client = server.client();
        let scope = json!({ "kind": "sources", "sources": ["alerts"] });
        let new = json!({ "name": "reboot", "zone": "UTC", "schedule": always(), "scope": scope });
        let made: MaintenanceWindow = client.post(WINDOWS, &new).await.ok();
        let path = format!("{WINDOWS}/{}", made.id);
        let changed: MaintenanceWindow = client
            .patch(&path, made.revision, &json!({ "enabled": false, "mode": "skip" })).await.ok();
        client.delete(&path, changed.revision).await.done();
        let until = moment(now() + 3_600);
        turn(&client, json!({ "on": true, "until": until })).await;
        turn(&client, json!({ "on": false })).await;
        // What is refused changes nothing, and leaves none.
        client.patch(SWITCH, 7, &json!({ "on": true })).await.problem(Code::RevisionStale);

        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit").await;
        // Newest first.
        let lines: Vec<AuditEntry> = lines
            .into_iter()
            .rev()
            .filter(|line| line.subject_kind == "maintenance")
            .collect();
        let [create, change, delete, on, off] = lines.as_slice() else { panic!("five lines: {lines:?}") };
        assert!(lines.iter().all(|line| !line.actor.is_empty() && !line.request_id.is_empty()), "{lines:?}");
        for (line, action) in [(create, "create"), (change, "change"), (delete, "delete")] {
            assert_eq!(line.action, format!("maintenance.{action}"));
            assert_eq!((line.subject.as_str(), line.subject_id), ("reboot", Some(made.id)));
        }
        assert_eq!((&create.before, &create.after["mode"]), (&Value::Null, &json!("queue")));
        assert_eq!((&change.before["mode"], &change.after["mode"]), (&json!("queue"), &json!("skip")));
        assert_eq!((&change.before["enabled"], &change.after["enabled"]), (&json!(true), &json!(false)));
        assert_eq!((&delete.before["mode"], &delete.after), (&json!("skip"), &Value::Null));
        for (line, active) in [(on, true), (off, false)] {
            assert_eq!((line.action.as_str(), line.subject.as_str()), ("maintenance.turn", "switch"));
            assert_eq!(line.after["active"], json!(active));
        }
        assert!(on.after["until"].is_i64() && off.after["until"].is_null(), "{on:?} {off:?}");
    }

    async fn windows_are_configuration_as_code(db) {
        let server = Server::start(db).await;
        let scope = json!({ "kind": "sources", "sources": ["b", "a"] });
        let schedule = json!({ "kind": "weekly", "days": ["mon", "fri"], "start": "22:00", "end": "06:00" });
        let more = json!({ "zone": "Europe/Madrid", "mode": "skip", "scope": scope, "schedule": schedule });
        let file = File::new().source("a").source("b");
        let text = file.clone().window("nights", more).text();
        server.apply(&text).await;
        let path = server.write("windows.yaml", &text);
        let again = server.cli(&["plan", "-f", path.to_str().unwrap()]).await;
        let said = tests::server::both(&again);
        assert!(again.status.success() && !said.contains("nights"), "{said}");
        let export = server.cli(&["export"]).await;
        assert!(tests::server::both(&export).contains("nights"), "{}", tests::server::both(&export));
        let client = server.client();
        let [window] = all::<MaintenanceWindow>(&client, WINDOWS).await.try_into().unwrap();
        assert_eq!(window.zone, "Europe/Madrid");
        assert!(window.next_change_local.is_some());

        let wrong = file.window("nights", json!({ "zone": "Mars/Base", "schedule": always() })).text();
        let path = server.write("wrong.yaml", &wrong);
        let refused = server.cli(&["apply", "-f", path.to_str().unwrap()]).await;
        let said = tests::server::both(&refused);
        assert!(!refused.status.success() && said.contains("maintenance[nights].zone"), "{said}");
        let bad = json!({ "schedule": { "kind": "cron", "cron": "61 * * * *", "minutes": 5 } });
        let answer = client.patch(&format!("{WINDOWS}/{}", window.id), window.revision, &bad).await;
        let problem = answer.problem(Code::ValidationFailed);
        assert_eq!(problem.errors[0].field, "schedule.cron");
    }
}
