//! Planning maintenance in the console.

use openapi::maintenance::Maintenance;
use serde_json::json;
use tests::wait_until;
use tests::yaml::{File, copy_to};

use crate::browser::with_person;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_plans_a_window_and_turns_the_switch() {
    let file = File::new().sandbox("desk", json!({})).source("kuma").rule(
        "copy",
        json!([]),
        json!([copy_to("desk")]),
    );
    with_person(file, async |person| {
        person.sign_in().await;
        person.click("nav-maintenance").await;
        person.see_text("empty", "No windows yet").await;
        person.click("new-window").await;
        person.fill("window-name", "Patch night").await;
        person.fill("window-zone", "Mars/Base").await;
        person.choose("window-kind", "cron").await;
        person.fill("window-cron", "* * * * *").await;
        person.choose("window-scope", "connections").await;
        person.click("window-member-desk").await;
        person.click("window-save").await;
        person.see_text("faults", "zone").await;
        person.fill("window-zone", "Europe/Madrid").await;
        person.click("window-save").await;
        person.see_text("window-now", "open").await;
        person.see_text("notices", "Patch night").await;
        person
            .server
            .anonymous()
            .hook("kuma", &json!({ "msg": "down" }))
            .await;
        let client = person.server.client();
        let now: Maintenance = client.read("/api/v1/maintenance").await;
        assert_eq!((now.waiting, now.windows.len()), (1, 1));

        person.click("window-enabled").await;
        person.see_text("window-now", "off").await;
        wait_until("what waited goes on", async || {
            let now: Maintenance = client.read("/api/v1/maintenance").await;
            (now.waiting == 0).then_some(())
        })
        .await;
        person.click("maintenance-switch").await;
        person.click("confirm-yes").await;
        person.see_text("notice-maintenance", "switched on").await;
        person.click("maintenance-switch").await;
        wait_until("maintenance is off", async || {
            let now: Maintenance = client.read("/api/v1/maintenance").await;
            (!now.on).then_some(())
        })
        .await;
        person.no_faults().await;
    })
    .await;
}
