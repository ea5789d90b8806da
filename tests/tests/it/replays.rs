//! Dead letters: replayed, discarded and exported, a few at once and many as jobs.

use api::scope::Scope;
use api::services::audit::{self, AuditFilter};
use api::services::cursor::Window;
use api::services::jobs::{self, JobFilter};
use api::services::{replay, rules};
use openapi::audit::AuditEntry;
use openapi::deliveries::{DeadFilter, DeadGroup, DeadPreview, DeadResult, Delivery, State};
use openapi::events::EventDetail;
use openapi::jobs::{Job, JobState};
use openapi::page::Page;
use openapi::problem::Code;
use openapi::rules::Rule;
use openapi::stream::Message;
use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    Statement,
};
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::stream::Stream;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{all, delivery, drained, event, in_state, job_ended, settled};

/// Dead letters.
pub const DEAD: &str = "/api/v1/dead-letters";
/// How many dead letters there are.
pub const COUNT_DEAD: &str = "SELECT COUNT(*) FROM delivery WHERE state = 'dead'";

/// A copy of the whole event, in order of its `lane`.
fn in_lanes() -> Value {
    let mut step = copy_to("sink");
    step["deliver"]["key"] = json!("{{ lane }}");
    step
}

fn to(sink: &FakeSink, step: Value) -> File {
    File::new()
        .http("sink", &sink.url)
        .source("alerts")
        .rule("copy", json!([]), json!([step]))
}

/// Sends this many events in two lanes, all of which are refused, and waits until they are dead.
async fn dead_letters(server: &Server, sink: &FakeSink, count: i64) {
    sink.answer(400);
    for n in 0..count {
        server
            .anonymous()
            .hook("alerts", &json!({ "lane": n % 2, "n": n }))
            .await;
    }
    wait_until("all are dead", async || {
        (server.store.number(COUNT_DEAD).await == count).then_some(())
    })
    .await;
    sink.answer(200);
}

/// A job as it is now.
pub async fn job(client: &Client, id: Uuid) -> Job {
    client.read(&format!("/api/v1/jobs/{id}")).await
}

/// What the audit log has of an act, newest first.
pub async fn audited(client: &Client, action: &str) -> Vec<AuditEntry> {
    all(client, &format!("/api/v1/audit?action={action}")).await
}

