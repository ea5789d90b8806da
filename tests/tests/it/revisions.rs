//! Versions of rules: every one is kept, compared, restored, and asked about the past.

use openapi::audit::AuditEntry;
use openapi::connections::Connection;
use openapi::deliveries::State;
use openapi::events::Replayed;
use openapi::problem::Code;
use openapi::rules::{Rule, RuleDiff, RuleRevision};
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::yaml::{File, is};
use tests::{Client, Server, both};
use uuid::Uuid;

use crate::support::{all, delivered, delivery, in_state};

async fn rule(client: &Client, name: &str) -> Rule {
    let all: Vec<Rule> = all(client, "/api/v1/rules").await;
    all.into_iter().find(|r| r.name == name).unwrap()
}

async fn revisions(client: &Client, id: Uuid) -> Vec<RuleRevision> {
    all(client, &format!("/api/v1/rules/{id}/revisions")).await
}

/// A step that posts one word.
fn word(connection: &str, word: &str) -> Value {
    json!({ "deliver": {
        "connection": connection, "operation": "http.request", "map": { "body": { "value": word } },
    } })
}

async fn replay(client: &Client, event: Uuid, rules: &str) -> Replayed {
    client
        .post(
            &format!("/api/v1/events/{event}/replay"),
            &json!({ "rules": rules }),
        )
        .await
        .ok()
}

/// What the one delivery of a replay sent.
async fn sent(client: &Client, replayed: &Replayed) -> Value {
    let [id] = replayed.delivery_ids.as_slice() else {
        panic!("one delivery expected: {replayed:?}")
    };
    in_state(client, *id, State::Delivered).await.fields["body"].clone()
}

