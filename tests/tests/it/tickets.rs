//! The main job: an alert becomes a ticket, with the configuration file of the guide.

use std::time::Duration;

use openapi::connections::Connection;
use openapi::deliveries::{Delivery, State};
use serde_json::{Value, json};
use tests::fakes::connectwise::FakeConnectWise;
use tests::fakes::{Effect, FakeSink, Fault};
use tests::yaml::File;
use tests::{Database, Server, both, wait_until};

use crate::support::{SECRETS, alert, all, count_of, delivered, drained, event, events, settled};

/// The example of the guide, with the addresses of this test's upstreams.
fn example(desk: &FakeConnectWise, sink: &FakeSink) -> String {
    EXAMPLE
        .replace("DESK", &desk.url)
        .replace("SINK", &sink.url)
}

const EXAMPLE: &str = r#"
version: 1
connections:
  - name: psa
    connector: connectwise
    allow_private: true            # fake upstream on loopback
    settings: { base_url: "DESK", company: acme, client_id: "00000000-0000-4000-8000-000000000000", default_company: DEF }
    secrets: { public_key: { env: CW_PUBLIC }, private_key: { env: CW_PRIVATE } }
  - name: ops-hook
    connector: http
    allow_private: true
    settings: { url: "SINK/in", method: POST }
sources:
  - name: Uptime Kuma
    slug: kuma
    auth: { type: bearer, token: { env: KUMA_TOKEN } }
    match: first                   # or all
    on_no_match: keep              # recorded as unmatched
rules:
  - name: down and up to the service desk
    source: kuma
    priority: 10
    when:
      - { path: "$.monitor.tags[*].name", op: in, value: [prod, core] }
    then:
      - deliver:
          connection: psa
          operation: ticket.upsert
          key: "kuma:{{ monitor.id }}"
          lifecycle: { path: "$.heartbeat.status", open: ["0"], close: ["1"], otherwise: note }
          map:
            summary: "Alert: {{ monitor.name }}"
            board: { value: "Service Board" }
            priority: { cases: [ { when: { path: "$.monitor.weight", op: gte, value: 100 }, value: "Priority 1" } ], else: "Priority 3" }
            initialDescription: "{{ msg | default: 'no message' | truncate: 2000 }}"
  - name: maintenance chatter
    source: kuma
    priority: 50
    when: [ { path: "$.msg", op: contains, value: "maintenance", ignore_case: true } ]
    then: drop
  - name: everything else as a copy
    source: kuma
    priority: 100
    then:
      - deliver: { connection: ops-hook, operation: http.request, map: { body: { path: "$" } } }
"#;