both! {
    async fn original_bytes_are_replayed_never_the_masked_view(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, copy_to("sink")).text()).await;
        let client = server.client();
        sink.answer(400);
        let secret = "the-password-of-the-test";
        let sent = server.anonymous().hook("alerts", &json!({ "password": secret, "n": 1 })).await;
        let shown = settled(&client, sent.event_ids[0]).await;
        let dead = &shown.deliveries[0];
        assert_eq!(dead.state, State::Dead);
        assert!(!serde_json::to_string(&shown.payload).unwrap().contains(secret), "masked for eyes");
        assert!(!dead.fields.to_string().contains(secret), "masked for eyes");
        let preview: DeadPreview = client.post(&format!("{DEAD}/preview"), &json!({})).await.ok();
        assert_eq!(preview.count, 1);
        assert!(!serde_json::to_string(&preview).unwrap().contains(secret), "masked for eyes");

        let exported = client.get(&format!("{DEAD}/export?error_code=http_400")).await;
        let lines: Vec<Value> = exported.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 1);
        let body: Value = serde_json::from_str(lines[0]["event"]["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["password"], secret, "an export is complete");
        assert_eq!(audited(&client, "dead_letters.export").await[0].after["count"], 1);

        sink.answer(200);
        for rules in [json!("today"), json!("then"), Value::Null] {
            let id = wait_until("one is dead", async || {
                all::<Delivery>(&client, &format!("{DEAD}/list")).await.first().map(|d| d.id)
            }).await;
            let result: DeadResult = client
                .post(&format!("{DEAD}/replay"), &json!({ "ids": [id], "rules": rules })).await.ok();
            assert_eq!((result.count, result.failed), (1, 0), "{result:?}");
            let old = delivery(&client, id).await;
            assert_eq!(old.state, State::Superseded);
            let new = in_state(&client, old.replayed_as.unwrap(), State::Delivered).await;
            assert_eq!((new.replay_of, &new.message_id), (Some(id), &old.message_id), "linked both ways, the same message");
            let seen = &sink.seen()[&new.message_id];
            assert!(seen.body.contains(secret), "{}", seen.body);
            assert_eq!(seen.bodies, 1, "the same bytes each time");
            if rules.is_null() {
                break;
            }
            sink.answer(400);
            let next = server.anonymous().hook("alerts", &json!({ "password": secret, "n": 2 })).await;
            settled(&client, next.event_ids[0]).await;
            sink.answer(200);
        }
        assert_eq!(audited(&client, "dead_letters.replay").await.len(), 3);
    }

    async fn many_are_replayed_as_a_job_in_the_order_of_their_lanes(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, in_lanes()).text()).await;
        let client = server.client();
        dead_letters(&server, &sink, 60).await;
        let mut stream = Stream::open(&client, None).await;
        let result: DeadResult = client.post(&format!("{DEAD}/replay"), &json!({ "rules": "today" })).await.ok();
        assert_eq!(result.count, 60);
        let started = result.job.unwrap();
        stream.find(|m| matches!(m, Message::Job(j) if j.id == started.id && j.state == JobState::Running)).await;
        let told = stream.find(|m| matches!(m, Message::Job(j) if j.id == started.id && j.state == JobState::Done)).await;
        let Message::Job(told) = told.message else { unreachable!() };
        assert_eq!((told.total, told.done, told.failed), (60, 60, 0));
        let done = job_ended(&client, started.id).await;
        assert_eq!((done.state, done.done), (JobState::Done, 60));
        drained(&server).await;
        assert_eq!(server.store.number(COUNT_DEAD).await, 0);
        assert_eq!(server.store.number("SELECT COUNT(DISTINCT replay_of) FROM delivery WHERE state = 'delivered'").await, 60);
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery").await, 120);
        // What arrived first of each lane is what failed first.
        for lane in 0..2 {
            let mut order: Vec<(u64, i64)> = sink.seen().values()
                .map(|seen| (seen.first_at_us, serde_json::from_str::<Value>(&seen.body).unwrap()))
                .filter(|(_, body)| body["lane"] == lane)
                .map(|(at, body)| (at, body["n"].as_i64().unwrap()))
                .collect();
            order.sort_unstable();
            assert!(order.is_sorted_by_key(|(_, n)| *n) && order.len() == 30, "lane {lane}: {order:?}");
        }
        let jobs: Vec<Job> = all(&client, "/api/v1/jobs?state=done&kind=dead_letters.replay").await;
        assert_eq!(jobs.len(), 1);
    }

    async fn a_crash_in_the_middle_neither_loses_nor_doubles(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, in_lanes()).text()).await;
        let client = server.client();
        dead_letters(&server, &sink, 60).await;
        let asked = json!({ "per_second": 10, "rules": "then" });
        let result: DeadResult = client.post(&format!("{DEAD}/replay"), &asked).await.ok();
        let id = result.job.unwrap().id;
        for left in [45, 20] {
            wait_until("some are replayed", async || (server.store.number(COUNT_DEAD).await <= left).then_some(())).await;
            server.kill();
            assert!(server.store.number(COUNT_DEAD).await > 0, "the job was in the middle");
            server.resume().await;
        }
        let done = job_ended(&client, id).await;
        assert_eq!((done.state, done.failed), (JobState::Done, 0), "{done:?}");
        drained(&server).await;
        let number = async |query: &str| server.store.number(query).await;
        assert_eq!(number(COUNT_DEAD).await, 0);
        assert_eq!(number("SELECT COUNT(*) FROM delivery WHERE replay_of IS NOT NULL").await, 60);
        assert_eq!(number("SELECT COUNT(DISTINCT replay_of) FROM delivery").await, 60);
        assert_eq!(number("SELECT COUNT(*) FROM delivery o JOIN delivery n ON o.replayed_as = n.id AND n.replay_of = o.id \
            WHERE o.state = 'superseded' AND n.state = 'delivered'").await, 60);
    }

    async fn two_who_replay_at_once_replay_once(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, in_lanes()).text()).await;
        let client = server.client();
        dead_letters(&server, &sink, 18).await;
        let (path, all) = (format!("{DEAD}/replay"), json!({}));
        let today = json!({ "rules": "today" });
        let (a, b, c) = tokio::join!(client.post(&path, &all), client.post(&path, &today), client.post(&path, &all));
        let count = [a, b, c].iter().map(|answer| answer.ok::<DeadResult>().count).sum::<u64>();
        assert_eq!(count, 18);
        drained(&server).await;
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery").await, 36);
        assert_eq!(server.store.number("SELECT COUNT(DISTINCT replay_of) FROM delivery WHERE state = 'delivered'").await, 18);
    }

    async fn a_lane_that_was_set_aside_is_replayed_in_order_in_pieces(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new()
            .http_with("sink", &sink.url, json!({ "on_failure": "park" }))
            .source("alerts")
            .rule("copy", json!([]), json!([in_lanes()]));
        server.apply(&file.text()).await;
        let client = server.client();
        // More than one commit of a replay takes.
        sink.answer(400);
        for n in 0..230 {
            server.anonymous().hook("alerts", &json!({ "lane": 0, "n": n })).await;
        }
        wait_until("all are dead", async || (server.store.number(COUNT_DEAD).await == 230).then_some(())).await;
        sink.answer(200);
        let result: DeadResult = client.post(&format!("{DEAD}/replay"), &json!({})).await.ok();
        let done = job_ended(&client, result.job.unwrap().id).await;
        assert_eq!((done.done, done.failed), (230, 0), "{done:?}");
        drained(&server).await;
        assert_eq!(server.store.number(COUNT_DEAD).await, 0);
        let mut order: Vec<(u64, i64)> = sink.seen().values()
            .map(|seen| (seen.first_at_us, serde_json::from_str::<Value>(&seen.body).unwrap()["n"].as_i64().unwrap()))
            .collect();
        order.sort_unstable();
        assert!(order.is_sorted_by_key(|(_, n)| *n) && order.len() == 230, "{order:?}");
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery o JOIN delivery n ON o.replayed_as = n.id \
            AND n.replay_of = o.id WHERE n.state = 'delivered'").await, 230, "linked both ways");
    }

    async fn a_job_keeps_its_rate_and_is_cancelled(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, copy_to("sink")).text()).await;
        let client = server.client();
        dead_letters(&server, &sink, 6).await;
        for (field, value) in [("per_second", 0), ("per_minute", 60_001)] {
            let problem = client.post(&format!("{DEAD}/replay"), &json!({ field: value })).await.problem(Code::ValidationFailed);
            assert_eq!(problem.errors[0].field, field);
        }
        let result: DeadResult = client.post(&format!("{DEAD}/replay"), &json!({ "per_minute": 1 })).await.ok();
        let id = result.job.unwrap().id;
        wait_until("the first is replayed", async || (job(&client, id).await.done == 1).then_some(())).await;
        let path = format!("/api/v1/jobs/{id}/cancel");
        let cancelled: Job = client.post(&path, &json!({})).await.ok();
        assert_eq!((cancelled.state, cancelled.done), (JobState::Cancelled, 1));
        client.post(&path, &json!({})).await.problem(Code::Conflict);
        assert_eq!(server.store.number(COUNT_DEAD).await, 5, "the others stay");
        assert_eq!(audited(&client, "job.cancel").await[0].subject_id, Some(id));

        for n in 6..30 {
            sink.answer(400);
            server.anonymous().hook("alerts", &json!({ "n": n })).await;
        }
        wait_until("all are dead", async || (server.store.number(COUNT_DEAD).await == 29).then_some(())).await;
        let result: DeadResult = client.post(&format!("{DEAD}/discard"), &json!({ "error_code": "http_400" })).await.ok();
        let done = job_ended(&client, result.job.unwrap().id).await;
        assert_eq!((done.kind.as_str(), done.done), ("dead_letters.discard", 29));
        assert_eq!(server.store.number("SELECT COUNT(*) FROM delivery WHERE state = 'discarded'").await, 29);
    }

    async fn a_rate_holds_from_the_first_one_on(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, copy_to("sink")).text()).await;
        let client = server.client();
        dead_letters(&server, &sink, 5).await;
        let result: DeadResult = client.post(&format!("{DEAD}/replay"), &json!({ "per_second": 2 })).await.ok();
        let done = job_ended(&client, result.job.unwrap().id).await;
        assert_eq!(done.done, 5);
        drained(&server).await;
        let mut arrived: Vec<u64> = sink.seen().values().map(|seen| seen.first_at_us).collect();
        arrived.sort_unstable();
        let started = u64::try_from(done.created_at.timestamp_micros()).unwrap();
        for (at, nth) in arrived.iter().zip(0..) {
            assert!(*at >= started + nth * 500_000, "{nth}: {} us", at - started);
        }
    }

    async fn a_preview_says_what_todays_rules_and_those_of_then_would_send(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = to(&sink, copy_to("sink"));
        server.apply(&file.text()).await;
        let client = server.client();
        dead_letters(&server, &sink, 3).await;
        let rule = all::<Rule>(&client, "/api/v1/rules").await.remove(0);
        let mut spec = serde_json::to_value(&rule.spec).unwrap();
        spec["then"][0]["deliver"]["map"] = json!({ "body": { "value": "mended" } });
        let changed: Rule = client
            .patch(&format!("/api/v1/rules/{}", rule.id), rule.revision, &json!({ "spec": spec })).await.ok();
        let preview: DeadPreview = client.post(&format!("{DEAD}/preview"), &json!({ "rule_id": rule.id })).await.ok();
        assert_eq!((preview.count, preview.with_lanes, preview.samples.len()), (3, 0, 3));
        let groups: Page<DeadGroup> = client.read(&format!("{DEAD}?rule_id={}", rule.id)).await;
        assert_eq!((groups.items.len(), groups.items[0].count), (1, 3));
        let groups: Page<DeadGroup> = client.read(&format!("{DEAD}?rule_id={}", Uuid::nil())).await;
        assert_eq!(groups.items, []);
        assert_eq!((preview.connections[0].name.as_str(), preview.connections[0].count), ("sink", 3));
        assert_eq!((preview.causes[0].name.as_str(), preview.rules[0].name.as_str()), ("http_400", "copy"));
        assert!(preview.oldest_at <= preview.newest_at && preview.oldest_at.is_some());
        let sample = &preview.samples[0];
        assert!(sample.differ, "{sample:?}");
        assert_eq!(sample.today.operations[0].fields["body"], "mended");
        assert_eq!(sample.again.operations[0].fields["body"]["n"], 0, "as it was rendered");
        assert_eq!(sample.again.operations[0].revision, rule.revision);
        assert_eq!(sample.then.operations[0].fields["body"]["n"], 0);
        assert_eq!((sample.today.operations[0].revision, sample.then.operations[0].revision), (changed.revision, rule.revision));
        assert_eq!(server.store.number(COUNT_DEAD).await, 3, "nothing is sent");

        let ids: Vec<Uuid> = all::<Delivery>(&client, &format!("{DEAD}/list")).await.iter().map(|d| d.id).collect();
        for (id, rules) in ids.iter().zip([json!("today"), json!("then"), Value::Null]) {
            let result: DeadResult = client
                .post(&format!("{DEAD}/replay"), &json!({ "ids": [id], "rules": rules })).await.ok();
            assert_eq!(result.count, 1);
            let new = delivery(&client, *id).await.replayed_as.unwrap();
            let new = in_state(&client, new, State::Delivered).await;
            let mended = sink.seen()[&new.message_id].body.contains("mended");
            assert_eq!(mended, rules == "today", "{rules}");
        }

        // The rule goes: today nothing is made of it, but the rules of then still know it.
        dead_letters(&server, &sink, 2).await;
        client.delete(&format!("/api/v1/rules/{}", rule.id), changed.revision).await.done();
        let today: DeadResult = client.post(&format!("{DEAD}/replay"), &json!({ "rules": "today" })).await.ok();
        assert_eq!((today.count, today.failed, today.reasons["no_rule"]), (0, 2, 2));
        let then: DeadResult = client.post(&format!("{DEAD}/replay"), &json!({ "rules": "then" })).await.ok();
        assert_eq!((then.count, then.failed), (2, 0), "{then:?}");
        drained(&server).await;
    }

    async fn a_replay_by_new_rules_never_repeats_what_was_done(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let file = File::new().http("sink", &sink.url)
            .source_with("alerts", json!({ "match": "all" }))
            .rule("good", json!([]), json!([copy_to("sink")]))
            .rule("bad", json!([]), json!([copy_to("sink")]));
        server.apply(&file.text()).await;
        let client = server.client();
        sink.answer(400);
        let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
        let before = settled(&client, sent.event_ids[0]).await;
        assert_eq!(before.deliveries.len(), 2);
        sink.answer(200);
        // One of the two is done; then the other's rule is replaced by a new one.
        let good = before.deliveries.iter().find(|d| d.rule == "good").unwrap();
        client.post(&format!("/api/v1/deliveries/{}/replay", good.id), &json!({})).await.done();
        let bad = before.deliveries.iter().find(|d| d.rule == "bad").unwrap();
        let rules: Vec<Rule> = all(&client, "/api/v1/rules").await;
        let old = rules.iter().find(|r| r.name == "bad").unwrap();
        client.delete(&format!("/api/v1/rules/{}", old.id), old.revision).await.done();
        let new = json!({ "name": "better", "spec": { "when": [], "then": [copy_to("sink")] } });
        client.post("/api/v1/rules", &new).await.done();
        let result: DeadResult = client
            .post(&format!("{DEAD}/replay"), &json!({ "ids": [bad.id], "rules": "today" })).await.ok();
        assert_eq!(result.count, 1, "{result:?}");
        let after = settled(&client, sent.event_ids[0]).await;
        let made: Vec<(&str, State)> = after.deliveries.iter().map(|d| (d.rule.as_str(), d.state)).collect();
        assert_eq!(made.iter().filter(|(rule, _)| *rule == "good").count(), 2, "{made:?}");
        assert_eq!(made.iter().filter(|m| **m == ("better", State::Delivered)).count(), 1, "{made:?}");
        // The same again finds nothing.
        let again: DeadResult = client
            .post(&format!("{DEAD}/replay"), &json!({ "ids": [bad.id], "rules": "today" })).await.ok();
        assert_eq!(again.count, 0);
    }

    async fn what_a_quarantined_rule_parked_is_released_when_it_is_mended(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply(&to(&sink, copy_to("sink")).text()).await;
        let client = server.client();
        let rule = all::<Rule>(&client, "/api/v1/rules").await.remove(0);
        let path = format!("/api/v1/rules/{}", rule.id);
        let good = serde_json::to_value(&rule.spec).unwrap();
        let mut bad = good.clone();
        bad["when"] = json!([{ "path": "$.n", "op": "regex", "value": "(" }]);
        // As if an earlier version had saved it.
        let db = server.store.connect().await;
        for text in [
            format!("UPDATE rule SET spec = '{bad}'"),
            "UPDATE meta SET value = value + 1 WHERE name = 'config_revision'".to_owned(),
        ] {
            db.execute_unprepared(&text).await.unwrap();
        }
        db.close().await.unwrap();
        let parked: EventDetail = wait_until("the rule is in quarantine", async || {
            let sent = server.anonymous().hook("alerts", &json!({ "n": 1 })).await;
            Some(event(&client, sent.event_ids[0]).await).filter(|e| e.deliveries[0].state == State::Parked)
        }).await;
        for n in 0..30 {
            server.anonymous().hook("alerts", &json!({ "n": n })).await;
        }
        client.post(&format!("{path}/release-parked"), &json!({})).await.problem(Code::Conflict);
        client.patch(&path, rule.revision, &json!({ "spec": good })).await.done();
        let result: DeadResult = client.post(&format!("{path}/release-parked"), &json!({})).await.ok();
        let done = job_ended(&client, result.job.unwrap().id).await;
        assert_eq!((done.done, done.failed), (31, 0), "{done:?}");
        drained(&server).await;
        let after = event(&client, parked.summary.id).await;
        let old = after.deliveries.iter().find(|d| d.id == parked.deliveries[0].id).unwrap();
        assert_eq!(old.state, State::Superseded);
        let new = delivery(&client, old.replayed_as.unwrap()).await;
        assert_eq!((new.state, new.replay_of), (State::Delivered, Some(old.id)));
    }

    async fn hot_queries_use_an_index(db) {
        let server = Server::start(db).await;
        let db = server.store.connect().await;
        let backend = db.get_database_backend();
        if backend == DatabaseBackend::Postgres {
            fill(&db).await;
        }
        let scope = Scope::for_tests(Uuid::nil());
        let window = Window { before: Some(Uuid::max()), limit: 50 };
        let dead = |filter: DeadFilter| {
            replay::dead_query(scope, &filter).order_by_desc(entity::delivery::Column::Id).limit(51).build(backend)
        };
        let of = |id| DeadFilter { connection_id: Some(id), ..DeadFilter::default() };
        let queries = [
            (dead(DeadFilter::default()), "delivery_dead_list"),
            (dead(of(Uuid::nil())), "delivery_dead_connection"),
            (dead(DeadFilter { rule_id: Some(Uuid::nil()), ..DeadFilter::default() }), "delivery_dead_rule"),
            (dead(DeadFilter { error_code: Some("x".to_owned()), ..DeadFilter::default() }), "delivery_dead "),
            (replay::parked_query(scope, Uuid::nil()).build(backend), "delivery_parked_rule"),
            (replay::lane_query(scope, &(Uuid::nil(), "a".to_owned())).build(backend), "delivery_lane_place"),
            (rules::revisions_query(scope, Uuid::nil(), window).build(backend), "rule_revision_list"),
            (jobs::query(scope, &JobFilter { state: Some(JobState::Running), kind: None }, window).build(backend), "job_state"),
            (jobs::query(scope, &JobFilter::default(), window).build(backend), "job_workspace"),
            (audit::query(scope, &AuditFilter::default(), window).build(backend), "audit_workspace"),
            (audit::query(scope, &AuditFilter { action: Some("x".to_owned()), ..AuditFilter::default() }, window).build(backend), "audit_action"),
            (audit::query(scope, &AuditFilter { actor: Some("x".to_owned()), ..AuditFilter::default() }, window).build(backend), "audit_actor"),
            (audit::query(scope, &AuditFilter { subject: Some(Uuid::nil()), ..AuditFilter::default() }, window).build(backend), "audit_subject"),
        ];
        for (query, index) in queries {
            let plan = plan(&db, backend, &query.to_string()).await;
            assert!(plan.contains(index), "{index} is not used:\n{query}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "{index}: sorted by hand:\n{plan}");
        }
        db.close().await.unwrap();
    }
}

