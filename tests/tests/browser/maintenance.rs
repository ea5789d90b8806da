//! Planning maintenance in the console.

use openapi::maintenance::Maintenance;
use serde_json::json;
use tests::wait_until;
use tests::yaml::{File, copy_to};
use thirtyfour::Key;

use crate::browser::with_person;

/// Seconds since 1970.
fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the browser has the real time")]
    let now = chrono::Utc::now();
    now.timestamp()
}

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
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_switches_maintenance_on_for_a_while() {
    with_person(File::new(), async |person| {
        let client = person.server.client();
        let is = async |on: bool| {
            wait_until("the switch is turned", async || {
                let now: Maintenance = client.read("/api/v1/maintenance").await;
                (now.on == on).then_some(now)
            })
            .await
        };
        // The time that the browser's clock shows in so many minutes, as its field takes it.
        let local = async |minutes: i64| {
            let script = format!(
                "const at = new Date(Date.now() + {minutes} * 60000); \
                 return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);"
            );
            person.script(&script).await.as_str().unwrap().to_owned()
        };
        let set_time = async |text: &str| {
            let script = format!(
                "const field = document.querySelector('[data-testid=maintenance-until]'); \
                 field.value = '{text}'; \
                 field.dispatchEvent(new Event('input', {{ bubbles: true }}));"
            );
            person.script(&script).await;
        };
        person.sign_in().await;
        person
            .devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true }),
            )
            .await;

        // By the keyboard, on a phone: the hours are chosen and the form is sent with Enter.
        person.see("maintenance-switch").await.send_keys(" ").await.unwrap();
        let choice = person.see("maintenance-choice").await;
        let wide = person
            .script("return document.querySelector('[data-testid=maintenance-dialog]').getBoundingClientRect().right;")
            .await;
        assert!(wide.as_f64().unwrap() <= 360.0, "the dialog ends at {wide}");
        choice.send_keys("For four").await.unwrap();
        person.see("maintenance-yes").await.send_keys(Key::Enter).await.unwrap();
        let four = is(true).await.until.expect("an end");
        let minutes = (four.timestamp() - now()) / 60;
        assert!((235..=240).contains(&minutes), "{minutes} minutes");
        person.see_text("notice-maintenance", "switched on").await;
        person.click("maintenance-switch").await;
        is(false).await;

        // Until a time: not without one, and not one of the past.
        person.click("maintenance-switch").await;
        person.choose("maintenance-choice", "time").await;
        person.click("maintenance-yes").await;
        person.see_text("field-fault", "Choose the time").await;
        set_time(&local(-10).await).await;
        person.click("maintenance-yes").await;
        person.see_text("field-fault", "past").await;
        set_time(&local(90).await).await;
        person.click("maintenance-yes").await;
        let until = is(true).await.until.expect("an end");
        let minutes = (until.timestamp() - now()) / 60;
        assert!((88..=90).contains(&minutes), "{minutes} minutes");
        person.click("maintenance-switch").await;
        is(false).await;

        // Until somebody switches it off; Escape changes nothing.
        person.click("maintenance-switch").await;
        let choice = person.see("maintenance-choice").await;
        choice.send_keys(Key::Escape).await.unwrap();
        assert!(!is(false).await.on);
        person.click("maintenance-switch").await;
        person.choose("maintenance-choice", "always").await;
        person.click("maintenance-yes").await;
        assert_eq!(is(true).await.until, None);
        person.no_faults().await;
    })
    .await;
}