both! {
    async fn an_alert_becomes_a_ticket(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&example(&desk, &sink), SECRETS).await;
        let client = server.client();
        let kuma = server.anonymous().bearer("kuma-token-of-the-test");

        let down = kuma.hook("kuma", &alert(7, 0, "connection refused")).await;
        assert!(!down.duplicate);
        let opened = delivered(&client, down.event_ids[0]).await;
        assert_eq!(opened.effect.as_deref(), Some("created"));
        let [ticket] = desk.tickets().try_into().unwrap();
        assert_eq!(opened.record_id.as_deref(), Some(ticket["id"].to_string().as_str()));
        assert_eq!(ticket["summary"], "Alert: web7");
        assert_eq!(ticket["board"]["name"], "Service Board");
        assert_eq!(ticket["priority"]["name"], "Priority 1");
        assert_eq!(ticket["company"]["identifier"], "DEF");
        assert_eq!(ticket["externalXRef"], "kuma:7");
        assert_eq!(ticket["closedFlag"], false);
        let number = ticket["id"].as_i64().unwrap();
        assert!(texts(&desk, number)[0].contains("[web7] connection refused"));

        let again = kuma.hook("kuma", &alert(7, 0, "still refused")).await;
        let noted = delivered(&client, again.event_ids[0]).await;
        assert_eq!(noted.effect.as_deref(), Some("noted"));
        assert_eq!(noted.record_id, opened.record_id);
        assert!(texts(&desk, number)[1].contains("[web7] still refused"));

        let other = kuma.hook("kuma", &alert(70, 0, "timeout")).await;
        delivered(&client, other.event_ids[0]).await;
        assert_eq!(desk.tickets().len(), 2, "web7 and web70 are two");

        let up = kuma.hook("kuma", &alert(7, 1, "200 OK")).await;
        let closed = delivered(&client, up.event_ids[0]).await;
        assert_eq!(closed.effect.as_deref(), Some("closed"));
        let [first, second] = desk.tickets().try_into().unwrap();
        assert_eq!((&first["closedFlag"], &second["closedFlag"]), (&json!(true), &json!(false)));
        assert_eq!(desk.notes(number).iter().filter(|n| n["resolutionFlag"] == true).count(), 1);

        let later = kuma.hook("kuma", &alert(7, 0, "refused again")).await;
        let reopened = delivered(&client, later.event_ids[0]).await;
        assert_eq!(reopened.effect.as_deref(), Some("created"), "a closed ticket is replaced");
        assert_eq!(desk.tickets().len(), 3);

        let chatter = json!({ "msg": "Maintenance starts", "monitor": { "tags": [] } });
        let dropped = kuma.hook("kuma", &chatter).await;
        let dropped = event(&client, dropped.event_ids[0]).await;
        assert_eq!(dropped.summary.disposition, "dropped");
        assert!(dropped.deliveries.is_empty());

        let rest = json!({ "msg": "certificate expires", "days": 7 });
        let copied = kuma.hook("kuma", &rest).await;
        let copied = delivered(&client, copied.event_ids[0]).await;
        let seen = sink.seen();
        assert_eq!(seen.len(), 1, "only the last went to the sink");
        let seen = &seen[&copied.message_id];
        assert_eq!(seen.request, "POST /in");
        assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), rest);
    }

    async fn fifty_alerts_at_once_make_one_ticket(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let mut latency = Fault::new(Effect::Delay).on("POST", "/service/tickets");
        latency.latency_ms = 1000;
        desk.fault(latency);
        let anonymous = server.anonymous();
        let alert = json!({ "key": "web1", "text": "web1 is down" });
        let sent = (0..50).map(|_| anonymous.hook("alerts", &alert));
        futures_util::future::join_all(sent).await;
        drained(&server).await;
        let [ticket] = desk.tickets().try_into().unwrap();
        let number = ticket["id"].as_i64().unwrap();
        assert_eq!(desk.called("POST /service/tickets"), 1);
        // One opens it, alone; the others are counted in a few notes, and none is lost.
        let texts = texts(&desk, number);
        assert!((2..=10).contains(&texts.len()), "{texts:?}");
        assert_eq!(count_of(&texts[0]), 1);
        assert_eq!(texts.iter().map(|text| count_of(text)).sum::<u64>(), 50, "{texts:?}");
        let deliveries: Vec<Delivery> = all(&server.client(), "/api/v1/deliveries").await;
        assert_eq!(deliveries.len(), 50);
        let effect = |wanted| deliveries.iter().filter(|d| d.effect.as_deref() == Some(wanted)).count();
        let coalesced = deliveries.iter().filter(|d| d.state == State::Coalesced);
        assert_eq!((effect("created"), effect("noted")), (1, texts.len() - 1));
        assert_eq!(coalesced.count(), 50 - texts.len());
    }

    async fn a_repeat_raises_the_priority(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().connectwise("psa", &desk.url).source("alerts").rule(
            "every alert",
            json!([]),
            json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "{{ key }}",
                "map": {
                    "summary": "Alert {{ key }}",
                    "board": { "value": "Service Board" },
                    "priority": { "value": "Priority 3" },
                    "on_repeat": { "value": "update" },
                    "on_repeat.priority": "{{ priority | default: '' }}",
                },
            }}]),
        );
        server.apply_with(&file.text(), SECRETS).await;
        let mut effects = Vec::new();
        for alert in [json!({ "key": "web1" }), json!({ "key": "web1", "priority": "Priority 1" }), json!({ "key": "web1" })] {
            let sent = server.anonymous().hook("alerts", &alert).await;
            effects.push(delivered(&server.client(), sent.event_ids[0]).await.effect.unwrap());
        }
        assert_eq!(effects, ["created", "updated", "none"]);
        let [ticket] = desk.tickets().try_into().unwrap();
        assert_eq!(ticket["priority"]["name"], "Priority 1");
        assert_eq!(texts(&desk, ticket["id"].as_i64().unwrap()).len(), 1, "no note");
        let counted = "SELECT CAST(SUM(value) AS BIGINT) FROM stat_hour WHERE metric = 'updated'";
        assert_eq!(server.store.number(counted).await, 1);
    }

    async fn a_lost_reply_makes_no_second_ticket(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        desk.fault(Fault::new(Effect::LoseReply).on("POST", "/service/tickets"));
        let sent = server.anonymous().hook("alerts", &json!({ "key": "web1", "text": "down" })).await;
        let delivery = settled(&server.client(), sent.event_ids[0]).await.deliveries.remove(0);
        assert_eq!(delivery.state, State::Delivered);
        assert_eq!(delivery.effect.as_deref(), Some("created"));
        assert_eq!(delivery.attempts, 2, "the second attempt looked");
        assert_eq!(delivery.attempt_log[0].outcome, "unknown");
        assert_eq!(desk.tickets().len(), 1);
        assert_eq!(desk.called("POST /service/tickets"), 1);
    }

    async fn one_ticket_that_is_gone_is_replaced_at_once(db) {
        let (desk, server) = fifteen_open_tickets(db).await;
        let anonymous = server.anonymous();
        desk.delete_ticket(1003);
        let again = anonymous.hook("alerts", &json!({ "key": "web2", "text": "down again" })).await;
        let delivery = delivered(&server.client(), again.event_ids[0]).await;
        assert_eq!((delivery.effect.as_deref(), delivery.attempts), (Some("created"), 1));
        assert_eq!(delivery.record_id.as_deref(), Some("1016"));
        let asked = &delivery.attempt_log[0].exchanges;
        assert!(asked.iter().any(|e| e.url.contains("id%3D1001")), "it looked at the others: {asked:?}");
        assert_eq!(desk.tickets().len(), 15);
        // The link follows: the next one is noted there.
        let noted = anonymous.hook("alerts", &json!({ "key": "web2", "text": "still down" })).await;
        let noted = delivered(&server.client(), noted.event_ids[0]).await;
        assert_eq!((noted.effect.as_deref(), noted.record_id.as_deref()), (Some("noted"), Some("1016")));
        assert_eq!(psa(&server).await.state, "ok");
    }

    async fn many_tickets_that_are_hidden_at_once_are_not_made_again(db) {
        let (desk, server) = fifteen_open_tickets(db).await;
        let client = server.client();
        let links = "SELECT COUNT(*) FROM link WHERE state = 'open'";
        assert_eq!(server.store.number(links).await, 15);
        // The member loses a board; on another one there are as many as before.
        desk.hide_tickets(1001..=1012);
        let anonymous = server.anonymous();
        for n in 0..12 {
            let state = if n % 3 == 0 { "up" } else { "down" };
            let alert = json!({ "key": format!("web{n}"), "text": "again", "state": state });
            anonymous.hook("alerts", &alert).await;
        }
        wait_until("all are set aside", async || {
            let paused = "SELECT COUNT(*) FROM delivery WHERE state = 'paused'";
            (server.store.number(paused).await == 12).then_some(())
        })
        .await;
        let stopped = psa(&server).await;
        assert_eq!((stopped.state.as_str(), stopped.state_code.as_deref()), ("attention", Some("mass_gone")));
        assert_eq!(desk.called("POST /service/tickets"), 15, "no ticket was made again");
        assert_eq!(server.store.number(links).await, 15, "no link was forgotten");
        let burnt = "SELECT COUNT(*) FROM delivery WHERE state IN ('dead', 'discarded')";
        assert_eq!(server.store.number(burnt).await, 0);

        // The right is back, and a person says so: everything goes to the tickets that there are.
        desk.hide_tickets([]);
        let path = format!("/api/v1/connections/{}/resume", stopped.id);
        client.post(&path, &json!({})).await.done();
        drained(&server).await;
        assert_eq!(desk.tickets().len(), 15);
        let effects = "SELECT COUNT(*) FROM delivery WHERE state = 'delivered' AND effect = ";
        assert_eq!(server.store.number(&format!("{effects}'noted'")).await, 8);
        assert_eq!(server.store.number(&format!("{effects}'closed'")).await, 4);
    }

    async fn tickets_that_a_person_knows_to_be_deleted_are_replaced(db) {
        let (desk, server) = fifteen_open_tickets(db).await;
        let client = server.client();
        for ticket in 1001..=1012 {
            desk.delete_ticket(ticket);
        }
        let anonymous = server.anonymous();
        let first = anonymous.hook("alerts", &json!({ "key": "web0", "text": "again" })).await;
        let stopped = wait_until("it needs attention", async || {
            Some(psa(&server).await).filter(|c| c.state == "attention")
        })
        .await;
        assert_eq!(desk.tickets().len(), 3, "the first one was one too many");
        let path = format!("/api/v1/connections/{}/resume", stopped.id);
        client.post(&path, &json!({})).await.done();
        let replaced = delivered(&client, first.event_ids[0]).await;
        assert_eq!(replaced.effect.as_deref(), Some("created"));
        // Nor is a person asked again for the others.
        for n in 1..12 {
            anonymous.hook("alerts", &json!({ "key": format!("web{n}"), "text": "again" })).await;
        }
        drained(&server).await;
        assert_eq!((desk.tickets().len(), psa(&server).await.state.as_str()), (15, "ok"));
    }

    async fn a_failed_search_is_not_none_found(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        desk.fault(Fault::status(500).on("GET", "/service/tickets").times(3));
        let sent = server.anonymous().hook("alerts", &json!({ "key": "web1", "text": "down" })).await;
        let delivery = delivered(&server.client(), sent.event_ids[0]).await;
        assert_eq!(delivery.attempts, 4);
        assert_eq!(desk.called("POST /service/tickets"), 1);
    }

    async fn what_was_in_flight_continues_after_a_kill(db) {
        let desk = FakeConnectWise::start().await.unwrap();
        let server = Server::start_with(db, tests::Options::default().set("lease_seconds", 3)).await;
        server.apply_with(&tickets(&desk), SECRETS).await;
        let mut slow = Fault::new(Effect::Delay).on("POST", "/service/tickets");
        slow.latency_ms = 1500;
        desk.fault(slow);
        let sent = server.anonymous().hook("alerts", &json!({ "key": "web1", "text": "down" })).await;
        wait_until("the ticket is being made", async || {
            (desk.called("POST /service/tickets") == 1).then_some(())
        })
        .await;
        server.restart().await;
        let delivery = delivered(&server.client(), sent.event_ids[0]).await;
        assert_eq!(delivery.effect.as_deref(), Some("created"));
        // What was under way when the process died may arrive later still.
        tests::wait_until_within(Duration::from_secs(5), "the ticket is there", async || {
            (!desk.tickets().is_empty()).then_some(())
        })
        .await;
        assert_eq!(desk.tickets().len(), 1);
        assert_eq!(events(&server).await, 1);
    }
}

