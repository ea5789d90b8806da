//! The chain of the audit log, and finding a line that somebody changed behind the server's back.

use openapi::audit::{AuditEntry, AuditVerification};
use serde_json::{Value, json};
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};

use crate::support::all;

/// The chain once every line has joined it.
async fn joined(client: &Client) -> AuditVerification {
    wait_until("every line has joined", async || {
        let found: AuditVerification = client.read("/api/v1/audit/verification").await;
        (found.waiting == 0 && found.seq > 0).then_some(found)
    })
    .await
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

/// An id in order, as the database writes it.
fn identifier(db: tests::Database, n: u32) -> String {
    let id = uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(n));
    match db {
        tests::Database::Sqlite => format!("X'{}'", id.simple()),
        tests::Database::Postgres => format!("'{id}'"),
    }
}
