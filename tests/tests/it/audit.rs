//! The chain of the audit log, and finding a line that somebody changed behind the server's back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use openapi::audit::{AuditCount, AuditEntry, AuditVerification, ComplianceReport};
use openapi::page::Page;
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Server, both, wait_until, wait_until_within};

use crate::clocks::Hand;
use crate::support::all;

const DAY_MS: i64 = 86_400_000;

/// The chain once every line has joined it.
async fn joined(client: &Client) -> AuditVerification {
    wait_until("every line has joined", async || {
        let found: AuditVerification = client.read("/api/v1/audit/verification").await;
        (found.waiting == 0 && found.seq > 0).then_some(())
    })
    .await;
    // The end is read before the lines that wait are counted: those may have joined in between.
    client.read("/api/v1/audit/verification").await
}

/// Changes what the API shows in the log.
async fn change(client: &Client, name: &str) {
    client
        .post(
            "/api/v1/sources",
            &json!({ "name": name, "slug": name, "auth": { "type": "none" } }),
        )
        .await
        .ok::<Value>();
}

both! {
    async fn a_line_that_is_changed_or_taken_out_is_found(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().sandbox("desk", json!({})).source("kuma")
            .rule("copy", json!([]), json!([copy_to("desk")])).text()).await;
        let client = server.client();
        for name in ["one", "two", "three"] {
            change(&client, name).await;
        }
        let found = joined(&client).await;
        let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit").await;
        assert!(found.intact && found.broken.is_none(), "{found:?}");
        assert_eq!((found.checked, found.first_seq), (lines.len() as u64, 1));
        let mut numbers: Vec<i64> = lines.iter().filter_map(|line| line.seq).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=found.seq).collect::<Vec<_>>());

        // The address and the id of the request are on every line of a person or key.
        let made: Vec<AuditEntry> = all(&client, "/api/v1/audit?q=TWO&action=source.create").await;
        let [line] = made.as_slice() else { panic!("one line: {made:?}") };
        assert!(!line.request_id.is_empty() && !line.remote_addr.is_empty(), "{line:?}");
        let later: Vec<AuditEntry> = all(&client, "/api/v1/audit?from=2100-01-01T00:00:00Z").await;
        assert_eq!(later.len(), 0);
        let wild: Vec<AuditEntry> = all(&client, "/api/v1/audit?q=t%25o").await;
        assert_eq!(wild.len(), 0, "a percent sign is a percent sign");

        let seq = line.seq.unwrap();
        // What was kept elsewhere is in it; what was not, is not.
        let ask = async |seq: i64, hash: &str| -> AuditVerification {
            client.read(&format!("/api/v1/audit/verification?seq={seq}&hash={hash}")).await
        };
        let same = ask(found.seq, &found.hash).await;
        assert_eq!((same.intact, same.known.as_deref()), (true, Some("holds")));
        for (seq, hash) in [(found.seq, "00"), (found.seq + 1_000, found.hash.as_str())] {
            let other = ask(seq, hash).await;
            assert_eq!((other.intact, other.known.as_deref()), (false, Some("rewritten")));
            assert_eq!(other.broken.map(|b| (b.seq, b.what)), Some((seq, "rewritten".to_owned())));
        }
        client.get("/api/v1/audit/verification?seq=1").await.problem(Code::InvalidParameter);
        let kept = |hash: &str| format!("main:{}:{hash}", found.seq);
        assert!(server.cli(&["audit", "verify", "--kept", &kept(&found.hash)]).await.status.success());
        let said = server.cli(&["audit", "verify", "--kept", &kept("00")]).await;
        assert_eq!(said.status.code(), Some(4), "{said:?}");
        assert!(String::from_utf8_lossy(&said.stdout).contains("written anew"), "{said:?}");

        server.store.run(&format!("UPDATE audit SET actor = 'nobody' WHERE seq = {seq}")).await;
        let broken: AuditVerification = client.read("/api/v1/audit/verification").await;
        let place = broken.broken.unwrap();
        assert!(!broken.intact);
        assert_eq!((place.id, Some(place.seq), place.what.as_str()), (Some(line.id), line.seq, "changed"));
        let said = server.cli(&["audit", "verify"]).await;
        assert_eq!(said.status.code(), Some(4), "{said:?}");
        assert!(String::from_utf8_lossy(&said.stdout).contains("was changed"), "{said:?}");

        server.store.run(&format!("UPDATE audit SET actor = '{}' WHERE seq = {seq}", line.actor)).await;
        let said = server.cli(&["audit", "verify", "--json"]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");

        server.store.run(&format!("DELETE FROM audit WHERE seq = {seq}")).await;
        let broken: AuditVerification = client.read("/api/v1/audit/verification").await;
        let place = broken.broken.unwrap();
        assert_eq!((Some(place.seq), place.what.as_str()), (line.seq, "missing"));
    }
}

