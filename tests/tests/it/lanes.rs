//! Lanes: their order whatever fails, what becomes of a failed head, notes that become one.

use openapi::audit::AuditEntry;
use openapi::connections::{Connection, TestResult, Waiting};
use openapi::deliveries::{DeadResult, Delivery, ReplayedDelivery, State};
use openapi::jobs::{Job, JobState};
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Server, both, wait_until, wait_until_within};
use uuid::Uuid;

use crate::support::{OPEN, SECRETS, all, count_of, delivery, drained, event, in_state};

/// A copy of every event, in the lane that it names.
pub fn in_lanes(sink: &FakeSink, more: Value) -> String {
    let mut step = copy_to("sink");
    step["deliver"]["key"] = json!("{{ lane }}");
    File::new()
        .http_with("sink", &sink.url, more)
        .source("alerts")
        .rule("copy", json!([]), json!([step]))
        .text()
}

/// Sends an event of a lane; the id of its delivery.
pub async fn send(server: &Server, lane: &str, n: u64) -> Uuid {
    let payload = json!({ "lane": lane, "n": n });
    let sent = server.anonymous().hook("alerts", &payload).await;
    let event = event(&server.client(), sent.event_ids[0]).await;
    event.deliveries[0].id
}

/// The numbers that the sink took of a lane, in order of arrival.
pub fn arrived(sink: &FakeSink, lane: &str) -> Vec<u64> {
    let mut seen: Vec<(u64, u64)> = sink
        .seen()
        .values()
        .map(|seen| {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            (seen.first_at_us, body)
        })
        .filter(|(_, body)| body["lane"] == lane)
        .map(|(at, body)| (at, body["n"].as_u64().unwrap()))
        .collect();
    seen.sort_unstable();
    seen.into_iter().map(|(_, n)| n).collect()
}

/// Does something with a delivery.
pub async fn post(server: &Server, id: Uuid, what: &str) -> Delivery {
    let path = format!("/api/v1/deliveries/{id}/{what}");
    server.client().post(&path, &json!({})).await.ok()
}

/// What was made is what ended and what is open, and every note is counted once.
pub async fn sums_hold(server: &Server) {
    let number = async |query: &str| server.store.number(query).await;
    let all = number("SELECT COUNT(*) FROM delivery").await;
    let ended = "SELECT COUNT(*) FROM delivery WHERE state IN \
        ('delivered', 'dead', 'discarded', 'coalesced', 'superseded')";
    assert_eq!(all, number(ended).await + number(OPEN).await);
    let coalesced = "SELECT COUNT(*) FROM delivery WHERE state = 'coalesced'";
    let more = "SELECT CAST(COALESCE(SUM(repeats - 1), 0) AS BIGINT) FROM delivery \
        WHERE state NOT IN ('coalesced', 'superseded')";
    assert_eq!(number(coalesced).await, number(more).await);
}

