//! One of everything, in a workspace of ours.

use std::collections::BTreeMap;

use openapi::connections::Connection;
use openapi::credentials::CredentialRevealed;
use openapi::deliveries::{DeadResult, State};
use openapi::jobs::Job;
use openapi::maintenance::MaintenanceWindow;
use openapi::page::Page;
use openapi::people::InvitationSent;
use openapi::roles::Role;
use openapi::workspaces::Workspace;
use serde_json::json;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, wait_until};
use uuid::Uuid;

use super::callers::{join, person};
use crate::support::settled;

/// The examples, by the part of the path that stands before the id.
pub struct World {
    pub workspace: Uuid,
    ids: BTreeMap<&'static str, Uuid>,
}

impl World {
    pub async fn make(server: &Server, owner: &Client) -> Self {
        let file = File::new()
            .sandbox("box", json!({}))
            .sandbox("never", json!({ "answer": "permanent" }))
            .connectwise("desk", "http://127.0.0.1:9")
            .source_with("a", json!({ "match": "all" }))
            .rule("r", json!([]), json!([copy_to("box")]))
            .rule("s", json!([]), json!([copy_to("never")]));
        server
            .apply_with(&file.text(), crate::support::SECRETS)
            .await;
        let sent = server.anonymous().hook("a", &json!({ "msg": "hi" })).await;
        let event = settled(owner, sent.event_ids[0]).await;
        let delivered = event
            .deliveries
            .iter()
            .find(|delivery| delivery.state == State::Delivered)
            .unwrap();
        let page: Page<Workspace> = owner.read("/api/v1/workspaces").await;
        let workspace = page.items[0].id;
        let boxed: Page<Connection> = owner.read("/api/v1/connections").await;
        let called = |name: &str| boxed.items.iter().find(|c| c.name == name).unwrap().id;
        let new = json!({
            "name": "night", "zone": "UTC", "enabled": false,
            "schedule": { "kind": "daily", "start": "01:00", "end": "02:00" },
        });
        let window: MaintenanceWindow = owner.post("/api/v1/maintenance/windows", &new).await.ok();
        let (guest, _) = person(server).await;
        join(server, workspace, guest, "viewer").await;
        let new = json!({ "email": "guest@example.org", "role": "viewer" });
        let invited: InvitationSent = owner.post("/api/v1/invitations", &new).await.ok();
        let new = json!({ "name": "Night shift", "scopes": ["events:read"] });
        let role: Role = owner.post("/api/v1/roles", &new).await.ok();
        Self {
            workspace,
            ids: BTreeMap::from([
                ("workspaces", workspace),
                ("sources", event.summary.source_id),
                ("events", event.summary.id),
                ("deliveries", delivered.id),
                ("rules", delivered.rule_id.unwrap()),
                ("connections", called("box")),
                // The one that has lists; nobody is there to give them.
                ("connections with lists", called("desk")),
                ("maintenance", window.id),
                ("credentials", revoked(owner).await),
                ("roles", role.id.unwrap()),
                ("jobs", cancelled(owner).await),
                ("members", guest),
                ("invitations", invited.invitation.id),
                // Nobody has registered, and no mail was sent.
                ("registrations", Uuid::from_u128(9)),
                ("mail", Uuid::from_u128(10)),
                // A session that nobody has.
                ("me", Uuid::from_u128(8)),
            ]),
        }
    }

    /// The example that a path asks for.
    pub fn id_of(&self, path: &str) -> Uuid {
        let what = match path.split('/').nth(3).unwrap() {
            "connections" if path.contains("{list}") => "connections with lists",
            what => what,
        };
        let id = self.ids.get(what);
        *id.unwrap_or_else(|| panic!("no example of {what}"))
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = &Uuid> {
        self.ids.values()
    }
}

/// A job that has ended.
async fn cancelled(owner: &Client) -> Uuid {
    let asked = json!({ "per_minute": 1 });
    let result: DeadResult = owner.post("/api/v1/dead-letters/replay", &asked).await.ok();
    let path = format!("/api/v1/jobs/{}", result.job.unwrap().id);
    owner
        .post(&format!("{path}/cancel"), &json!({}))
        .await
        .done();
    wait_until("the job ends", async || {
        let job: Job = owner.read(&path).await;
        job.finished_at.map(|_| job.id)
    })
    .await
}

/// A credential that is revoked: revoking it once more changes nothing.
async fn revoked(owner: &Client) -> Uuid {
    let new = json!({ "name": "gone", "kind": "hmac", "scopes": ["events:read"] });
    let made: CredentialRevealed = owner.post("/api/v1/credentials", &new).await.ok();
    let id = made.credential.id;
    let path = format!("/api/v1/credentials/{id}/revoke");
    owner.post(&path, &json!({})).await.done();
    id
}
