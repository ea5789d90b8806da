//! Lifecycle messages: who is told what, how it is signed and repeated, and what it cannot do.

use std::collections::BTreeMap;

use openapi::audit::AuditEntry;
use openapi::connections::{Connection, ConnectionCreated, TestResult};
use openapi::deliveries::{DeadResult, Delivery, ReplayedDelivery, State};
use openapi::events::EventSummary;
use openapi::jobs::JobState;
use openapi::notices::Notice;
use openapi::problem::Code;
use openapi::stats::Stats;
use openapi::webhooks::{
    Kind, NewSigningSecret, WebhookConnection, WebhookDelivery, WebhookEvent, WebhookMessage,
    WebhookSource,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::fakes::sink::Seen;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::signing::{base64, sha256, webhook_key};
use tests::yaml::{File, copy_to, quick};
use tests::{Client, Options, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{all, delivered, drained, event, in_state, job_ended};

/// A sink behind the rule `copy`, and nothing else.
fn to(sink: &FakeSink) -> File {
    File::new().http("sink", &sink.url).source("alerts").rule(
        "copy",
        json!([]),
        json!([copy_to("sink")]),
    )
}

/// So many sinks.
async fn sinks<const N: usize>() -> [FakeSink; N] {
    let mut sinks = Vec::new();
    for _ in 0..N {
        sinks.push(FakeSink::start().await.unwrap());
    }
    sinks.try_into().unwrap()
}

/// Subscribes a sink; `more` joins its settings.
pub async fn subscribe(
    client: &Client,
    name: &str,
    hub: &FakeSink,
    more: Value,
) -> ConnectionCreated {
    let mut settings = json!({ "url": hub.url, "types": ["*"] });
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let new = json!({
        "name": name, "connector": "webhook", "allow_private": true, "retry": quick(), "settings": settings,
    });
    client.post("/api/v1/connections", &new).await.ok()
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    let found = seen.headers.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

/// The signatures of a message by a secret, as a receiver makes them.
fn signature(seen: &Seen, secret: &str) -> String {
    let parts: [&[u8]; 5] = [
        header(seen, "webhook-id").as_bytes(),
        b".",
        header(seen, "webhook-timestamp").as_bytes(),
        b".",
        seen.body.as_bytes(),
    ];
    format!("v1,{}", base64(&sha256(&webhook_key(secret), &parts)))
}

/// What the example in the guide says of a message.
fn documented(server: &Server, seen: &Seen, secret: &str) -> bool {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/webhooks.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once("```python\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let headers: BTreeMap<&str, &str> = seen
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let message = json!({ "secret": secret, "headers": headers, "body": seen.body });
    let message = server.write("message.json", &message.to_string());
    let text = format!(
        "{example}\nimport json, sys\nm = json.load(open(sys.argv[1]))\n\
         sys.exit(0 if verify(m['secret'], m['headers'], m['body'].encode()) else 9)\n"
    );
    let script = server.write("verify.py", &text);
    let done = std::process::Command::new("python3")
        .arg(script)
        .arg(message)
        .output()
        .unwrap();
    assert!(matches!(done.status.code(), Some(0 | 9)), "{done:?}");
    done.status.success()
}

/// What a hub was told, by type.
pub fn told(hub: &FakeSink) -> BTreeMap<String, Vec<WebhookMessage>> {
    let mut by_type: BTreeMap<String, Vec<WebhookMessage>> = BTreeMap::new();
    for seen in hub.seen().into_values() {
        let message: WebhookMessage = serde_json::from_str(&seen.body).unwrap();
        by_type
            .entry(message.kind.clone())
            .or_default()
            .push(message);
    }
    by_type
}

/// Waits until a hub was told so many messages of a type.
pub async fn told_of(hub: &FakeSink, kind: &str, count: usize) -> Vec<WebhookMessage> {
    wait_until(&format!("{count} × {kind}"), async || {
        let messages = told(hub).remove(kind).unwrap_or_default();
        (messages.len() >= count).then_some(messages)
    })
    .await
}

/// What a message is about.
pub fn data<T: DeserializeOwned>(message: &WebhookMessage) -> T {
    serde_json::from_value(message.data.clone()).unwrap()
}

async fn connection(client: &Client, id: Uuid) -> Connection {
    client.read(&format!("/api/v1/connections/{id}")).await
}

/// Runs a statement on the database of a server.
async fn sql(server: &Server, statement: &str) {
    use sea_orm::ConnectionTrait as _;
    let db = server.store.connect().await;
    db.execute_unprepared(statement).await.unwrap();
    db.close().await.unwrap();
}

/// Lets no message be written any more, as a database in trouble might; or again.
async fn stop_messages(server: &Server, stop: bool) {
    use sea_orm::{ConnectionTrait as _, DatabaseBackend};
    let db = server.store.connect().await;
    let statement = match (db.get_database_backend(), stop) {
        (DatabaseBackend::Postgres, true) => {
            "ALTER TABLE delivery ADD CONSTRAINT stopped CHECK (operation <> 'webhook.send') NOT VALID"
        }
        (DatabaseBackend::Postgres, false) => "ALTER TABLE delivery DROP CONSTRAINT stopped",
        (_, true) => {
            "CREATE TRIGGER stopped BEFORE INSERT ON delivery WHEN NEW.operation = 'webhook.send' \
             BEGIN SELECT RAISE(ABORT, 'stopped'); END"
        }
        (_, false) => "DROP TRIGGER stopped",
    };
    db.execute_unprepared(statement).await.unwrap();
    db.close().await.unwrap();
}

/// Whether a banner and a light say that something is wrong with a connection.
async fn assert_red(client: &Client, connection: &Connection, red: bool) {
    let notices: Vec<Notice> = all(client, "/api/v1/notices").await;
    let notice = notices.iter().find(|n| n.id == Some(connection.id));
    assert_eq!(notice.is_some(), red, "{notices:?}");
    if let Some(notice) = notice {
        assert_eq!(
            (notice.kind.as_str(), notice.colour.as_str()),
            ("connection", "red")
        );
        assert_eq!(Some(&notice.text), connection.state_reason.as_ref());
    }
    let stats: Stats = client.read("/api/v1/stats").await;
    let light = stats
        .lights
        .iter()
        .find(|l| l.id == Some(connection.id))
        .unwrap();
    assert_eq!(light.colour == "red", red, "{light:?}");
}

/// The messages in the guide are what is sent, and its table has every type.
#[test]
fn the_examples_of_the_guide_are_messages() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/webhooks.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    for kind in Kind::ALL {
        assert!(
            guide.contains(&format!("`{}`", kind.word())),
            "{}",
            kind.word()
        );
    }
    let blocks = guide.split("```json\n").skip(1);
    let mut messages: Vec<WebhookMessage> = Vec::new();
    for block in blocks.map(|rest| rest.split("```").next().unwrap()) {
        let value: Value = serde_json::from_str(block).unwrap();
        let list = if value.is_array() {
            value
        } else {
            json!([value])
        };
        messages.extend(serde_json::from_value::<Vec<WebhookMessage>>(list).unwrap());
    }
    assert!(messages.len() > 5);
    for message in &messages {
        let kind = Kind::ALL.iter().find(|kind| kind.word() == message.kind);
        assert!(kind.is_some(), "{message:?}");
        let (family, _) = message.kind.split_once('.').unwrap();
        let read = match family {
            "event" => json!(data::<WebhookEvent>(message)),
            "delivery" => json!(data::<WebhookDelivery>(message)),
            "source" => json!(data::<WebhookSource>(message)),
            _ => json!(data::<WebhookConnection>(message)),
        };
        assert_eq!(read, message.data, "nothing is lost on the way");
    }
}

both! {
    async fn an_event_and_its_delivery_are_told_signed_and_counted_as_nothing_else(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        let made = subscribe(&client, "hub", &hub, json!({})).await;
        let secret = made.generated["signing_secret"].clone();
        assert!(secret.starts_with("whsec_"), "{secret}");
        let again = connection(&client, made.connection.id).await;
        assert_eq!(again, made.connection, "the secret is shown once");

        let sent = server.anonymous().hook("alerts", &json!({ "msg": "hello" })).await;
        let received = told_of(&hub, "event.received", 1).await;
        let delivered = told_of(&hub, "delivery.delivered", 1).await;
        let received: WebhookEvent = data(&received[0]);
        assert_eq!((received.event_id, received.source.as_str()), (sent.event_ids[0], "alerts"));
        assert_eq!(received.rules, ["copy"]);
        assert_eq!((received.title, received.payload), (None, None), "ids only");
        let delivered: WebhookDelivery = data(&delivered[0]);
        assert_eq!((delivered.event_id, delivered.connection.as_str()), (sent.event_ids[0], "sink"));
        assert_eq!((delivered.state.as_str(), delivered.attempts, delivered.fields), ("delivered", 1, None));
        assert_eq!(delivered.source.as_deref(), Some("alerts"));
        for seen in hub.seen().values() {
            assert_eq!(header(seen, "webhook-signature"), signature(seen, &secret));
            assert_eq!(header(seen, "content-type"), "application/json");
            assert!(documented(&server, seen, &secret), "the example of the guide verifies it");
            assert!(!documented(&server, seen, &format!("whsec_{}", base64(b"another"))));
            assert_eq!(header(seen, "x-correlation-id"), sent.correlation_id);
        }
        drained(&server).await;
        assert_eq!(told(&hub).values().flatten().count(), 2, "no message about a message");

        let stats: Stats = client.read("/api/v1/stats").await;
        assert_eq!((stats.today.accepted, stats.today.delivered), (1, 1));
        let shown = event(&client, sent.event_ids[0]).await;
        assert_eq!(shown.deliveries.len(), 1, "the way of the event alone");
        let messages: Vec<Delivery> = all(&client, "/api/v1/deliveries?connection=hub").await;
        assert_eq!(messages.len(), 2);
        assert!(messages.iter().all(|m| m.rule == "lifecycle" && m.operation == "webhook.send"));
    }

    async fn failures_are_told_and_a_message_keeps_its_id_over_repeats(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["delivery.*"], "detail": "full" })).await;
        hub.fault(Fault::new(Effect::LoseReply).times(2));
        hub.fault(Fault::status(404).times(2));
        sink.fault(Fault::status(500));
        let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
        let failed = told_of(&hub, "delivery.failed", 1).await;
        let failed: WebhookDelivery = data(&failed[0]);
        assert_eq!((failed.error_code.as_deref(), failed.attempts), (Some("http_500"), 1));
        assert!(failed.next_attempt_at.is_some() && failed.error.is_some());
        assert_eq!(failed.fields.unwrap()["body"]["n"], 1);
        let delivered = told_of(&hub, "delivery.delivered", 1).await;
        assert_eq!(data::<WebhookDelivery>(&delivered[0]).event_id, sent.event_ids[0]);

        sink.answer(400);
        server.anonymous().hook("alerts", &json!({ "n": 2 })).await;
        let dead = told_of(&hub, "delivery.dead", 1).await;
        let dead: WebhookDelivery = data(&dead[0]);
        assert_eq!((dead.state.as_str(), dead.error_code.as_deref()), ("dead", Some("http_400")));
        wait_until("every message was taken", async || {
            let open: Vec<Delivery> = all(&client, "/api/v1/deliveries?connection=hub&state=ready,leased,retrying").await;
            open.is_empty().then_some(())
        }).await;
        let seen = hub.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen.values().any(|s| s.count > 1), "a lost reply is repeated");
        assert!(seen.values().all(|s| s.bodies == 1), "a repeat has the same body");
    }

    async fn a_lane_that_fails_is_told_whole(db) {
        let server = Server::start(db).await;
        let [sink, hub, other, quiet] = sinks().await;
        let mut step = copy_to("sink");
        step["deliver"]["key"] = json!("{{ lane }}");
        let file = |on_failure: &str| {
            let copy = |slug: &str| (slug.to_owned(), json!([step.clone()]));
            let rules = ["alerts", "other"].map(copy);
            let file = File::new()
                .http_with("sink", &sink.url, json!({ "on_failure": on_failure }))
                .source("alerts").source("other").source("quiet");
            rules.into_iter().fold(file, |file, (slug, then)| file.rule_of(&slug, &slug, json!([]), then)).text()
        };
        server.apply(&file("park")).await;
        let client = server.client();
        let types = json!(["delivery.dead", "delivery.parked"]);
        subscribe(&client, "hub", &hub, json!({ "types": types })).await;
        subscribe(&client, "other", &other, json!({ "types": types, "sources": ["other"] })).await;
        subscribe(&client, "quiet", &quiet, json!({ "types": types, "sources": ["quiet"] })).await;
        let anonymous = server.anonymous();
        sink.fault(Fault { latency_ms: 700, ..Fault::status(400) });
        let mut ids = Vec::new();
        for slug in ["alerts", "alerts", "other"] {
            let sent = anonymous.hook(slug, &json!({ "lane": "a" })).await;
            ids.push(event(&client, sent.event_ids[0]).await.deliveries[0].id);
        }
        let head: WebhookDelivery = data(&told_of(&hub, "delivery.dead", 1).await[0]);
        assert_eq!((head.delivery_id, head.state.as_str(), head.lane_dead), (ids[0], "dead", Some(2)));
        assert_eq!(head.error_code.as_deref(), Some("http_400"));
        // One of those behind it came from the source that this one asks about.
        let head: WebhookDelivery = data(&told_of(&other, "delivery.dead", 1).await[0]);
        assert_eq!(head.delivery_id, ids[0]);
        for id in &ids {
            in_state(&client, *id, State::Dead).await;
        }
        // What joins the lane later is told by itself.
        let late = anonymous.hook("other", &json!({ "lane": "a" })).await;
        for hub in [&hub, &other] {
            let dead = told_of(hub, "delivery.dead", 2).await;
            let late = dead.iter().map(data::<WebhookDelivery>).find(|d| d.event_id == late.event_ids[0]).unwrap();
            assert_eq!((late.error_code.as_deref(), late.lane_dead), (Some("lane_failed"), None));
        }
        drained(&server).await;
        assert_eq!(told(&hub).values().flatten().count(), 2);
        // Without anything behind it there is nothing to count.
        sink.fault(Fault::status(400));
        let alone = anonymous.hook("alerts", &json!({ "lane": "b" })).await;
        let dead = told_of(&hub, "delivery.dead", 3).await;
        let alone = dead.iter().map(data::<WebhookDelivery>).find(|d| d.event_id == alone.event_ids[0]).unwrap();
        assert_eq!(alone.lane_dead, None);

        server.apply(&file("block")).await;
        sink.fault(Fault::status(400));
        let sent = anonymous.hook("alerts", &json!({ "lane": "c" })).await;
        let parked: WebhookDelivery = data(&told_of(&hub, "delivery.parked", 1).await[0]);
        assert_eq!((parked.event_id, parked.state.as_str()), (sent.event_ids[0], "parked"));
        assert_eq!((parked.error_code.as_deref(), parked.attempts, parked.lane_dead), (Some("http_400"), 1, None));
        assert_eq!(quiet.counts().requests, 0);
    }

    async fn what_does_not_move_by_itself_is_told_from_the_start(db) {
        let [sink, hub] = sinks().await;
        let server = Server::start(db).await;
        let mut hold = copy_to("sink");
        hold = json!({ "hold": hold["deliver"] });
        let always = json!({ "kind": "daily", "start": "00:00", "end": "00:00" });
        let file = File::new().http("sink", &sink.url).http("window", &sink.url)
            .source("held").source("skipped").source("broken")
            .rule_of("held", "ask", json!([]), json!([hold]))
            .rule_of("skipped", "skip", json!([]), json!([copy_to("window")]))
            .rule_of("broken", "bad", json!([]), json!([copy_to("sink")]))
            .window("works", json!({ "mode": "skip", "schedule": always, "scope": { "kind": "connections", "connections": ["window"] } }));
        server.apply(&file.text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["delivery.*"] })).await;
        // As if an earlier version had saved it.
        let bad = json!({ "when": [{ "path": "$.n", "op": "regex", "value": "(" }], "then": [copy_to("sink")] });
        sql(&server, &format!("UPDATE rule SET spec = '{bad}' WHERE name = 'bad'")).await;
        sql(&server, "UPDATE meta SET value = value + 1 WHERE name = 'config_revision'").await;
        let anonymous = server.anonymous();
        let parked = wait_until("the rule is in quarantine", async || {
            let sent = anonymous.hook("broken", &json!({ "n": 1 })).await;
            let event = event(&client, sent.event_ids[0]).await;
            (event.deliveries[0].state == State::Parked).then_some(sent.event_ids[0])
        }).await;
        let held = anonymous.hook("held", &json!({})).await.event_ids[0];
        let skipped = anonymous.hook("skipped", &json!({})).await.event_ids[0];
        for (kind, of, code) in [
            ("delivery.parked", parked, Some("regex_syntax")),
            ("delivery.held", held, None),
            ("delivery.discarded", skipped, Some("maintenance")),
        ] {
            let told: WebhookDelivery = data(&told_of(&hub, kind, 1).await[0]);
            assert_eq!((told.event_id, told.error_code.as_deref()), (of, code), "{kind}");
            assert_eq!(format!("delivery.{}", told.state), kind);
        }
        assert_eq!(told(&hub)["delivery.parked"].len(), 1);
    }

    async fn a_subscriber_gets_what_it_asks_for(db) {
        let server = Server::start(db).await;
        let (sink, hub, full, off) = (
            FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap(),
            FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap(),
        );
        server.apply(&to(&sink).source("quiet").text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["event.received"], "sources": ["quiet"] })).await;
        subscribe(&client, "full", &full, json!({ "types": ["event.*"], "detail": "full" })).await;
        let made = subscribe(&client, "off", &off, json!({})).await.connection;
        let path = format!("/api/v1/connections/{}", made.id);
        client.patch(&path, made.revision, &json!({ "enabled": false })).await.done();

        server.anonymous().hook("alerts", &json!({ "msg": "loud", "password": "hunter2" })).await;
        server.anonymous().hook("quiet", &json!({ "msg": "quiet" })).await;
        told_of(&full, "event.received", 2).await;
        let quiet = told_of(&hub, "event.received", 1).await;
        assert_eq!(data::<WebhookEvent>(&quiet[0]).source, "quiet");
        drained(&server).await;
        assert_eq!(told(&hub).values().flatten().count(), 1);
        let loud = told(&full).remove("event.received").unwrap().into_iter()
            .map(|m| data::<WebhookEvent>(&m)).find(|e| e.source == "alerts").unwrap();
        assert_eq!(loud.title.as_deref(), Some("loud"));
        assert_eq!(loud.payload, Some(json!({ "msg": "loud", "password": "hunter2" })));
        assert_eq!(off.counts().requests, 0);
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery WHERE operation = 'webhook.send'").await, 3);

        for (wrong, field) in [
            (json!({ "types": ["nothing.*"] }), "settings.types[0]"),
            (json!({ "types": [] }), "settings.types"),
            (json!({ "detail": "all" }), "settings.detail"),
        ] {
            let mut settings = json!({ "url": hub.url, "types": ["*"] });
            settings.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            let new = json!({ "name": "wrong", "connector": "webhook", "settings": settings });
            let problem = client.post("/api/v1/connections", &new).await.problem(Code::ValidationFailed);
            assert!(problem.errors.iter().any(|e| e.field.starts_with(field)), "{problem:?}");
        }
        let rule = json!({
            "name": "no", "priority": 1,
            "spec": { "then": [{ "deliver": { "connection": "hub", "operation": "webhook.send" } }] },
        });
        client.post("/api/v1/rules", &rule).await.problem(Code::ValidationFailed);
    }

    async fn the_state_of_connections_is_told(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start_with(db, Options::default().set("breaker_failures", 3)).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["connection.*", "breaker.*"], "detail": "full" })).await;
        sink.answer(503);
        for n in 0..4 {
            server.anonymous().hook("alerts", &json!({ "n": n })).await;
        }
        let opened = told_of(&hub, "breaker.opened", 1).await;
        let opened: WebhookConnection = data(&opened[0]);
        assert_eq!((opened.connection.as_str(), opened.connector.as_str()), ("sink", "http"));
        sink.answer(200);
        told_of(&hub, "breaker.closed", 1).await;
        drained(&server).await;

        sink.answer(401);
        for n in 0..4 {
            server.anonymous().hook("alerts", &json!({ "n": n })).await;
        }
        let attention = told_of(&hub, "connection.attention", 1).await;
        let why: WebhookConnection = data(&attention[0]);
        assert!(why.reason.unwrap().contains("401"));
        assert_eq!(why.code.as_deref(), Some("credentials_refused"));
        sink.answer(200);
        let id = opened.connection_id;
        let passed: TestResult = client.post(&format!("/api/v1/connections/{id}/test"), &json!({})).await.ok();
        assert!(passed.ok);
        told_of(&hub, "connection.resumed", 1).await;
        drained(&server).await;
        let told = told(&hub);
        assert_eq!((told["connection.attention"].len(), told["connection.resumed"].len()), (1, 1), "once each");

        // A file that changes a connection which needs attention lets it go on, too.
        sink.answer(401);
        server.anonymous().hook("alerts", &json!({ "n": 5 })).await;
        told_of(&hub, "connection.attention", 2).await;
        sink.answer(200);
        server.apply(&File::new().http_with("sink", &sink.url, json!({ "concurrency": 3 })).text()).await;
        told_of(&hub, "connection.resumed", 2).await;
        drained(&server).await;
        let messages: Vec<Delivery> = all(&client, "/api/v1/deliveries?connection=hub").await;
        assert!(messages.iter().all(|m| m.event_id == Uuid::nil()));
    }

    async fn a_breaker_is_told_with_its_row_or_not_at_all(db) {
        let [sink, hub] = sinks().await;
        let server = Server::start_with(db, Options::default().set("breaker_failures", 3)).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["breaker.*"] })).await;
        let breaker = async || {
            let all: Vec<Connection> = all(&client, "/api/v1/connections").await;
            all.into_iter().find(|c| c.name == "sink").unwrap().breaker.state
        };
        let fails = async || wait_until("the row cannot be written", async || {
            server.log().contains("The state of a breaker could not be written.").then_some(())
        }).await;
        // Nobody can be told: neither is it written that it is open.
        stop_messages(&server, true).await;
        sink.answer(503);
        for n in 0..4 {
            server.anonymous().hook("alerts", &json!({ "n": n })).await;
        }
        fails().await;
        assert_eq!((breaker().await.as_str(), hub.counts().requests), ("closed", 0));
        stop_messages(&server, false).await;
        told_of(&hub, "breaker.opened", 1).await;
        assert_eq!(breaker().await, "open");
        wait_until("the message is settled", async || {
            let open = "SELECT COUNT(*) FROM delivery WHERE operation = 'webhook.send' AND finished_at IS NULL";
            (server.store.number(open).await == 0).then_some(())
        }).await;

        // The process dies before it can say that the upstream is back: the next one says so.
        stop_messages(&server, true).await;
        sink.answer(200);
        drained(&server).await;
        assert_eq!(breaker().await, "open");
        server.kill();
        stop_messages(&server, false).await;
        server.resume().await;
        wait_until("it is told", async || {
            server.anonymous().hook("alerts", &json!({})).await;
            told(&hub).contains_key("breaker.closed").then_some(())
        }).await;
        drained(&server).await;
        let told = told(&hub);
        assert_eq!((told["breaker.opened"].len(), told["breaker.closed"].len()), (1, 1), "once each");
        assert_eq!(breaker().await, "closed");
    }

    async fn a_message_that_comes_back_goes_no_further(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("own").text()).await;
        let client = server.client();
        let new = json!({
            "name": "loop", "connector": "webhook", "allow_private": true, "retry": quick(),
            "settings": { "url": format!("{}/hooks/own", server.url()), "types": ["*"] },
        });
        client.post("/api/v1/connections", &new).await.done();
        server.anonymous().hook("own", &json!({ "n": 1 })).await;
        let dead = wait_until("the message is dead", async || {
            let dead: Vec<Delivery> = all(&client, "/api/v1/deliveries?connection=loop&state=dead").await;
            dead.into_iter().next()
        }).await;
        assert_eq!((dead.error_code.as_deref(), dead.attempts), (Some("http_508"), 1));
        drained(&server).await;
        let events: Vec<EventSummary> = all(&client, "/api/v1/events").await;
        assert_eq!(events.len(), 1);

        // Elsewhere it is welcome, and what is told of it names the way it came.
        let hub = FakeSink::start().await.unwrap();
        subscribe(&client, "hub", &hub, json!({ "types": ["event.received"] })).await;
        let passed = Uuid::from_u128(77);
        let away = server.anonymous().header("signalbox-hops", &passed.to_string());
        away.hook("own", &json!({ "n": 2 })).await;
        told_of(&hub, "event.received", 1).await;
        let seen = hub.seen().into_values().next().unwrap();
        let own: Value = client.read("/api/v1/workspaces").await;
        let own = own["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(header(&seen, "signalbox-hops"), format!("{passed}, {own}"));
        assert!(!seen.body.contains("hops"), "{}", seen.body);
    }

    async fn a_rule_that_feeds_its_own_hook_comes_to_an_end(db) {
        const MOST: usize = 10;
        let server = Server::start(db).await;
        let sink = FakeSink::start().await.unwrap();
        let own = format!("{}/hooks/own", server.url());
        let file = File::new()
            .http("self", &own).http("sink", &sink.url).source("own").source("other")
            .rule_of("own", "round", json!([]), json!([copy_to("self")]))
            .rule_of("other", "out", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        server.anonymous().hook("own", &json!({ "n": 1 })).await;
        let dead = wait_until("it ends", async || {
            let dead: Vec<Delivery> = all(&client, "/api/v1/deliveries?state=dead").await;
            dead.into_iter().next()
        }).await;
        assert_eq!((dead.error_code.as_deref(), dead.attempts), (Some("http_508"), 1), "{dead:?}");
        drained(&server).await;
        let events: Vec<EventSummary> = all(&client, "/api/v1/events").await;
        assert_eq!(events.len(), 1 + MOST);
        let refused = server.anonymous().header("signalbox-hops", "11").post("/hooks/own", &json!({})).await;
        refused.problem(Code::LoopDetected);

        // What came from elsewhere says so where it goes next, and a replay of it does, too.
        let passed = Uuid::from_u128(77);
        let sent = server.anonymous().header("signalbox-hops", &format!("{passed}, 2")).hook("other", &json!({ "n": 2 })).await;
        let first = delivered(&client, sent.event_ids[0]).await;
        let fresh = server.anonymous().hook("other", &json!({ "n": 3 })).await;
        let fresh = delivered(&client, fresh.event_ids[0]).await;
        let path = format!("/api/v1/events/{}/replay", sent.event_ids[0]);
        client.post(&path, &json!({})).await.done();
        drained(&server).await;
        let seen = sink.seen();
        assert_eq!(seen.len(), 3);
        for (id, seen) in &seen {
            let expected = if *id == fresh.message_id { "1".to_owned() } else { format!("{passed}, 3") };
            assert_eq!(header(seen, "signalbox-hops"), expected);
        }
        assert_eq!(fresh.fields.get("hops"), None, "nothing is written for what is new: {fresh:?}");
        assert_eq!(first.fields.get("hops"), Some(&json!([passed.to_string(), 2])));
    }

    async fn a_circle_by_way_of_a_rule_of_another_workspace_ends(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("own").text()).await;
        let session = server.session().await;
        session.post("/api/v1/workspaces", &json!({ "slug": "acme", "name": "Acme" })).await.done();
        let file = File::new().http("back", &format!("{}/hooks/own", server.url())).source("in")
            .rule("back", json!([]), json!([copy_to("back")]));
        let path = server.write("acme.yaml", &file.text());
        let done = server.cli(&["apply", "--workspace", "acme", "-f", path.to_str().unwrap()]).await;
        assert!(done.status.success(), "{done:?}");
        let client = server.client();
        let new = json!({
            "name": "out", "connector": "webhook", "allow_private": true, "retry": quick(),
            "settings": { "url": format!("{}/hooks/acme/in", server.url()), "types": ["event.received"] },
        });
        client.post("/api/v1/connections", &new).await.done();
        server.anonymous().hook("own", &json!({ "n": 1 })).await;
        let acme = session.workspace("acme");
        let dead = wait_until("the circle ends", async || {
            let dead: Vec<Delivery> = all(&acme, "/api/v1/deliveries?state=dead").await;
            dead.into_iter().next()
        }).await;
        assert_eq!((dead.error_code.as_deref(), dead.attempts), (Some("http_508"), 1), "{dead:?}");
        drained(&server).await;
        let ours: Vec<EventSummary> = all(&client, "/api/v1/events").await;
        let theirs: Vec<EventSummary> = all(&acme, "/api/v1/events").await;
        assert_eq!((ours.len(), theirs.len()), (1, 1));
    }

    async fn a_subscriber_that_only_fails_is_switched_off_and_begins_anew(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        let made = subscribe(&client, "hub", &hub, json!({ "types": ["event.received"] })).await.connection;
        hub.answer(500);
        server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
        let failing = wait_until("it is known to fail", async || {
            connection(&client, made.id).await.failing_since
        }).await;
        assert!(connection(&client, made.id).await.enabled, "not at once: {failing}");
        let week = 8 * 86_400_000_i64;
        sql(&server, &format!("UPDATE connection SET failing_since = failing_since - {week} WHERE name = 'hub'")).await;
        let off = wait_until("it is switched off", async || {
            Some(connection(&client, made.id).await).filter(|c| !c.enabled)
        }).await;
        assert!(off.state_reason.as_deref().unwrap().contains("7 days"));
        assert_eq!((off.state.as_str(), off.state_code.as_deref()), ("ok", Some("subscriber_failing")));
        assert_red(&client, &off, true).await;
        let [line] = all::<AuditEntry>(&client, "/api/v1/audit?action=connection.switch_off").await.try_into().unwrap();
        assert_eq!((line.actor_kind.as_str(), line.actor.as_str()), ("system", "lifecycle"));
        assert_eq!((line.subject_id, line.subject.as_str()), (Some(made.id), "hub"));
        assert_eq!(line.after["state_code"], "subscriber_failing", "{line:?}");
        // Nothing new is written for it; what waits stays.
        let count = "SELECT COUNT(*) FROM delivery WHERE operation = 'webhook.send'";
        wait_until("the server takes it up", async || {
            let before = server.store.number(count).await;
            server.anonymous().hook("alerts", &json!({ "n": 2 })).await;
            (server.store.number(count).await == before).then_some(())
        }).await;

        hub.answer(200);
        let path = format!("/api/v1/connections/{}", made.id);
        let on: Connection = client.patch(&path, off.revision, &json!({ "enabled": true })).await.ok();
        assert_eq!((on.enabled, on.failing_since), (true, None));
        assert_eq!((&on.state_reason, &on.state_code), (&None, &None));
        told_of(&hub, "event.received", 1).await;
        // So many calls failed in a row that its breaker was open.
        wait_until("its breaker is closed", async || {
            let stats: Stats = client.read("/api/v1/stats").await;
            let light = stats.lights.into_iter().find(|l| l.id == Some(made.id));
            (light.unwrap().colour != "red").then_some(())
        }).await;
        assert_red(&client, &on, false).await;

        hub.answer(410);
        server.anonymous().hook("alerts", &json!({ "n": 3 })).await;
        let gone = wait_until("it is gone", async || {
            Some(connection(&client, made.id).await).filter(|c| !c.enabled)
        }).await;
        assert!(gone.state_reason.as_deref().unwrap().contains("410"));
        assert_eq!(gone.state_code.as_deref(), Some("subscriber_gone"));
        assert_red(&client, &gone, true).await;
        // What a person switches off is nobody's trouble.
        hub.answer(200);
        let on: Connection = client.patch(&path, gone.revision, &json!({ "enabled": true })).await.ok();
        let off: Connection = client.patch(&path, on.revision, &json!({ "enabled": false })).await.ok();
        assert_eq!((&off.state_reason, &off.state_code), (&None, &None));
        assert_red(&client, &off, false).await;
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=connection.switch_off").await;
        assert_eq!(lines.len(), 2);
    }

    async fn a_subscriber_that_is_gone_under_load_is_switched_off_and_nothing_else(db) {
        const CALLS: u64 = 12;
        let [sink, hub, other] = sinks().await;
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        let types = json!(["event.received", "connection.switched_off"]);
        let made = subscribe(&client, "hub", &hub, json!({ "types": types })).await.connection;
        subscribe(&client, "other", &other, json!({ "types": ["connection.*"], "detail": "full" })).await;
        // All are called before the first is answered.
        hub.fault(Fault { latency_ms: 3_000, ..Fault::status(410).times(0) });
        let anonymous = server.anonymous();
        let body = json!({});
        futures_util::future::join_all((0..CALLS).map(|_| anonymous.hook("alerts", &body))).await;
        drained(&server).await;
        assert_eq!(hub.counts().requests, CALLS);
        let gone = connection(&client, made.id).await;
        assert_eq!((gone.enabled, gone.state.as_str()), (false, "ok"), "{gone:?}");
        assert_eq!(gone.state_code.as_deref(), Some("subscriber_gone"));
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=connection.switch_off").await;
        assert_eq!(lines.len(), 1, "once, however many calls");
        let told: WebhookConnection = data(&told_of(&other, "connection.switched_off", 1).await[0]);
        assert_eq!((told.connection_id, told.connector.as_str()), (made.id, "webhook"));
        assert_eq!((told.code.as_deref(), told.reason), (Some("subscriber_gone"), gone.state_reason));
        assert_eq!(other.counts().requests, 1);
        let of_itself: Vec<Delivery> = all(&client, "/api/v1/deliveries?connection=hub").await;
        assert_eq!(of_itself.len(), usize::try_from(CALLS).unwrap());
    }

    async fn what_waits_for_a_subscriber_can_be_discarded_whole(db) {
        const MANY: u64 = 130;
        let [sink, hub] = sinks().await;
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        let made = subscribe(&client, "hub", &hub, json!({ "types": ["event.received"] })).await.connection;
        let path = format!("/api/v1/connections/{}", made.id);
        hub.answer(500);
        let anonymous = server.anonymous();
        let body = json!({});
        futures_util::future::join_all((0..MANY).map(|_| anonymous.hook("alerts", &body))).await;
        let off: Connection = client.patch(&path, made.revision, &json!({ "enabled": false })).await.ok();
        wait_until("nothing is being sent", async || {
            let leased = "SELECT COUNT(*) FROM delivery WHERE state = 'leased'";
            (server.store.number(leased).await == 0).then_some(())
        }).await;
        let call = client.call(reqwest::Method::DELETE, &path).revision(off.revision);
        let refused = call.send().await.problem(Code::InUse);
        assert!(refused.detail.as_deref().unwrap().contains("/discard-waiting"), "{refused:?}");

        let result: DeadResult = client.post(&format!("{path}/discard-waiting"), &json!({})).await.ok();
        assert_eq!(result.count, MANY);
        let done = job_ended(&client, result.job.unwrap().id).await;
        assert_eq!((done.state, done.done, done.failed), (JobState::Done, i64::try_from(MANY).unwrap(), 0));
        drained(&server).await;
        let discarded: Vec<Delivery> = all(&client, "/api/v1/deliveries?connection=hub&state=discarded").await;
        assert_eq!(discarded.len(), usize::try_from(MANY).unwrap());
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=deliveries.discard").await;
        assert_eq!((lines.len(), lines[0].subject_id, &lines[0].after["count"]), (1, Some(made.id), &json!(MANY)));
        let none: DeadResult = client.post(&format!("{path}/discard-waiting"), &json!({})).await.ok();
        assert_eq!((none.count, none.job), (0, None));
        let off = connection(&client, made.id).await;
        client.call(reqwest::Method::DELETE, &path).revision(off.revision).send().await.done();
    }

    async fn a_message_is_sent_again_by_hand(db) {
        let (sink, hub) = (FakeSink::start().await.unwrap(), FakeSink::start().await.unwrap());
        let server = Server::start(db).await;
        server.apply(&to(&sink).text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["delivery.delivered"] })).await;
        let sent = server.anonymous().hook("alerts", &json!({})).await;
        told_of(&hub, "delivery.delivered", 1).await;
        drained(&server).await;
        let [message] = all::<Delivery>(&client, "/api/v1/deliveries?connection=hub").await.try_into().unwrap();
        let again: ReplayedDelivery = client
            .post(&format!("/api/v1/deliveries/{}/replay", message.id), &json!({})).await.ok();
        let done = in_state(&client, again.delivery_id, State::Delivered).await;
        assert_eq!((done.replay_of, &done.message_id), (Some(message.id), &message.message_id));
        let seen = hub.seen();
        assert_eq!((seen.len(), seen[&message.message_id].count, seen[&message.message_id].bodies), (1, 2, 1));
        // What went to an upstream is not done twice unless that is confirmed.
        let done = event(&client, sent.event_ids[0]).await.deliveries[0].id;
        client.post(&format!("/api/v1/deliveries/{done}/replay"), &json!({})).await.problem(Code::AlreadyDelivered);
    }

    async fn a_rotated_secret_signs_beside_the_old_one_until_that_is_retired(db) {
        let hub = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&File::new().source("alerts").sandbox("box", json!({})).text()).await;
        let client = server.client();
        let made = subscribe(&client, "hub", &hub, json!({ "types": ["event.received"] })).await;
        let old = made.generated["signing_secret"].clone();
        let path = format!("/api/v1/connections/{}", made.connection.id);
        let call = async |what: &str, revision: i64| {
            client.call(reqwest::Method::POST, &format!("{path}/{what}")).revision(revision).send().await
        };
        let signatures = async |count: usize| -> Vec<String> {
            server.anonymous().hook("alerts", &json!({ "count": count })).await;
            told_of(&hub, "event.received", count).await;
            let newest = hub.seen().into_values().max_by_key(|s| s.first_at_us).unwrap();
            let mut known: Vec<String> = Vec::new();
            for one in header(&newest, "webhook-signature").split(' ') {
                known.push(one.to_owned());
            }
            known.push(signature(&newest, &old));
            known
        };
        let first = signatures(1).await;
        assert_eq!((first.len(), &first[0]), (2, &first[1]));
        call("rotate-secret", 99).await.problem(Code::RevisionStale);
        let new: NewSigningSecret = call("rotate-secret", made.connection.revision).await.ok();
        assert_ne!(new.secret, old);
        let both = signatures(2).await;
        assert_eq!((both.len(), &both[1]), (3, &both[2]), "new, then old");
        let retired: Connection = call("retire-secret", new.revision).await.ok();
        let last = signatures(3).await;
        assert_eq!(last.len(), 2);
        assert_ne!(last[0], last[1]);
        assert_eq!(retired.revision, new.revision + 1);

        let test: TestResult = client.post(&format!("{path}/test"), &json!({})).await.ok();
        assert!(test.ok, "{test:?}");
        assert!(told(&hub).contains_key("webhook.test"));
        let other = all::<Connection>(&client, "/api/v1/connections").await.into_iter().find(|c| c.name == "box").unwrap();
        let refused = client.call(reqwest::Method::POST, &format!("/api/v1/connections/{}/rotate-secret", other.id));
        refused.revision(other.revision).send().await.problem(Code::Conflict);
    }

    async fn silence_is_told_and_its_end(db) {
        let hub = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&File::new().source_with("beat", json!({ "heartbeat": { "after": 2 } })).text()).await;
        let client = server.client();
        subscribe(&client, "hub", &hub, json!({ "types": ["source.*"] })).await;
        server.anonymous().hook("beat", &json!({})).await;
        let silent = told_of(&hub, "source.silent", 1).await;
        let silent: WebhookSource = data(&silent[0]);
        assert_eq!(silent.source, "beat");
        assert!(silent.last_seen_at.is_some());
        server.anonymous().hook("beat", &json!({})).await;
        let recovered = told_of(&hub, "source.recovered", 1).await;
        assert_eq!(data::<WebhookSource>(&recovered[0]).source_id, silent.source_id);
    }

    async fn a_file_can_subscribe(db) {
        let hub = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().source("alerts").connection("hub", "webhook", json!({
            "allow_private": true,
            "settings": { "url": hub.url, "types": ["event.*"] },
            "secrets": { "signing_secret": { "env": "HUB_SECRET" } },
        }));
        let secret = format!("whsec_{}", base64(b"the secret of a subscriber"));
        server.apply_with(&file.text(), &[("HUB_SECRET", &secret)]).await;
        server.anonymous().hook("alerts", &json!({})).await;
        told_of(&hub, "event.received", 1).await;
        let seen = hub.seen().into_values().next().unwrap();
        assert_eq!(header(&seen, "webhook-signature"), signature(&seen, &secret));
        let exported = server.cli(&["export"]).await;
        let exported = String::from_utf8(exported.stdout).unwrap();
        assert!(exported.contains("event.*") && !exported.contains("whsec_"), "{exported}");
    }
}
