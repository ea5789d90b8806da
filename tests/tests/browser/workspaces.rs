//! Workspaces in the console: another one, the switch, roles, quotas.

use openapi::page::Page;
use openapi::roles::Role;
use openapi::workspaces::Workspace;
use serde_json::{Value, json};
use tests::wait_until;
use tests::yaml::File;

use crate::browser::{Person, with_person};

async fn path_is(person: &Person, wanted: &str) {
    wait_until(&format!("the page is {wanted}"), async || {
        let path = person.script("return location.pathname;").await;
        (path.as_str() == Some(wanted)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_makes_a_role_sets_a_quota_and_moves_between_workspaces() {
    with_person(File::new().source("a"), async |person| {
        person.sign_in().await;
        let client = person.server.client();
        person.open("/workspace").await;
        person.see("roles").await;
        person.click("new-role").await;
        person.fill("role-name", "Night shift").await;
        person.click("role-scope-events:read").await;
        person.click("role-scope-dlq:replay").await;
        person.click("role-save").await;
        let role = wait_until("the role is there", async || {
            let page: Page<Role> = client.read("/api/v1/roles").await;
            page.items
                .into_iter()
                .find(|role| role.name == "Night shift")
        })
        .await;
        assert_eq!(role.scopes, ["events:read", "dlq:replay"]);
        person.click("role-edit").await;
        person.click("role-scope-dlq:replay").await;
        person.click("role-save").await;
        wait_until("the role is changed", async || {
            let page: Page<Role> = client.read("/api/v1/roles").await;
            page.items
                .iter()
                .any(|role| role.scopes == ["events:read"])
                .then_some(())
        })
        .await;

        person.fill("quota-sources", "many").await;
        person.click("quotas-save").await;
        person.see_text("field-fault", "whole number").await;
        person.fill("quota-sources", "1").await;
        person.click("quotas-save").await;
        wait_until("the quota holds", async || {
            let source = json!({ "name": "b", "slug": "b", "auth": { "type": "none" } });
            let answer = client.post("/api/v1/sources", &source).await;
            (answer.status == 409).then_some(())
        })
        .await;

        person.click("new-workspace").await;
        person.fill("workspace-name-new", "Other").await;
        person.fill("workspace-slug-new", "other").await;
        person.click("workspace-make").await;
        // The new one is where one is then, and the page is the same.
        person.see_text("workspace-name", "Other").await;
        path_is(&person, "/workspace").await;
        person.open("/sources").await;
        person.see("empty").await;
        person.choose("workspace-switch", "main").await;
        person.see_text("workspace-name", "Main").await;
        path_is(&person, "/sources").await;
        person.see("sources").await;
        let sources: Page<Value> = client.read("/api/v1/sources").await;
        let one = format!("/sources/{}", sources.items[0]["id"].as_str().unwrap());
        person.open(&one).await;
        person.choose("workspace-switch", "other").await;
        person.see_text("workspace-name", "Other").await;
        path_is(&person, "/sources").await;
        let all: Page<Workspace> = person
            .server
            .session()
            .await
            .read("/api/v1/workspaces")
            .await;
        assert_eq!(all.items.len(), 2);
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_reports_on_a_period_and_deletes_a_workspace() {
    with_person(File::new().source("a"), async |person| {
        let owner = person.server.session().await;
        let acme = json!({ "slug": "acme", "name": "Acme" });
        owner.post("/api/v1/workspaces", &acme).await.done();
        person.sign_in().await;
        person.open("/audit").await;
        person.click("audit-report").await;
        person.click("report-make").await;
        person.see_text("report", "sign_in").await;
        person.see_text("report", "source.create").await;
        let file = person.see("report-json").await;
        let address = file.attr("href").await.unwrap().unwrap();
        assert!(address.contains("workspace=main"), "{address}");

        person.open("/workspace").await;
        person.choose("workspace-switch", "acme").await;
        person.see_text("workspace-name", "Acme").await;
        person.click("workspace-delete").await;
        person.see_text("workspace-delete-preview", "Members").await;
        person.fill("workspace-delete-slug", "main").await;
        let yes = person.see("workspace-delete-yes").await;
        assert!(
            !yes.is_enabled().await.unwrap(),
            "another name does nothing"
        );
        person.fill("workspace-delete-slug", "acme").await;
        person.click("workspace-delete-yes").await;
        person.see_text("workspace-name", "Main").await;
        let left: Page<Workspace> = owner.read("/api/v1/workspaces").await;
        assert_eq!(left.items.len(), 1);

        // The first one stays, and says why.
        person.click("workspace-delete").await;
        person.fill("workspace-delete-slug", "main").await;
        person.click("workspace-delete-yes").await;
        person.see_text("toasts", "first workspace").await;
        person.no_faults().await;
    })
    .await;
}