both! {
    async fn skip_lets_the_next_one_go_on(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({}))).await;
        sink.fault(Fault::status(400));
        let mut ids = Vec::new();
        for n in 0..3 {
            ids.push(send(&server, "a", n).await);
        }
        in_state(&server.client(), ids[2], State::Delivered).await;
        assert_eq!(delivery(&server.client(), ids[0]).await.state, State::Dead);
        assert_eq!(arrived(&sink, "a"), [1, 2]);
        sums_hold(&server).await;
    }

    async fn park_sets_the_lane_aside_and_replays_it_in_order(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "park" }))).await;
        let client = server.client();
        sink.fault(Fault { latency_ms: 700, ..Fault::status(400) });
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(send(&server, "a", n).await);
        }
        for id in &ids {
            let dead = in_state(&client, *id, State::Dead).await;
            assert!(dead.lane_parked, "{dead:?}");
        }
        assert_eq!(delivery(&client, ids[0]).await.error_code.as_deref(), Some("http_400"));
        assert_eq!(delivery(&client, ids[3]).await.error_code.as_deref(), Some("lane_failed"));
        // What comes later joins them; another lane goes on.
        let late = send(&server, "a", 4).await;
        assert!(in_state(&client, late, State::Dead).await.lane_parked);
        let other = send(&server, "b", 9).await;
        in_state(&client, other, State::Delivered).await;
        assert_eq!(arrived(&sink, "a"), [0_u64; 0]);

        // Whichever is sent again: all of the lane is, in order.
        let again: ReplayedDelivery = client
            .post(&format!("/api/v1/deliveries/{}/replay", ids[2]), &json!({})).await.ok();
        assert_eq!(again.count, 5);
        in_state(&client, again.delivery_id, State::Delivered).await;
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0, 1, 2, 3, 4]);
        assert_eq!(delivery(&client, late).await.state, State::Superseded);
        let next = send(&server, "a", 5).await;
        in_state(&client, next, State::Delivered).await;
        sums_hold(&server).await;
    }

    async fn block_waits_until_a_person_decides(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "block" }))).await;
        let client = server.client();
        sink.answer(400);
        let first = send(&server, "a", 0).await;
        let stopped = in_state(&client, first, State::Parked).await;
        assert!(stopped.lane_parked);
        assert_eq!(stopped.error_code.as_deref(), Some("http_400"));
        let mut behind = Vec::new();
        for n in 1..4 {
            behind.push(send(&server, "a", n).await);
        }
        let waits = delivery(&client, behind[0]).await;
        assert_eq!((waits.state, waits.behind, waits.due_at), (State::Ready, true, None));
        let listed: Vec<Delivery> = all(&client, "/api/v1/deliveries?state=parked").await;
        assert_eq!(listed.len(), 1);
        // It does not hide among those that a person may let go without a look.
        client.post(&format!("/api/v1/deliveries/{}/retry", behind[0]), &json!({})).await
            .problem(Code::Conflict);

        post(&server, first, "retry").await;
        let again = wait_until("it failed once more", async || {
            Some(delivery(&client, first).await).filter(|d| d.attempts == 2)
        }).await;
        assert_eq!(again.state, State::Parked, "{again:?}");
        sink.answer(200);
        post(&server, first, "retry").await;
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0, 1, 2, 3]);

        sink.answer(400);
        let bad = send(&server, "a", 4).await;
        in_state(&client, bad, State::Parked).await;
        sink.answer(200);
        let next = send(&server, "a", 5).await;
        assert_eq!(delivery(&client, next).await.state, State::Ready);
        post(&server, bad, "discard").await;
        in_state(&client, next, State::Delivered).await;
        assert_eq!(arrived(&sink, "a"), [0, 1, 2, 3, 5]);
        sums_hold(&server).await;
    }

    async fn lanes_that_wait_are_tried_again_together(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "block" }))).await;
        let client = server.client();
        let parked = async |wanted: i64| {
            let stopped = "SELECT COUNT(*) FROM delivery WHERE state = 'parked' AND lane_parked";
            wait_until("the heads failed", async || {
                (server.store.number(stopped).await == wanted).then_some(())
            })
            .await;
        };
        // What a bad configuration does: every lane stops at its first delivery.
        sink.answer(400);
        for lane in 0..40 {
            send(&server, &format!("a{lane}"), 0).await;
        }
        parked(40).await;
        sink.answer(422);
        for lane in 0..3 {
            send(&server, &format!("b{lane}"), 0).await;
        }
        parked(43).await;
        for lane in 0..40 {
            send(&server, &format!("a{lane}"), 1).await;
        }
        let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
        let path = format!("/api/v1/connections/{}", connections[0].id);
        let waiting: Waiting = client.read(&format!("{path}/waiting")).await;
        let causes: Vec<_> = waiting.parked_causes.iter().map(|c| (c.error_code.as_str(), c.count)).collect();
        assert_eq!((waiting.parked, causes), (43, vec![("http_400", 40), ("http_422", 3)]));

        // What fails again waits again; a few are done at once.
        let retry = format!("{path}/retry-parked");
        let few: DeadResult = client.post(&retry, &json!({ "error_code": "http_422" })).await.ok();
        assert_eq!((few.count, few.failed, few.job), (3, 0, None));
        wait_until("they failed once more", async || {
            let again = "SELECT COUNT(*) FROM delivery WHERE state = 'parked' AND attempts = 2";
            (server.store.number(again).await == 3).then_some(())
        })
        .await;
        assert_eq!(sink.counts().taken, 0);

        // Many are a job, and only those of the cause.
        sink.answer(200);
        let many: DeadResult = client.post(&retry, &json!({ "error_code": "http_400" })).await.ok();
        let started = many.job.unwrap();
        assert_eq!((many.count, started.total, started.kind.as_str()), (40, 40, "connections.retry_parked"));
        let done = wait_until("the job is done", async || {
            let job: Job = client.read(&format!("/api/v1/jobs/{}", started.id)).await;
            (job.state == JobState::Done).then_some(job)
        })
        .await;
        assert_eq!((done.done, done.failed), (40, 0), "{done:?}");
        wait_until("their lanes are empty", async || {
            let open = format!("{OPEN} AND lane LIKE 'a%'");
            (server.store.number(&open).await == 0).then_some(())
        })
        .await;
        for lane in 0..40 {
            assert_eq!(arrived(&sink, &format!("a{lane}")), [0, 1]);
        }
        parked(3).await;
        let rest: DeadResult = client.post(&retry, &json!({})).await.ok();
        assert_eq!((rest.count, rest.job), (3, None));
        drained(&server).await;
        let none: DeadResult = client.post(&retry, &json!({})).await.ok();
        assert_eq!((none.count, none.failed), (0, 0));
        client.post(&retry, &json!({ "code": "http_400" })).await.problem(Code::ValidationFailed);

        let log: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=connections.retry_parked").await;
        let counts: Vec<_> = log.iter().map(|line| &line.after["count"]).collect();
        assert_eq!(counts, [3, 40, 3]);
        assert_eq!(log[1].after["job"], started.id.to_string());
        sums_hold(&server).await;
    }

    async fn all_that_waits_is_discarded_but_not_what_is_being_sent(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "block" }))).await;
        let client = server.client();
        sink.fault(Fault::status(400));
        let parked = send(&server, "a", 0).await;
        in_state(&client, parked, State::Parked).await;
        let behind = send(&server, "a", 1).await;
        let mut slow = Fault::new(tests::fakes::Effect::Delay);
        slow.latency_ms = 2_000;
        sink.fault(slow);
        let called = send(&server, "b", 2).await;
        let next = [send(&server, "b", 3).await, send(&server, "b", 4).await];
        wait_until("it is called", async || (sink.counts().requests == 2).then_some(())).await;

        let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
        let path = format!("/api/v1/connections/{}/discard-waiting", connections[0].id);
        let result: DeadResult = client.post(&path, &json!({})).await.ok();
        assert_eq!((result.count, result.failed, &result.job), (4, 1, &None), "{result:?}");
        assert_eq!(result.reasons["being_sent"], 1);
        for id in [parked, behind, next[0], next[1]] {
            assert_eq!(delivery(&client, id).await.state, State::Discarded);
        }
        in_state(&client, called, State::Delivered).await;
        // Their lanes are free again.
        for (lane, n) in [("a", 5), ("b", 6)] {
            let later = send(&server, lane, n).await;
            in_state(&client, later, State::Delivered).await;
        }
        assert_eq!((arrived(&sink, "a"), arrived(&sink, "b")), (vec![5], vec![2, 6]));
        sums_hold(&server).await;
    }

    async fn a_lane_that_waits_survives_a_restart(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&in_lanes(&sink, json!({ "on_failure": "block" }))).await;
        sink.fault(Fault::status(400));
        let first = send(&server, "a", 0).await;
        in_state(&server.client(), first, State::Parked).await;
        let second = send(&server, "a", 1).await;
        server.restart().await;
        assert_eq!(delivery(&server.client(), second).await.state, State::Ready);
        post(&server, first, "retry").await;
        drained(&server).await;
        assert_eq!(arrived(&sink, "a"), [0, 1]);
    }

    async fn a_close_before_its_open_is_resolved_comes_after_it(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        // The open is in doubt: its reply fails, again and again, while the close is here already.
        desk.fault(Fault::status(500).on("POST", "/service/tickets").times(3));
        for state in ["down", "up"] {
            server.anonymous().hook("alerts", &json!({ "key": "web1", "state": state })).await;
        }
        drained(&server).await;
        let [ticket] = desk.tickets().try_into().unwrap();
        assert_eq!(ticket["closedFlag"], true, "{ticket}");
        let effects: Vec<Delivery> = all(&server.client(), "/api/v1/deliveries").await;
        let effects: Vec<_> = effects.iter().rev().map(|d| d.effect.as_deref().unwrap()).collect();
        assert_eq!(effects, ["created", "closed"]);
    }

    async fn a_storm_of_notes_becomes_a_few(db) {
        const STORM: u64 = 2000;
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let anonymous = server.anonymous();
        anonymous.hook("alerts", &json!({ "key": "web1", "state": "down" })).await;
        drained(&server).await;
        let mut slow = Fault::new(tests::fakes::Effect::Delay).on("POST", "/notes").times(0);
        slow.latency_ms = 300;
        desk.fault(slow);
        let note = json!({ "key": "web1", "state": "flaps" });
        for _ in 0..(STORM / 100) {
            let sent = (0..100).map(|_| anonymous.hook("alerts", &note));
            futures_util::future::join_all(sent).await;
        }
        anonymous.hook("alerts", &json!({ "key": "web1", "state": "up" })).await;
        wait_until_within(std::time::Duration::from_secs(90), "the storm is over", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        let [ticket] = desk.tickets().try_into().unwrap();
        assert_eq!(ticket["closedFlag"], true, "the close was not lost among the notes");
        let notes: Vec<String> = desk
            .notes(ticket["id"].as_i64().unwrap())
            .iter()
            .map(|note| note["text"].as_str().unwrap().to_owned())
            .filter(|text| text.contains("Signalbox noted"))
            .collect();
        let total: u64 = notes.iter().map(|text| count_of(text)).sum();
        assert_eq!(total, STORM, "every alert is counted: {notes:?}");
        assert!(notes.len() < 200, "{} notes", notes.len());
        sums_hold(&server).await;
        let counted = "SELECT CAST(SUM(value) AS BIGINT) FROM stat_hour WHERE metric = 'coalesced'";
        let coalesced = "SELECT COUNT(*) FROM delivery WHERE state = 'coalesced'";
        assert_eq!(server.store.number(counted).await, server.store.number(coalesced).await);
    }

    async fn repeats_of_an_open_become_one_and_never_pass_a_close(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let states = ["down", "down", "down", "down", "up", "down", "down", "down", "flaps", "down"];
        let alerts: Vec<Value> = states.iter().map(|state| json!({ "key": "web1", "state": state })).collect();
        queued(&server, &desk, &alerts).await;
        let coalesced: Vec<Delivery> = all(&server.client(), "/api/v1/deliveries?state=coalesced").await;
        assert_eq!(coalesced.len(), 3, "{coalesced:?}");
        let_go(&server).await;
        let is = |effect: &str, repeats| (effect.to_owned(), repeats);
        assert_eq!(effects(&server).await, [
            is("created", 1), is("noted", 3), is("closed", 1),
            is("created", 1), is("noted", 2), is("noted", 1), is("noted", 1),
        ]);
        let [first, second] = desk.tickets().try_into().unwrap();
        assert_eq!((&first["closedFlag"], &second["closedFlag"]), (&json!(true), &json!(false)));
        let counts = |ticket: &Value| texts(&desk, ticket).iter().map(|t| count_of(t)).collect::<Vec<_>>();
        assert_eq!((counts(&first), counts(&second)), (vec![1, 3, 1], vec![1, 2, 1, 1]));
        sums_hold(&server).await;
    }

    async fn what_stands_for_repeats_makes_the_ticket_if_the_first_cannot(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let alert = json!({ "key": "web1", "state": "down" });
        queued(&server, &desk, &[alert.clone(), alert.clone(), alert.clone(), alert]).await;
        desk.fault(Fault::status(400).on("POST", "/service/tickets").times(1));
        let_go(&server).await;
        assert_eq!(effects(&server).await, [("dead".to_owned(), 1), ("created".to_owned(), 3)]);
        let [ticket] = desk.tickets().try_into().unwrap();
        let [text] = texts(&desk, &ticket).try_into().unwrap();
        assert_eq!(count_of(&text), 3, "{text}");
        sums_hold(&server).await;
    }

    async fn repeats_for_another_customer_are_no_repeats(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let companies = ["DEF", "ACME", "DEF", "ACME", "DEF"];
        let alerts: Vec<Value> = companies
            .iter()
            .map(|company| json!({ "key": "web1", "state": "down", "company": company }))
            .collect();
        queued(&server, &desk, &alerts).await;
        let_go(&server).await;
        let is = |effect: &str, repeats| (effect.to_owned(), repeats);
        assert_eq!(effects(&server).await, [is("created", 1), is("created", 2), is("noted", 2)]);
        let made = desk.tickets();
        let made: Vec<&str> = made.iter().map(|t| t["company"]["identifier"].as_str().unwrap()).collect();
        assert_eq!(made, ["DEF", "ACME"]);
        sums_hold(&server).await;
    }

    async fn a_repeat_keeps_its_place_and_becomes_one_only_where_that_is_wanted(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        let file = tickets_with(&desk, json!({ "coalesce": false }));
        server.apply_with(&file, SECRETS).await;
        let mut slow = Fault::new(tests::fakes::Effect::Delay).on("POST", "/service/tickets").times(1);
        slow.latency_ms = 800;
        desk.fault(slow);
        let anonymous = server.anonymous();
        for state in ["down", "down", "flaps", "flaps", "flaps", "down"] {
            anonymous.hook("alerts", &json!({ "key": "web1", "state": state })).await;
        }
        drained(&server).await;
        let none = "SELECT COUNT(*) FROM delivery WHERE state <> 'delivered'";
        assert_eq!(server.store.number(none).await, 0);

        let file = tickets_with(&desk, json!({ "coalesce": true }));
        server.apply_with(&file, SECRETS).await;
        let mut slow = Fault::new(tests::fakes::Effect::Delay).on("POST", "/notes").times(1);
        slow.latency_ms = 800;
        desk.fault(slow);
        for state in ["down", "flaps", "flaps", "down", "flaps", "flaps", "flaps"] {
            anonymous.hook("alerts", &json!({ "key": "web1", "state": state })).await;
        }
        drained(&server).await;
        let coalesced: Vec<Delivery> = all(&server.client(), "/api/v1/deliveries?state=coalesced").await;
        assert_eq!(coalesced.len(), 3, "one of the first two, two of the last three: {coalesced:?}");
        for one in &coalesced {
            assert_eq!(one.action.as_deref(), Some("note"));
            let into = delivery(&server.client(), one.coalesced_into.unwrap()).await;
            assert!(into.id > one.id);
        }
        sums_hold(&server).await;
    }
}