both! {
    async fn the_log_is_taken_out_whole_and_that_is_in_it(db) {
        let server = Server::start(db).await;
        let client = server.client();
        for n in 0..620 {
            server.store.run(&format!(
                "INSERT INTO audit (id, workspace_id, at, actor_kind, actor, remote_addr, action, \
                 subject_kind, subject_id, subject, before, after, request_id) \
                 SELECT {}, id, {n}, 'user', '=cmd()', '', 'rule.change', 'rule', NULL, 'r{n}', \
                 'null', '{{\"a\":{n}}}', '' FROM workspace",
                identifier(db, n),
            )).await;
        }
        let answer = client.get("/api/v1/audit/export?actor=%3Dcmd()").await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let text = answer.text();
        let lines: Vec<AuditEntry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 620, "all pages");
        assert_eq!((lines[0].subject.as_str(), lines[619].subject.as_str()), ("r619", "r0"));

        let csv = client.get("/api/v1/audit/export?format=csv&q=r61&actor=%3Dcmd()").await.text();
        let mut rows = csv.lines();
        assert!(rows.next().unwrap().starts_with("id,at,actor_kind,actor,"));
        assert!(rows.clone().count() >= 11 && rows.all(|row| row.contains(",'=cmd(),")), "{csv}");
        client.get("/api/v1/audit/export?format=xml").await.problem(openapi::problem::Code::InvalidParameter);
        let told: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=audit.export").await;
        assert_eq!(told.len(), 2);
        assert_eq!(told[1].after["actor"], "=cmd()");
    }
}