both! {
    async fn every_version_of_a_rule_is_kept_compared_and_restored(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = |text: &str| File::new().http("sink", &sink.url).source("alerts")
            .rule("words", json!([]), json!([word("sink", text)])).text();
        server.apply(&file("one")).await;
        let client = server.client();
        let first = rule(&client, "words").await;
        let path = format!("/api/v1/rules/{}", first.id);
        let spec = json!({ "when": is("$.kind", "a"), "then": [word("sink", "two")] });
        let second: Rule = client.patch(&path, first.revision, &json!({ "spec": spec })).await.ok();
        server.apply(&file("three")).await;
        let third = rule(&client, "words").await;
        let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
        let sink_path = format!("/api/v1/connections/{}", connections[0].id);
        client.patch(&sink_path, connections[0].revision, &json!({ "name": "renamed" })).await.done();
        let fourth = rule(&client, "words").await;
        assert_eq!([second.revision, third.revision, fourth.revision], [2, 3, 4]);

        let kept = revisions(&client, first.id).await;
        let actors: Vec<(i64, &str)> = kept.iter().map(|r| (r.revision, r.actor.as_str())).collect();
        let me = server.credentials.bearer.client_id.as_str();
        assert_eq!(actors, [(4, me), (3, "apply"), (2, me), (1, "apply")]);
        assert!(kept[0].ended_at.is_none());
        for pair in kept.windows(2) {
            assert_eq!(pair[1].ended_at, Some(pair[0].saved_at), "one ends where the next begins");
        }
        let page: openapi::page::Page<RuleRevision> = client.read(&format!("{path}/revisions?limit=3")).await;
        assert_eq!((page.items.len(), page.next_cursor.is_some()), (3, true));

        let diff: RuleDiff = client.read(&format!("{path}/revisions/diff?from=1&to=2")).await;
        let places: Vec<&str> = diff.changes.iter().map(|c| c.path.as_str()).collect();
        assert!(places.contains(&"spec.then[0].deliver.map.body.value"), "{places:?}");
        assert!(places.iter().any(|p| p.starts_with("spec.when")), "{places:?}");
        assert_eq!(diff.changes.iter().find(|c| c.path.ends_with("body.value")).unwrap().before, Some(json!("one")));
        client.get(&format!("{path}/revisions/diff?from=1&to=99")).await.problem(Code::NotFound);

        // The first version named the connection by its old name: it cannot be saved as it is.
        let restore = async |revision: i64, at: i64| client
            .call(reqwest::Method::POST, &format!("{path}/restore"))
            .revision(at).json(&json!({ "revision": revision })).send().await;
        restore(2, 3).await.problem(Code::RevisionStale);
        restore(2, 4).await.problem(Code::ValidationFailed);
        client.patch(&sink_path, connections[0].revision + 1, &json!({ "name": "sink" })).await.done();
        let restored: Rule = restore(2, 5).await.ok();
        assert_eq!((restored.revision, &restored.spec), (6, &second.spec));

        client.delete(&path, 6).await.done();
        client.get(&path).await.problem(Code::NotFound);
        let kept = revisions(&client, first.id).await;
        assert_eq!(kept.len(), 6, "those of a deleted rule stay");
        assert!(kept.iter().all(|r| r.ended_at.is_some()));
        let back: Rule = restore(1, 6).await.ok();
        assert_eq!((back.id, back.revision, &back.spec), (first.id, 7, &first.spec));
        let event = server.anonymous().hook("alerts", &json!({})).await;
        assert_eq!(delivered(&client, event.event_ids[0]).await.fields["body"], "one");

        let audit: Vec<AuditEntry> = all(&client, &format!("/api/v1/audit?subject_id={}", first.id)).await;
        let actions: Vec<&str> = audit.iter().rev().map(|a| a.action.as_str()).collect();
        assert_eq!(actions, [
            "rule.create", "rule.change", "rule.change", "rule.change", "rule.change", "rule.change", "rule.delete", "rule.create",
        ]);
        assert_eq!((audit[7].actor_kind.as_str(), audit[6].actor_kind.as_str()), ("system", "credential"));
        assert_eq!((audit[6].remote_addr.as_str(), &audit[6].before["revision"]), ("127.0.0.1", &json!(1)));
    }

    async fn an_event_is_replayed_by_the_rules_of_its_day(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = |kept: &str| File::new().http("sink", &sink.url).http("other", &sink.url)
            .source_with("alerts", json!({ "match": "all" }))
            .rule("words", is("$.kind", "a"), json!([word("sink", kept)]))
            .rule("others", is("$.kind", "b"), json!([word("other", "other")])).text();
        server.apply(&file("old")).await;
        let client = server.client();
        let send = async |kind: &str| {
            server.anonymous().hook("alerts", &json!({ "kind": kind })).await.event_ids[0]
        };
        let (a, b, c) = (send("a").await, send("b").await, send("c").await);
        delivered(&client, a).await;
        delivered(&client, b).await;
        server.apply(&file("new")).await;
        assert_eq!(sent(&client, &replay(&client, a, "today").await).await, "new");
        assert_eq!(sent(&client, &replay(&client, a, "then").await).await, "old");

        // A rule made since is not asked; nor is one that was there then and is off today passed over.
        let late = json!({ "name": "late", "spec": { "when": is("$.kind", "c"), "then": [word("sink", "late")] } });
        client.post("/api/v1/rules", &late).await.done();
        assert_eq!(sent(&client, &replay(&client, c, "today").await).await, "late");
        let then = replay(&client, c, "then").await;
        assert_eq!((then.disposition.as_str(), then.delivery_ids.len()), ("unmatched", 0));
        let words = rule(&client, "words").await;
        client.patch(&format!("/api/v1/rules/{}", words.id), words.revision, &json!({ "enabled": false })).await.done();
        assert_eq!(replay(&client, a, "today").await.disposition, "unmatched");
        assert_eq!(sent(&client, &replay(&client, a, "then").await).await, "old");
        let words = rule(&client, "words").await;
        client.delete(&format!("/api/v1/rules/{}", words.id), words.revision).await.done();
        assert_eq!(sent(&client, &replay(&client, a, "then").await).await, "old", "a deleted rule is still known");

        // A connection with another name today is the one it was; one that is gone is missing.
        let connections: Vec<Connection> = all(&client, "/api/v1/connections").await;
        let find = |name: &str| connections.iter().find(|c| c.name == name).unwrap();
        let path = |c: &Connection| format!("/api/v1/connections/{}", c.id);
        client.patch(&path(find("sink")), find("sink").revision, &json!({ "name": "elsewhere" })).await.done();
        assert_eq!(sent(&client, &replay(&client, a, "then").await).await, "old");
        let others = rule(&client, "others").await;
        client.delete(&format!("/api/v1/rules/{}", others.id), others.revision).await.done();
        client.delete(&path(find("other")), find("other").revision).await.done();
        let missing = replay(&client, b, "then").await;
        let dead = delivery(&client, missing.delivery_ids[0]).await;
        assert_eq!((dead.state, dead.error_code.as_deref()), (State::Dead, Some("connection_missing")));
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=event.replay").await;
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[0].after["rules"], "then");
    }

    async fn what_an_older_server_wrote_is_caught_up_with(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&File::new().http("sink", &sink.url).source("alerts")
            .rule("words", json!([]), json!([word("sink", "one")])).text()).await;
        let client = server.client();
        let event = server.anonymous().hook("alerts", &json!({})).await.event_ids[0];
        delivered(&client, event).await;
        server.kill();
        let db = server.store.connect().await;
        use sea_orm::ConnectionTrait as _;
        db.execute_unprepared("UPDATE rule SET revision = 2, updated_at = updated_at + 3600000, name = 'changed'").await.unwrap();
        db.close().await.unwrap();
        server.resume().await;
        let kept = revisions(&client, rule(&client, "changed").await.id).await;
        let known: Vec<(i64, &str, &str)> = kept.iter().map(|r| (r.revision, r.name.as_str(), r.actor.as_str())).collect();
        assert_eq!(known, [(2, "changed", ""), (1, "words", "apply")]);
        assert_eq!(kept[1].ended_at, Some(kept[0].saved_at));
        assert_eq!(sent(&client, &replay(&client, event, "then").await).await, "one");
    }

    async fn changes_are_audited_without_their_secrets(db) {
        let server = Server::start(db).await;
        let client = server.client();
        let secret = "a-secret-of-the-test-that-nobody-sees";
        let new = json!({ "name": "kuma", "slug": "kuma", "auth": { "type": "bearer" }, "secret": secret });
        client.post("/api/v1/sources", &new).await.done();
        let hook = json!({
            "name": "hook", "connector": "http",
            "settings": { "url": "https://example.com/", "headers": { "X-Api-Key": secret } },
        });
        client.post("/api/v1/connections", &hook).await.done();
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit").await;
        let actions: Vec<&str> = lines.iter().map(|l| l.action.as_str()).collect();
        assert_eq!(actions, ["connection.create", "source.create"]);
        assert_eq!(lines[1].after["secrets_changed"], json!(["secret"]));
        assert_eq!((lines[0].before.is_null(), &lines[0].after["name"]), (true, &json!("hook")));
        assert!(!serde_json::to_string(&lines).unwrap().contains(secret));
        let audit = server.store.dump().await;
        assert!(!audit.lines().any(|l| l.starts_with("audit.") && l.contains(secret)));
        let one: Vec<AuditEntry> = all(&client, "/api/v1/audit?subject_kind=source&action=source.create").await;
        assert_eq!(one.len(), 1);
        let none: Vec<AuditEntry> = all(&client, "/api/v1/audit?actor=nobody").await;
        assert!(none.is_empty());
    }
}