/// Sends one that the credentials are refused for, and then these: they wait behind it.
async fn queued(server: &Server, desk: &FakeConnectWise, alerts: &[Value]) {
    desk.fault(Fault::status(401).on("GET", "/service/tickets").times(1));
    let anonymous = server.anonymous();
    for (n, alert) in alerts.iter().enumerate() {
        let sent = anonymous.hook("alerts", alert).await;
        if n == 0 {
            let event = event(&server.client(), sent.event_ids[0]).await;
            in_state(&server.client(), event.deliveries[0].id, State::Paused).await;
        }
    }
}

/// The credentials are taken again: what waits goes on.
async fn let_go(server: &Server) {
    let connections: Vec<Connection> = all(&server.client(), "/api/v1/connections").await;
    let psa = connections.into_iter().find(|c| c.name == "psa").unwrap();
    let path = format!("/api/v1/connections/{}/test", psa.id);
    let passed: TestResult = server.client().post(&path, &json!({})).await.ok();
    assert!(passed.ok, "{passed:?}");
    drained(server).await;
}

/// Effect and count of each delivery, oldest first; none of those that became part of another.
async fn effects(server: &Server) -> Vec<(String, i32)> {
    let rows: Vec<Delivery> = all(&server.client(), "/api/v1/deliveries").await;
    let sent = rows.iter().rev().filter(|d| d.state != State::Coalesced);
    sent.map(|d| {
        (
            d.effect
                .clone()
                .unwrap_or_else(|| d.state.as_str().to_owned()),
            d.repeats,
        )
    })
    .collect()
}

fn texts(desk: &FakeConnectWise, ticket: &Value) -> Vec<String> {
    let notes = desk.notes(ticket["id"].as_i64().unwrap());
    notes
        .iter()
        .map(|note| note["text"].as_str().unwrap().to_owned())
        .collect()
}

/// A ticket for each key, with a note of whatever is neither down nor up.
pub fn tickets(desk: &FakeConnectWise) -> String {
    tickets_with(desk, json!({}))
}

fn tickets_with(desk: &FakeConnectWise, more: Value) -> String {
    File::new()
        .connectwise_with("psa", &desk.url, more)
        .source("alerts")
        .rule(
            "alerts",
            json!([]),
            json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "{{ key }}",
                "lifecycle": { "path": "$.state", "open": ["down"], "close": ["up"], "otherwise": "note" },
                "map": {
                    "summary": "Alert {{ key }}",
                    "board": { "value": "Service Board" },
                    "company": "{{ company | default: 'DEF' }}",
                    "note": "It {{ state }}.",
                },
            }}]),
        )
        .text()
}
