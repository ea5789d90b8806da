//! Sources that fall silent.

use openapi::deliveries::State;
use openapi::events::EventSummary;
use openapi::notices::Notice;
use openapi::sources::Source;
use openapi::stats::Stats;
use serde_json::{Value, json};
use tests::yaml::File;
use tests::{Client, Server, both, wait_until};

use crate::support::{all, event, settled};

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
