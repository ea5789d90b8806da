//! Lanes: their order whatever fails, what becomes of a failed head, notes that become one.

use openapi::deliveries::{Delivery, ReplayedDelivery, State};
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{FakeSink, Fault};
use tests::yaml::{File, copy_to};
use tests::{Server, both, wait_until, wait_until_within};
use uuid::Uuid;

use crate::support::{OPEN, SECRETS, all, delivery, drained, event, in_state};

/// A copy of every event, in the lane that it names.
fn in_lanes(sink: &FakeSink, more: Value) -> String {
    let mut step = copy_to("sink");
    step["deliver"]["key"] = json!("{{ lane }}");
    File::new()
        .http_with("sink", &sink.url, more)
        .source("alerts")
        .rule("copy", json!([]), json!([step]))
        .text()
}

async fn send(server: &Server, lane: &str, n: u64) -> Uuid {
    let payload = json!({ "lane": lane, "n": n });
    let sent = server.anonymous().hook("alerts", &payload).await;
    let event = event(&server.client(), sent.event_ids[0]).await;
    event.deliveries[0].id
}

/// The numbers that the sink took of a lane, in order of arrival.
fn arrived(sink: &FakeSink, lane: &str) -> Vec<u64> {
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

async fn post(server: &Server, id: Uuid, what: &str) -> Delivery {
    let path = format!("/api/v1/deliveries/{id}/{what}");
    server.client().post(&path, &json!({})).await.ok()
}

/// What was made is what ended and what is open, and every note is counted once.
async fn sums_hold(server: &Server) {
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

    async fn opens_are_never_coalesced_and_notes_only_where_it_is_wanted(db) {
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

/// `text (×n)` on the first lines of a note; 1 without it.
fn count_of(text: &str) -> u64 {
    text.split("(\u{d7}")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .map_or(1, |n| n.parse().unwrap())
}

fn tickets(desk: &FakeConnectWise) -> String {
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
                    "note": "It {{ state }}.",
                },
            }}]),
        )
        .text()
}
