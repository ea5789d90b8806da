//! Sources that fall silent.

use openapi::deliveries::State;
use openapi::events::EventSummary;
use openapi::notices::Notice;
use openapi::sources::Source;
use openapi::stats::Stats;
use serde_json::{Value, json};
use tests::yaml::File;
use tests::{Client, Database, Options, Server, both, wait_until};

use crate::clocks::{HOUR_MS, Hand, noticed};
use crate::support::{all, event, now, settled};

const SILENT: &str =
    "SELECT COUNT(*) FROM event WHERE idempotency_key LIKE 'signalbox:source.silent:%'";
const RECOVERED: &str =
    "SELECT COUNT(*) FROM event WHERE idempotency_key LIKE 'signalbox:source.recovered:%'";

async fn source(client: &Client) -> Source {
    let all: Vec<Source> = all(client, "/api/v1/sources").await;
    all.into_iter().find(|s| s.slug == "beat").unwrap()
}

/// The newest event whose payload is of this type.
async fn told(client: &Client, kind: &str) -> Option<uuid::Uuid> {
    for line in all::<EventSummary>(client, "/api/v1/events").await {
        let payload = event(client, line.id).await.payload.unwrap();
        if payload["type"] == kind {
            return Some(line.id);
        }
    }
    None
}

fn file(after: u32) -> String {
    let rule = json!([{ "deliver": {
        "connection": "desk",
        "operation": "ticket.upsert",
        "key": "silence:{{ source.slug }}",
        "lifecycle": { "path": "$.type", "open": ["source.silent"], "close": ["source.recovered"] },
        "map": { "summary": "{{ message }}" },
    }}]);
    let when =
        json!([{ "path": "$.type", "op": "in", "value": ["source.silent", "source.recovered"] }]);
    File::new()
        .sandbox("desk", json!({}))
        .source_with("beat", json!({ "heartbeat": { "after": after } }))
        .source("free")
        .rule("silence", when, rule)
        .text()
}

