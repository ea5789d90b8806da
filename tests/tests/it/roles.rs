//! Roles that a workspace makes itself: who may make them, what they permit, and when.

use openapi::audit::AuditEntry;
use openapi::auth::WhoAmI;
use openapi::page::Page;
use openapi::problem::Code;
use openapi::roles::Role;
use openapi::workspaces::Workspace;
use serde_json::{Value, json};
use tests::{Database, Options, Server, both, wait_until_within};
use uuid::Uuid;

use crate::matrix::callers::member;

const ROLES: &str = "/api/v1/roles";

fn at(role: &Role) -> String {
    format!("{ROLES}/{}", role.id.unwrap())
}

async fn workspace(server: &Server) -> Uuid {
    let page: Page<Workspace> = server.client().read("/api/v1/workspaces").await;
    page.items[0].id
}

both! {
    async fn a_role_is_made_given_changed_and_deleted(db) {
        let server = Server::start(db).await;
        let owner = server.session().await;
        let built_in: Page<Role> = owner.read(ROLES).await;
        let words: Vec<&str> = built_in.items.iter().map(|r| r.word.as_str()).collect();
        assert_eq!(words, ["owner", "admin", "operator", "viewer"]);
        assert_eq!(built_in.items[0].members, 1);
        assert!(built_in.items.iter().all(|r| r.id.is_none()));

        let new = json!({ "name": "Night shift", "scopes": ["dlq:replay", "events:read", "events:read"] });
        let made = owner.post(ROLES, &new).await;
        assert_eq!(made.header("etag"), Some("\"1\""));
        let role: Role = made.ok();
        assert_eq!(role.scopes, ["events:read", "dlq:replay"], "in their order, once each");
        assert_eq!(role.word, format!("custom:{}", role.id.unwrap()));
        owner.post(ROLES, &new).await.problem(Code::NameTaken);

        let somebody = member(&server, workspace(&server).await, &role.word).await;
        let me: WhoAmI = somebody.read("/api/v1/debug/whoami").await;
        assert_eq!(me.scopes, role.scopes);
        somebody.get("/api/v1/rules").await.problem(Code::ScopeMissing);
        // The next request has it, with the session that is there.
        let change = json!({ "scopes": ["rules:read"] });
        owner.patch(&at(&role), 7, &change).await.problem(Code::RevisionStale);
        let changed: Role = owner.patch(&at(&role), 1, &change).await.ok();
        assert_eq!((changed.revision, changed.members), (2, 1));
        somebody.get("/api/v1/rules").await.done();
        somebody.get("/api/v1/events").await.problem(Code::ScopeMissing);

        let problem = owner.delete(&at(&role), 2).await.problem(Code::InUse);
        assert!(problem.detail.unwrap().contains("One member"), "it says how many");
        server.store.run("UPDATE member SET role = 'viewer' WHERE role LIKE 'custom:%'").await;
        owner.delete(&at(&role), 2).await.done();
        owner.get(&at(&role)).await.problem(Code::NotFound);

        let lines: Page<AuditEntry> = owner.read("/api/v1/audit?subject_kind=role").await;
        let acts: Vec<&str> = lines.items.iter().map(|l| l.action.as_str()).collect();
        assert_eq!(acts, ["role.delete", "role.change", "role.create"]);
        assert_eq!(lines.items[1].before["permissions"], json!(["events:read", "dlq:replay"]));
        assert_eq!(lines.items[1].after["permissions"], json!(["rules:read"]));
    }

    async fn nobody_makes_or_changes_a_role_beyond_their_own(db) {
        let server = Server::start(db).await;
        let owner = server.session().await;
        let id = workspace(&server).await;
        let admin = member(&server, id, "admin").await;
        for (name, scopes, code) in [
            ("Too much", json!(["workspaces:own"]), Code::ScopeMissing),
            ("Unknown", json!(["everything"]), Code::ValidationFailed),
            ("Empty", json!([]), Code::ValidationFailed),
            ("viewer", json!(["events:read"]), Code::ValidationFailed),
            (" ", json!(["events:read"]), Code::ValidationFailed),
        ] {
            let new = json!({ "name": name, "scopes": scopes });
            let problem = admin.post(ROLES, &new).await.problem(code);
            assert!(!problem.errors.is_empty(), "{name}: the field is named");
        }
        let new = json!({ "name": "Steward", "scopes": ["workspaces:own", "events:read"] });
        let steward: Role = owner.post(ROLES, &new).await.ok();
        let change = json!({ "scopes": ["events:read"] });
        admin.patch(&at(&steward), 1, &change).await.problem(Code::ScopeMissing);
        admin.delete(&at(&steward), 1).await.problem(Code::ScopeMissing);
        // Somebody who may do nothing but make roles makes none that may do more.
        let new = json!({ "name": "Maker", "scopes": ["roles:write", "roles:read"] });
        let maker: Role = owner.post(ROLES, &new).await.ok();
        let maker = member(&server, id, &maker.word).await;
        let new = json!({ "name": "Reader", "scopes": ["events:read"] });
        maker.post(ROLES, &new).await.problem(Code::ScopeMissing);
        // What only an owner may.
        let path = format!("/api/v1/workspaces/{id}");
        let name = json!({ "name": "Ours" });
        admin.call(reqwest::Method::PATCH, &path).json(&name).send().await.problem(Code::ScopeMissing);
        let renamed = owner.call(reqwest::Method::PATCH, &path).json(&name).send().await;
        assert_eq!(renamed.ok::<Workspace>().name, "Ours");
        let lines: Page<AuditEntry> = owner.read("/api/v1/audit?action=workspace.rename").await;
        assert_eq!(lines.items[0].after, json!({ "name": "Ours" }));
        // What sends no header names the workspace in the query; it is no other right.
        let named: Page<Role> = owner.read(&format!("{ROLES}?workspace=main")).await;
        assert!(named.items.len() > 4);
        owner.get("/api/v1/events?limit=1&workspace=main").await.done();
        owner.get("/api/v1/events?workspace=nowhere").await.problem(Code::NotFound);
        // A role of another workspace is none here.
        let other: Workspace = owner.post("/api/v1/workspaces", &json!({ "slug": "other", "name": "Other" })).await.ok();
        let stranger = member(&server, other.id, &steward.word).await;
        let me: WhoAmI = stranger.read("/api/v1/debug/whoami").await;
        assert_eq!(me.scopes, Vec::<String>::new());
        stranger.get("/api/v1/events").await.problem(Code::ScopeMissing);
    }

    async fn roles_and_quotas_come_from_the_file_and_go_back_to_it(db) {
        let server = Server::start(db).await;
        let file = json!({
            "version": 1,
            "roles": [{ "name": "Night shift", "scopes": ["dlq:replay", "events:read"] }],
            "quotas": { "sources": 1 },
        });
        server.apply(&file.to_string()).await;
        let again = server.apply_with(&file.to_string(), &[]).await;
        assert_eq!(again.trim(), "", "the second time there is nothing to change");
        let exported = server.cli(&["export"]).await;
        let exported = String::from_utf8(exported.stdout).unwrap();
        for part in ["Night shift", "events:read", "dlq:replay", "sources: 1"] {
            assert!(exported.contains(part), "{part}: {exported}");
        }
        let page: Page<Role> = server.client().read(ROLES).await;
        assert_eq!(page.items[4].scopes, ["events:read", "dlq:replay"]);
        let two = json!({ "version": 1, "sources": [
            { "name": "a", "slug": "a", "auth": { "type": "none" } },
            { "name": "b", "slug": "b", "auth": { "type": "none" } },
        ]});
        let path = server.write("two.yaml", &two.to_string());
        let refused = server.cli(&["apply", "-f", path.to_str().unwrap()]).await;
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("sources"), "{said}");
        assert_eq!(server.client().read::<Page<Value>>("/api/v1/sources").await.items.len(), 0);
        // A role that somebody has is not pruned.
        let word = &page.items[4].word;
        member(&server, workspace(&server).await, word).await;
        let path = server.write("none.yaml", r#"{"version": 1}"#);
        let arguments = ["apply", "--prune", "-f", path.to_str().unwrap()];
        assert!(!server.cli(&arguments).await.status.success());
        server.store.run("UPDATE member SET role = 'viewer' WHERE role LIKE 'custom:%'").await;
        assert!(server.cli(&arguments).await.status.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_role_holds_on_every_node() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let server = Server::start(db).await;
    let other = server.another(Options::default());
    other.resume().await;
    let owner = server.session().await;
    let new = json!({ "name": "Reader", "scopes": ["rules:read"] });
    let role: Role = owner.post(ROLES, &new).await.ok();
    let here = member(&server, workspace(&server).await, &role.word).await;
    let mut there = other.anonymous();
    for name in ["cookie", "x-csrf-token"] {
        there = there.header(name, here.headers()[name].to_str().unwrap());
    }
    there.get("/api/v1/rules").await.done();
    let change = json!({ "scopes": ["events:read"] });
    owner.patch(&at(&role), 1, &change).await.done();
    wait_until_within(
        std::time::Duration::from_secs(5),
        "the other node refuses",
        async || {
            let answer = there.get("/api/v1/rules").await;
            (answer.status == 403).then_some(())
        },
    )
    .await;
    there.get("/api/v1/events").await.done();
}