/// Open tickets 1001 to 1015, with the keys `web0` to `web14`.
async fn fifteen_open_tickets(db: Database) -> (FakeConnectWise, Server) {
    let desk = FakeConnectWise::start().await.unwrap();
    let server = Server::start(db).await;
    server.apply_with(&tickets(&desk), SECRETS).await;
    for n in 0..15 {
        let alert = json!({ "key": format!("web{n}"), "text": "down" });
        let sent = server.anonymous().hook("alerts", &alert).await;
        delivered(&server.client(), sent.event_ids[0]).await;
    }
    assert_eq!(desk.tickets().len(), 15);
    (desk, server)
}

async fn psa(server: &Server) -> Connection {
    let connections: Vec<Connection> = all(&server.client(), "/api/v1/connections").await;
    connections.into_iter().find(|c| c.name == "psa").unwrap()
}

fn tickets(desk: &FakeConnectWise) -> String {
    File::new()
        .connectwise("psa", &desk.url)
        .source("alerts")
        .rule(
            "every alert",
            json!([]),
            json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "{{ key }}",
                "lifecycle": { "path": "$.state", "open": ["down"], "close": ["up"], "otherwise": "open" },
                "map": {
                    "summary": "Alert {{ key }}",
                    "board": { "value": "Service Board" },
                    "initialDescription": "{{ text }}",
                },
            }}]),
        )
        .text()
}

/// The texts of a ticket's notes, its description first.
fn texts(desk: &FakeConnectWise, ticket: i64) -> Vec<String> {
    desk.notes(ticket)
        .iter()
        .map(|note| note["text"].as_str().unwrap().to_owned())
        .collect()
}
