//! Deleting a workspace: who may, what stops at once, and that nothing of it is left.

use openapi::audit::AuditEntry;
use openapi::auth::Session;
use openapi::credentials::CredentialRevealed;
use openapi::page::Page;
use openapi::problem::Code;
use openapi::workspaces::{Workspace, WorkspaceRemoval};
use sea_orm::{ConnectionTrait as _, DatabaseBackend, DatabaseConnection, Statement};
use serde_json::json;
use tests::fakes::FakeSink;
use tests::server::both as output;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};
use uuid::Uuid;

use crate::clocks::Hand;
use crate::matrix::callers::member;

const WORKSPACES: &str = "/api/v1/workspaces";

fn removal(id: Uuid) -> String {
    format!("{WORKSPACES}/{id}/removal")
}

/// The tables whose rows name a workspace.
async fn tables(db: &DatabaseConnection) -> Vec<String> {
    let backend = db.get_database_backend();
    let query = match backend {
        DatabaseBackend::Postgres => {
            "SELECT table_name AS name FROM information_schema.columns \
             WHERE column_name = 'workspace_id' AND table_schema = 'public'"
        }
        _ => {
            "SELECT m.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND c.name = 'workspace_id'"
        }
    };
    let rows = db
        .query_all_raw(Statement::from_string(backend, query))
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.try_get("", "name").unwrap())
        .collect()
}

/// The tables that still have rows of a workspace.
async fn left(server: &Server, id: Uuid) -> Vec<String> {
    let db = server.store.connect().await;
    let backend = db.get_database_backend();
    let tables = tables(&db).await;
    assert!(tables.len() > 20, "{tables:?}");
    let mut left = Vec::new();
    for table in tables {
        let query = format!("SELECT 1 FROM \"{table}\" WHERE workspace_id = $1 LIMIT 1");
        let statement = Statement::from_sql_and_values(backend, query, [id.into()]);
        if db.query_one_raw(statement).await.unwrap().is_some() {
            left.push(table);
        }
    }
    db.close().await.unwrap();
    left
}

/// A workspace with one of everything, and events that wait for a connection which is off.
async fn furnished(
    server: &Server,
    owner: &Client,
    sink: &FakeSink,
) -> (Workspace, Client, Client) {
    let new = json!({ "slug": "acme", "name": "Acme" });
    let made: Workspace = owner.post(WORKSPACES, &new).await.ok();
    let inside = owner.clone().workspace("acme");
    let file = File::new()
        .http_with("sink", &sink.url, json!({ "enabled": false, "settings": { "url": sink.url, "auth": "bearer" }, "secrets": { "token": { "env": "KUMA_TOKEN" } } }))
        .sandbox("box", json!({}))
        .source_with("a", json!({ "heartbeat": { "after": 86_400 } }))
        .rule("r", json!([]), json!([copy_to("sink"), copy_to("box")]))
        .text();
    let path = server.write("acme.yaml", &file);
    let arguments = ["apply", "--workspace", "acme", "-f", path.to_str().unwrap()];
    let done = server.cli_with(&arguments, crate::support::SECRETS).await;
    assert!(done.status.success(), "{}", output(&done));
    for n in 0..5 {
        server.anonymous().hook("acme/a", &json!({ "n": n })).await;
    }
    let credential = json!({
        "name": "robot", "kind": "bearer", "scopes": ["events:read"], "allow_cidrs": ["127.0.0.0/8"],
    });
    let robot: CredentialRevealed = inside.post("/api/v1/credentials", &credential).await.ok();
    let role = json!({ "name": "Readers", "scopes": ["events:read"] });
    inside.post("/api/v1/roles", &role).await.done();
    let quotas = json!({ "sources": 7 });
    let path = format!("{WORKSPACES}/{}/quotas", made.id);
    inside.patch(&path, 0, &quotas).await.done();
    let admin = member(server, made.id, "admin").await.workspace("acme");
    (made, server.anonymous().bearer(&robot.secret), admin)
}