both! {
    async fn the_chain_goes_on_behind_what_retention_took(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let client = server.client();
        for name in ["one", "two", "three"] {
            change(&client, name).await;
        }
        let before = joined(&client).await;
        let began: AuditEntry = client.read::<Page<AuditEntry>>("/api/v1/audit").await.items.pop().unwrap();
        client.patch("/api/v1/retention", 0, &json!({ "audit": 1 })).await.done();
        joined(&client).await;
        hand.turn(3 * DAY_MS);
        change(&client, "later").await;
        client.post("/api/v1/retention/run", &json!({})).await.done();
        let after = wait_until_within(Duration::from_secs(30), "old lines are gone", async || {
            let found = joined(&client).await;
            (found.first_seq > before.seq).then_some(found)
        }).await;
        assert!(after.intact, "{after:?}");
        let cleaned = wait_until("the clean-up is in the log", async || {
            let lines: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=retention.clean").await;
            lines.into_iter().next()
        }).await;
        assert_eq!((cleaned.actor_kind.as_str(), cleaned.actor.as_str()), ("system", "retention"));
        let gone = u64::try_from(after.first_seq - 1).unwrap();
        assert_eq!(cleaned.after["deleted"]["audit"], gone);
        let found = joined(&client).await;
        let mut numbers: Vec<i64> = all::<AuditEntry>(&client, "/api/v1/audit").await
            .iter().filter_map(|line| line.seq).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (found.first_seq..=found.seq).collect::<Vec<_>>(), "no number is used twice");

        // The report of the time tells of it, and that it does not know all.
        let period = |from: DateTime<Utc>| {
            let to = cleaned.at + chrono::TimeDelta::days(1);
            let text = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            format!("/api/v1/audit/report?from={}&to={}", text(from), text(to))
        };
        let report: ComplianceReport = client.read(&period(began.at)).await;
        assert!(!report.complete && report.log.intact, "{report:?}");
        assert_eq!(report.deleted.audit, gone);
        assert_eq!(report.retention[0].action, "retention.clean");
        let report: ComplianceReport = client.read(&period(cleaned.at)).await;
        assert!(report.complete);

        // Behind the anchor it is as strict as ever.
        server.store.run(&format!("DELETE FROM audit WHERE seq = {}", found.first_seq)).await;
        let broken: AuditVerification = client.read("/api/v1/audit/verification").await;
        assert_eq!(broken.broken.unwrap().seq, found.first_seq);
    }

    async fn a_crash_leaves_lines_that_join_later(db) {
        let server = Server::start(db).await;
        for n in 0..12 {
            let client = server.client();
            // Killed while a change is under way, or its line joins, or neither.
            let name = format!("n{n}");
            let new = json!({ "name": name, "slug": name, "auth": { "type": "none" } });
            let posted = tokio::spawn(async move { client.call(reqwest::Method::POST, "/api/v1/sources").json(&new).try_send().await });
            tokio::time::timeout(Duration::from_millis(n * 8), posted).await.ok();
            server.kill();
            server.resume().await;
        }
        let client = server.client();
        change(&client, "last").await;
        let found = joined(&client).await;
        assert!(found.intact, "{found:?}");
        let made: Vec<AuditEntry> = all(&client, "/api/v1/audit?action=source.create").await;
        let sources = server.store.number("SELECT COUNT(*) FROM source").await;
        assert_eq!(made.len(), usize::try_from(sources).unwrap(), "a line for each change, and none without");
    }

    async fn a_report_counts_who_did_what(db) {
        let server = Server::start(db).await;
        let admin = server.session().await;
        let email = server.credentials.admin.email.clone();
        change(&admin, "one").await;
        change(&server.client(), "two").await;
        change(&server.client(), "three").await;
        let wrong = json!({ "email": email, "password": "wrong" });
        server.anonymous().post("/api/v1/auth/login", &wrong).await.problem(Code::LoginFailed);
        let new = json!({ "name": "robot", "kind": "hmac", "scopes": ["rules:read"] });
        admin.post("/api/v1/credentials", &new).await.done();
        let secret = json!({ "name": "four", "slug": "four", "auth": { "type": "bearer" } });
        admin.post("/api/v1/sources", &secret).await.done();
        admin.get("/api/v1/audit/export").await.done();
        let path = "/api/v1/audit/report?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
        let report: ComplianceReport = wait_until("the refused sign-in is written", async || {
            let report: ComplianceReport = admin.read(path).await;
            report.access.iter().any(|c| c.action == "sign_in.refused").then_some(report)
        }).await;
        assert!(report.complete && report.log.intact && !report.more);
        assert_eq!(report.workspace, "main");
        let count = |counts: &[AuditCount], action: &str, kind: &str| {
            counts.iter().filter(|c| c.action == action && c.actor_kind == kind).map(|c| c.count).sum::<u64>()
        };
        assert_eq!(count(&report.changes, "source.create", "credential"), 2);
        assert_eq!(count(&report.changes, "source.create", "user"), 1);
        assert_eq!(count(&report.secrets, "source.create", "user"), 1, "one was shown a secret");
        assert_eq!(count(&report.secrets, "credential.create", "user"), 1);
        assert_eq!(count(&report.access, "sign_in", "user"), 1);
        assert_eq!(count(&report.access, "sign_in.refused", "user"), 1);
        assert_eq!(count(&report.exports, "audit.export", "user"), 1);
        assert_eq!(report.members.len(), 1);
        assert!(report.credentials.iter().any(|c| c.name == "robot"));
        for wrong in ["from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from=x&to=2026-01-01T00:00:00Z", "to=2026-01-01T00:00:00Z"] {
            admin.get(&format!("/api/v1/audit/report?{wrong}")).await.problem(Code::InvalidParameter);
        }
        let again: ComplianceReport = admin.read(path).await;
        assert!(count(&again.exports, "audit.report", "user") > 0, "that it was made is in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_continue_the_same_place() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let first = Server::start_with(db, Options::default().set("lease_seconds", 3)).await;
    let second = first.another(Options::default().set("lease_seconds", 3));
    second.resume().await;
    let mut writers = tokio::task::JoinSet::new();
    for (n, server) in [&first, &second, &first, &second].into_iter().enumerate() {
        let client = server.client();
        writers.spawn(async move {
            for m in 0..25 {
                change(&client, &format!("w{n}-{m}")).await;
            }
        });
    }
    writers.join_all().await;
    let found = joined(&first.client()).await;
    assert!(found.intact, "{found:?}");
    let lines: Vec<AuditEntry> = all(&second.client(), "/api/v1/audit").await;
    let mut numbers: Vec<i64> = lines.iter().filter_map(|line| line.seq).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=found.seq).collect::<Vec<_>>());
    assert!(lines.len() >= 100);
    let said = second.cli(&["audit", "verify"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
}

/// An id in order, as the database writes it.
fn identifier(db: tests::Database, n: u32) -> String {
    let id = uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(n));
    match db {
        tests::Database::Sqlite => format!("X'{}'", id.simple()),
        tests::Database::Postgres => format!("'{id}'"),
    }
}