/// Rows enough that reading all of them is not the best plan: most are of no interest.
async fn fill(db: &sea_orm::DatabaseConnection) {
    let nil = format!("'{}'::uuid", Uuid::nil());
    let some = "gen_random_uuid()";
    for text in [
        format!(
            "INSERT INTO delivery (id, workspace_id, event_id, correlation_id, received_at, rule_id, rule_name, \
             rule_revision, step, connection_id, operation, fields, message_id, state, behind, due_at, fence, \
             attempts, unsure, error_code, created_at, updated_at) SELECT {some}, {nil}, {some}, '', n, {some}, '', \
             1, 0, {some}, 'x', '{{}}', '', CASE n % 20 WHEN 0 THEN 'dead' WHEN 1 THEN 'parked' ELSE 'delivered' END, \
             FALSE, n, 0, 0, FALSE, 'code_' || n % 1000, n, n FROM generate_series(1, 40000) AS n"
        ),
        format!(
            "INSERT INTO rule_revision (id, workspace_id, rule_id, revision, name, priority, seq, enabled, spec, \
             connections, actor, created_at, saved_at) SELECT {some}, {nil}, {some}, 1, '', 1, n, TRUE, '{{}}', '{{}}', \
             '', n, n FROM generate_series(1, 10000) AS n"
        ),
        format!(
            "INSERT INTO job (id, workspace_id, kind, state, params, cursor, total, done, failed, actor, created_at, \
             updated_at) SELECT {some}, {nil}, 'x', CASE n % 100 WHEN 0 THEN 'running' ELSE 'done' END, '', '', 0, 0, 0, \
             '', n, n FROM generate_series(1, 10000) AS n"
        ),
        format!(
            "INSERT INTO audit (id, workspace_id, at, actor_kind, actor, remote_addr, action, subject_kind, subject_id, \
             subject, before, after) SELECT {some}, {nil}, n, 'user', 'actor_' || n % 500, '', 'action_' || n % 500, 'x', \
             {some}, '', '', '' FROM generate_series(1, 10000) AS n"
        ),
        "ANALYZE".to_owned(),
    ] {
        db.execute_unprepared(&text).await.unwrap();
    }
}

/// How the database would run a query.
async fn plan(db: &sea_orm::DatabaseConnection, backend: DatabaseBackend, query: &str) -> String {
    let explain = match backend {
        DatabaseBackend::Postgres => format!("EXPLAIN {query}"),
        _ => format!("EXPLAIN QUERY PLAN {query}"),
    };
    let rows = db
        .query_all_raw(Statement::from_string(backend, explain))
        .await
        .unwrap();
    let lines = rows.iter().map(|row| match backend {
        DatabaseBackend::Postgres => row.try_get_by_index::<String>(0).unwrap(),
        _ => row.try_get::<String>("", "detail").unwrap(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