both! {
    async fn a_deleted_workspace_lets_nothing_in_and_leaves_no_row(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let owner = server.session().await;
        let sink = FakeSink::start().await.unwrap();
        server.apply(&File::new().sandbox("box", json!({})).source("a").rule("r", json!([]), json!([copy_to("box")])).text()).await;
        server.anonymous().hook("a", &json!({ "ours": true })).await;
        let main: Uuid = owner.read::<Page<Workspace>>(WORKSPACES).await.items[0].id;
        let (acme, robot, admin) = furnished(&server, &owner, &sink).await;
        let inside = owner.clone().workspace("acme");
        wait_until("its audit log has been chained", async || {
            let chained = "SELECT COUNT(*) FROM audit_chain";
            (server.store.number(chained).await == 2).then_some(())
        }).await;

        let preview: WorkspaceRemoval = inside.read(&removal(acme.id)).await;
        assert_eq!((preview.events, preview.deliveries), (5, 10));
        assert!((5..=10).contains(&preview.open_deliveries), "{preview:?}");
        assert_eq!((preview.sources, preview.rules, preview.connections), (1, 1, 2));
        assert_eq!((preview.credentials, preview.members, preview.members_only_here), (1, 2, 1));

        let yes = json!({ "slug": "acme" });
        admin.get(&removal(acme.id)).await.problem(Code::ScopeMissing);
        admin.post(&removal(acme.id), &yes).await.problem(Code::ScopeMissing);
        robot.post(&removal(acme.id), &yes).await.problem(Code::ScopeMissing);
        owner.post(&removal(acme.id), &yes).await.problem(Code::NotFound);
        owner.post(&removal(main), &json!({ "slug": "main" })).await.problem(Code::Conflict);
        let wrong = inside.post(&removal(acme.id), &json!({ "slug": "Acme" })).await;
        assert_eq!(wrong.problem(Code::ValidationFailed).errors[0].field, "slug");
        server.anonymous().hook("acme/a", &json!({ "n": 5 })).await;

        let done = inside.post(&removal(acme.id), &yes).await;
        assert_eq!(done.status.as_u16(), 202);
        // At once: nobody, nothing.
        inside.get("/api/v1/events").await.problem(Code::NotFound);
        admin.get("/api/v1/events").await.problem(Code::NotFound);
        assert_eq!(robot.get("/api/v1/events").await.status.as_u16(), 401);
        server.anonymous().post("/hooks/acme/a", &json!({ "n": 6 })).await.problem(Code::NotFound);
        let session: Session = owner.read("/api/v1/auth/session").await;
        assert_eq!(session.workspaces.len(), 1);
        assert_eq!(owner.read::<Page<Workspace>>(WORKSPACES).await.items.len(), 1);
        // The name is free, for one that has nothing to do with it.
        let new = json!({ "slug": "acme", "name": "Acme" });
        let again: Workspace = owner.post(WORKSPACES, &new).await.ok();
        let events: Page<serde_json::Value> = inside.read("/api/v1/events").await;
        assert_eq!(events.items.len(), 0);

        wait_until("the first pass is over", async || {
            (server.store.number("SELECT COUNT(*) FROM event").await == 1).then_some(())
        }).await;
        // Another node may not have heard yet: the row of the workspace waits a minute.
        assert_eq!(server.store.number("SELECT COUNT(*) FROM workspace").await, 3);
        hand.turn(61_000);
        wait_until("its row is gone", async || {
            (server.store.number("SELECT COUNT(*) FROM workspace").await == 2).then_some(())
        }).await;
        assert_eq!(left(&server, acme.id).await, Vec::<String>::new());
        for (orphans, of) in [
            ("credential_secret", "credential_id NOT IN (SELECT id FROM credential)"),
            ("source_beat", "source_id NOT IN (SELECT id FROM source)"),
            ("source_silence", "source_id NOT IN (SELECT id FROM source)"),
        ] {
            let query = format!("SELECT COUNT(*) FROM {orphans} WHERE {of}");
            assert_eq!(server.store.number(&query).await, 0, "{orphans}");
        }
        assert_eq!(sink.seen().len(), 0, "what was open was not made");

        // Others kept theirs, and the log of the first workspace says who did it.
        owner.get("/api/v1/debug/whoami").await.done();
        assert_eq!(owner.read::<Page<serde_json::Value>>("/api/v1/events").await.items.len(), 1);
        let lines: Page<AuditEntry> = owner.read("/api/v1/audit?action=workspace.delete").await;
        assert_eq!(lines.items.len(), 1);
        assert_eq!((lines.items[0].subject.as_str(), lines.items[0].subject_id), ("acme", Some(acme.id)));
        assert!(!left(&server, again.id).await.is_empty());
    }

    async fn a_crash_in_the_middle_of_a_deletion_is_made_good(db) {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        let owner = server.session().await;
        let sink = FakeSink::start().await.unwrap();
        let (acme, _, _) = furnished(&server, &owner, &sink).await;
        let inside = owner.workspace("acme");
        assert_eq!(inside.post(&removal(acme.id), &json!({ "slug": "acme" })).await.status.as_u16(), 202);
        server.kill();
        server.resume().await;
        hand.turn(61_000);
        wait_until("its row is gone", async || {
            (server.store.number("SELECT COUNT(*) FROM workspace").await == 1).then_some(())
        }).await;
        assert_eq!(left(&server, acme.id).await, Vec::<String>::new());
    }
}