both! {
    async fn one_silence_raises_one_alert_and_its_end_closes_the_ticket(db) {
        let server = Server::start(db).await;
        server.apply(&file(1)).await;
        let client = server.client();
        server.anonymous().hook("beat", &json!({ "msg": "alive" })).await;
        let alert = wait_until("the silence is told", async || told(&client, "source.silent").await).await;
        let told_of = event(&client, alert).await;
        let payload = told_of.payload.clone().unwrap();
        assert_eq!(payload["source"]["slug"], "beat");
        assert_eq!(payload["after_seconds"], 1);
        assert!(payload["silent_seconds"].as_i64().unwrap() >= 1, "{payload}");
        let opened = settled(&client, alert).await;
        assert_eq!(opened.deliveries[0].effect.as_deref(), Some("created"));
        wait_until("the light is red", async || source(&client).await.silent_since).await;
        let notices: Vec<Notice> = all(&client, "/api/v1/notices").await;
        assert!(notices.iter().any(|n| n.kind == "source" && n.name == "beat"), "{notices:?}");
        let lights = client.read::<Stats>("/api/v1/stats").await.lights;
        assert!(lights.iter().any(|l| l.kind == "source" && l.colour == "red"), "{lights:?}");

        // Neither a restart nor another look makes a second alert of it.
        server.kill();
        server.resume().await;
        let client = server.client();
        server.apply(&file(100_000)).await;
        assert!(source(&client).await.silent_since.is_some());
        server.anonymous().hook("beat", &json!({ "msg": "alive" })).await;
        let end = wait_until("the return is told", async || told(&client, "source.recovered").await).await;
        assert_eq!(event(&client, end).await.payload.unwrap()["cause"], "event");
        let closed = settled(&client, end).await;
        assert_eq!((closed.deliveries[0].state, closed.deliveries[0].effect.as_deref()), (State::Delivered, Some("closed")));
        wait_until("the light is green", async || {
            source(&client).await.silent_since.is_none().then_some(())
        }).await;
        assert_eq!(server.store.number(SILENT).await, 1);
        assert_eq!(server.store.number(RECOVERED).await, 1);
        assert!(all::<Notice>(&client, "/api/v1/notices").await.is_empty());
    }

    async fn a_source_that_was_never_heard_counts_from_its_heartbeat(db) {
        let server = Server::start(db).await;
        server.apply(&file(1)).await;
        let client = server.client();
        let alert = wait_until("the silence is told", async || told(&client, "source.silent").await).await;
        settled(&client, alert).await;
        let now = wait_until("it is known", async || {
            Some(source(&client).await).filter(|s| s.silent_since.is_some())
        }).await;
        let path = format!("/api/v1/sources/{}", now.id);
        let off: Source = client.patch(&path, now.revision, &json!({ "heartbeat": null })).await.ok();
        assert!(off.heartbeat.is_none());
        let end = wait_until("the end is told", async || told(&client, "source.recovered").await).await;
        assert_eq!(event(&client, end).await.payload.unwrap()["cause"], "switched_off");
        let rows: Value = client.read("/api/v1/connections").await;
        assert_eq!(rows["items"].as_array().unwrap().len(), 1);
    }

    async fn what_is_heard_is_not_written_into_the_source(db) {
        let server = Server::start(db).await;
        server.apply(&file(3_600)).await;
        let client = server.client();
        let before = source(&client).await;
        let row = async || {
            let name = "SELECT CAST(revision AS BIGINT) FROM source WHERE slug = 'beat'";
            let time = "SELECT CAST(updated_at AS BIGINT) FROM source WHERE slug = 'beat'";
            (server.store.number(name).await, server.store.number(time).await)
        };
        let at_first = row().await;
        let beats = async || server.store.number("SELECT CAST(COALESCE(MAX(at), 0) AS BIGINT) FROM source_beat").await;
        // Over several of the writes of what was heard.
        let (mut written, mut last, mut sent) = (0, 0, 0);
        while written < 3 {
            let senders = (0..8).map(|n| {
                let door = server.anonymous();
                async move { door.hook("beat", &json!({ "n": n })).await }
            });
            sent += futures_util::future::join_all(senders).await.len();
            let now = beats().await;
            if now > last {
                (written, last) = (written + 1, now);
            }
        }
        assert_eq!(row().await, at_first, "after {sent} events");
        let after = source(&client).await;
        assert_eq!((after.revision, after.updated_at), (before.revision, before.updated_at));
        assert_eq!(server.store.number("SELECT COUNT(*) FROM source_beat").await, 1, "one row for a node and a source");
    }

    async fn silence_is_told_once_however_the_clock_is_set(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        server.apply(&file(2)).await;
        let silences = async || server.store.number(SILENT).await;
        let beat = async || {
            server.anonymous().hook("beat", &json!({ "msg": "alive" })).await;
        };
        let mut jumps = 0;
        let mut turn = async |offset: i64| {
            hand.turn(offset);
            jumps += 1;
            noticed(&server, jumps).await;
            // Who lives by the new clock is known when the node has said so.
            let alive = format!(
                "SELECT COUNT(*) FROM node WHERE lease_until > {}",
                now() * 1000 + offset
            );
            wait_until("the node lives by its new clock", async || {
                (server.store.number(&alive).await == 1).then_some(())
            })
            .await;
        };
        let told_times = async |times: i64| {
            wait_until(&format!("silence {times} is told"), async || (silences().await == times).then_some(())).await;
        };
        let back = async |times: i64| {
            beat().await;
            wait_until(&format!("return {times} is told"), async || {
                (server.store.number(RECOVERED).await == times).then_some(())
            }).await;
        };
        beat().await;
        told_times(1).await;
        // An hour forth is no second silence of it.
        turn(HOUR_MS).await;
        back(1).await;
        assert_eq!(silences().await, 1);
        told_times(2).await;
        back(2).await;
        // Heard by a clock that is an hour ahead, then never again: nobody waits for that hour.
        turn(0).await;
        told_times(3).await;
        back(3).await;
        // The same by a clock behind that of the server's start.
        turn(-HOUR_MS).await;
        told_times(4).await;
        back(4).await;
        let twice = "SELECT COUNT(*) FROM (SELECT idempotency_key FROM event WHERE idempotency_key \
                     IS NOT NULL GROUP BY idempotency_key HAVING COUNT(*) > 1) AS twice";
        assert_eq!(server.store.number(twice).await, 0);
    }

    async fn an_outage_of_the_server_is_no_silence(db) {
        let server = Server::start(db).await;
        server.apply(&file(6)).await;
        let client = server.client();
        server.anonymous().hook("beat", &json!({})).await;
        wait_until("it is written when it was heard", async || {
            (server.store.number("SELECT COUNT(*) FROM source_beat").await == 1).then_some(())
        }).await;
        // As if the server had been down for a day.
        server.kill();
        server.store.run("UPDATE source_beat SET at = at - 86400000").await;
        server.store.run("UPDATE timer SET due_at = due_at - 86400000 WHERE kind = 'silence'").await;
        server.resume().await;
        wait_until("the source was looked at", async || {
            let due = "SELECT COUNT(*) FROM timer t, node n WHERE t.kind = 'silence' AND t.due_at >= n.started_at + 11000";
            (server.store.number(due).await > 0).then_some(())
        }).await;
        assert_eq!(server.store.number(SILENT).await, 0, "it counts from the start");
        assert!(source(&client).await.silent_since.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_tell_a_silence_once() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let one = Server::start_with(db, Options::default()).await;
    let two = one.another(Options::default());
    two.resume().await;
    one.apply(&file(4)).await;
    wait_until("both serve it", async || {
        let answer = two.anonymous().post("/hooks/beat", &json!({})).await;
        (answer.status.as_u16() == 202).then_some(())
    })
    .await;
    // Each hears it now and then; together they hear it all the time.
    let beats = "SELECT COUNT(DISTINCT node_id) FROM source_beat";
    wait_until("both wrote when they heard it", async || {
        for node in [&one, &two] {
            node.anonymous().hook("beat", &json!({})).await;
        }
        (one.store.number(beats).await == 2).then_some(())
    })
    .await;
    assert_eq!(one.store.number(SILENT).await, 0);
    let client = one.client();
    let alert = wait_until("the silence is told", async || {
        told(&client, "source.silent").await
    })
    .await;
    settled(&client, alert).await;
    // Both look at what is due as often as they can, and it is a silence already.
    let ring =
        "UPDATE timer SET due_at = 0, owner = NULL, fence = fence + 1 WHERE kind = 'silence'";
    let rang = "SELECT COUNT(*) FROM timer WHERE kind = 'silence' AND due_at > 0";
    for _ in 0..5 {
        one.store.run(ring).await;
        wait_until("it was looked at again", async || {
            (one.store.number(rang).await == 1).then_some(())
        })
        .await;
    }
    assert_eq!(one.store.number(SILENT).await, 1);
    two.anonymous().hook("beat", &json!({})).await;
    let end = wait_until("the return is told", async || {
        told(&client, "source.recovered").await
    })
    .await;
    let closed = settled(&client, end).await;
    assert_eq!(closed.deliveries[0].effect.as_deref(), Some("closed"));
    assert_eq!(one.store.number(SILENT).await, 1);
    assert_eq!(one.store.number(RECOVERED).await, 1);
    let tickets = "SELECT COUNT(*) FROM delivery WHERE rule_name = 'silence'";
    assert_eq!(one.store.number(tickets).await, 2, "one opens, one closes");
}
