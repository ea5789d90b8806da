//! What a person does in the console.

use openapi::connections::Connection;
use openapi::events::EventDetail;
use openapi::page::Page;
use openapi::rules::Rule;
use openapi::sources::Source;
use serde_json::{Value, json};
use tests::wait_until;
use tests::yaml::{File, copy_to, is};

use crate::browser::{Person, with_person};

/// A sandbox that takes everything, a source, a ticket rule.
fn file() -> File {
    File::new().sandbox("desk", json!({})).source("kuma").rule(
        "outages",
        json!([{ "path": "$.monitor.tags[*].name", "op": "in", "value": ["prod"] }]),
        json!([{ "deliver": {
            "connection": "desk",
            "operation": "ticket.upsert",
            "key": "kuma:{{ monitor.id }}",
            "map": { "summary": "Down: {{ monitor.name }}" },
        }}]),
    )
}

fn outage() -> Value {
    json!({ "msg": "web1 is down", "monitor": { "id": 1, "name": "web1", "tags": [{ "name": "prod" }] } })
}

async fn source(person: &Person) -> Source {
    let page: Page<Source> = person.server.client().read("/api/v1/sources").await;
    page.items.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_subscribes_another_program_and_sends_a_message_again() {
    let hub = tests::fakes::FakeSink::start().await.unwrap();
    with_person(file(), async |person| {
        person.sign_in().await;
        person.open("/connections/new").await;
        person.click("connector-webhook").await;
        person.fill("connection-name", "hub").await;
        person.fill("settings-url", &hub.url).await;
        person.click("settings-types-event.received").await;
        person.click("allow-private").await;
        person.click("connection-save").await;
        person.see_text("secret-once", "whsec_").await;
        person.click("connection-continue").await;
        person.see("connection").await;
        person.server.anonymous().hook("kuma", &outage()).await;
        wait_until("the message is taken", async || {
            (hub.counts().taken == 1).then_some(())
        })
        .await;
        person.click("connection-messages").await;
        person.see_text("messages", "event.received").await;
        person.click("redeliver").await;
        wait_until("it came again", async || {
            (hub.counts().taken == 2).then_some(())
        })
        .await;
        assert_eq!(hub.counts().ids, 1);
        person.no_faults().await;

        person.open("/retention").await;
        person.fill("days-attempts", "7").await;
        person.click("retention-save").await;
        person.see_text("toasts", "Saved.").await;
        person.click("retention-preview").await;
        person.see_text("preview", "nothing would be deleted").await;
        let saved: openapi::retention::Retention =
            person.server.client().read("/api/v1/retention").await;
        assert_eq!(saved.days.attempts, 7);
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_shows_an_event_from_its_arrival_to_its_record() {
    with_person(file(), async |person| {
        person.open("/").await;
        person.fill("email", "admin@localhost").await;
        person.fill("password", "wrong").await;
        person.click("sign-in-submit").await;
        person.see_text("sign-in-failed", "").await;
        person.sign_in().await;
        person.see_text("lights", "desk").await;

        person.click("nav-live").await;
        person.see("feed").await;
        person.see_text("live-status", "Live").await;
        person.server.anonymous().hook("kuma", &outage()).await;
        person.see_text("feed", "web1 is down").await;
        person.see_text("feed", "delivered").await;
        person.no_faults().await;

        let source = source(&person).await;
        person.open(&format!("/sources/{}", source.id)).await;
        person.see_text("curl", "/hooks/").await;
        person.click("send-test").await;
        person.click("test-result").await;
        person.see("event").await;
        person.see_text("trace-delivery", "delivered").await;
        person.see_text("trace", "outages").await;
        person.see_text("payload", "Sample web shop").await;
        let connections: Page<Connection> =
            person.server.client().read("/api/v1/connections").await;
        person
            .open(&format!("/connections/{}", connections.items[0].id))
            .await;
        person.click("connection-records").await;
        person.see_text("records", "Down: Sample web shop").await;
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_writes_a_rule_and_puts_it_first() {
    with_person(file(), async |person| {
        person
            .server
            .anonymous()
            .hook("kuma", &json!({ "msg": "disk full", "used": 97 }))
            .await;
        person.sign_in().await;
        person.click("nav-rules").await;
        person.click("new-rule").await;
        person.see("rule-editor").await;
        person.fill("rule-name", "full disks").await;
        person.choose("rule-source", "kuma").await;
        if person
            .script("return !document.querySelector('[data-testid=condition]');")
            .await
            == true
        {
            person.click("add-condition").await;
        }
        person.fill("condition-path", "$.used").await;
        person.choose("condition-op", "gte").await;
        person.fill("condition-value", "98").await;
        // The engine in the browser says at once what it makes of the past event.
        person
            .see_css("[data-testid=\"explain-condition\"][data-holds=\"false\"]")
            .await;
        person.see_text("explain-condition", "97").await;
        person.fill("condition-value", "90").await;
        person
            .see_css("[data-testid=\"explain-condition\"][data-holds=\"true\"]")
            .await;
        if person
            .script("return !document.querySelector('[data-testid=step]');")
            .await
            == true
        {
            person.click("add-step").await;
        }
        person.choose("step-kind", "deliver").await;
        person.choose("step-connection", "desk").await;
        person.choose("step-operation", "message.send").await;
        person.choose("add-field", "text").await;
        let field = person
            .see_css("[data-field=\"text\"] [data-testid=\"field-text\"]")
            .await;
        field.send_keys("Disk at {{ used }} %").await.unwrap();
        person.see_text("rendered", "Disk at 97 %").await;
        person.see_text("verdict", "full disks").await;
        person.click("exact-request").await;
        person.see_text("planned-request", "desk").await;
        person.no_faults().await;
        person.click("rule-save").await;
        wait_until("the rule is saved", async || {
            (names(&person).await.len() == 2).then_some(())
        })
        .await;

        let sent = person
            .server
            .anonymous()
            .hook("kuma", &json!({ "used": 95 }))
            .await;
        let path = format!("/api/v1/events/{}", sent.event_ids[0]);
        let event: EventDetail = person.server.client().read(&path).await;
        assert_eq!(event.deliveries[0].rule, "full disks");
        assert_eq!(event.deliveries[0].fields["text"], "Disk at 95 %");

        person.open("/rules").await;
        person.see_text("rules", "full disks").await;
        assert_eq!(names(&person).await, ["outages", "full disks"]);
        let grip = person.see_css("[aria-label=\"Move full disks\"]").await;
        grip.focus().await.unwrap();
        // Up, by the key alone.
        grip.send_keys("\u{e013}").await.unwrap();
        wait_until("the new order is saved", async || {
            (names(&person).await == ["full disks", "outages"]).then_some(())
        })
        .await;
        // The rows are drawn anew when the new order was read.
        wait_until("the focus stays with what was moved", async || {
            let held = person
                .script("return document.activeElement.getAttribute('aria-label');")
                .await;
            (held == "Move full disks").then_some(())
        })
        .await;
        person.no_faults().await;
    })
    .await;
}

/// The names of the rules in their order.
async fn names(person: &Person) -> Vec<String> {
    let page: Page<Rule> = person.server.client().read("/api/v1/rules").await;
    let mut rules = page.items;
    rules.sort_by_key(|rule| (rule.priority, rule.created_at));
    rules.into_iter().map(|rule| rule.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_replays_a_dead_letter_and_releases_what_is_held() {
    let file = File::new()
        .sandbox("wiki", json!({ "answer": "permanent" }))
        .source("a")
        .rule("ask", is("$.ask", "yes"), json!([{ "hold": message() }]))
        .rule("all", json!([]), json!([{ "deliver": message() }]));
    with_person(file, async |person| {
        let client = person.server.client();
        person
            .server
            .anonymous()
            .hook("a", &json!({ "msg": "lost letter" }))
            .await;
        person.sign_in().await;
        person.click("nav-dead-letters").await;
        person.see_text("dead-group", "wiki").await;
        let connections: Page<Connection> = client.read("/api/v1/connections").await;
        let wiki = &connections.items[0];
        client
            .patch(
                &format!("/api/v1/connections/{}", wiki.id),
                wiki.revision,
                &json!({ "settings": { "answer": "ok" } }),
            )
            .await
            .done();
        person
            .click_css("[data-testid=\"dead-group\"] button.link")
            .await;
        person.click("replay-one").await;
        wait_until("the letter is delivered", async || {
            let page: Value = client.read("/api/v1/deliveries?state=delivered").await;
            (page["items"].as_array()?.len() == 1).then_some(())
        })
        .await;
        person.see("empty").await;

        person
            .server
            .anonymous()
            .hook("a", &json!({ "msg": "may I?", "ask": "yes" }))
            .await;
        let page: Value = client.read("/api/v1/deliveries?state=held").await;
        let held = page["items"][0]["id"].as_str().unwrap().to_owned();
        person.open(&format!("/deliveries/{held}")).await;
        person.see("held").await;
        person.click("release").await;
        person.see_text("delivery-state-now", "delivered").await;

        // What was delivered is sent once more when that is confirmed.
        person.click("replay-delivery").await;
        person.click("confirm-yes").await;
        let repeat = wait_until("it is repeated", async || {
            let old: Value = client.read(&format!("/api/v1/deliveries/{held}")).await;
            Some(old["replayed_as"].as_str()?.to_owned())
        })
        .await;
        person.open(&format!("/deliveries/{repeat}")).await;
        person.see_text("delivery-state-now", "delivered").await;
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_replays_a_cause_and_restores_a_version() {
    let file = File::new()
        .sandbox("wiki", json!({ "answer": "permanent" }))
        .source("a")
        .rule("all", json!([]), json!([{ "deliver": message() }]));
    with_person(file, async |person| {
        let client = person.server.client();
        for n in 0..25 {
            let letter = json!({ "msg": format!("letter {n}") });
            person.server.anonymous().hook("a", &letter).await;
        }
        let rules: Page<Rule> = client.read("/api/v1/rules").await;
        let rule = &rules.items[0];
        let path = format!("/api/v1/rules/{}", rule.id);
        let change = json!({ "name": "renamed" });
        client.patch(&path, rule.revision, &change).await.done();
        person.sign_in().await;
        person.click("nav-dead-letters").await;
        person.see_text("dead-group", "25").await;
        person.choose("dead-rule", &rule.id.to_string()).await;
        person.see_text("dead-group", "25").await;
        person.click("replay-group").await;
        person.see_text("replay-count", "25").await;
        person.choose("replay-rules", "today").await;
        person.fill("replay-rate", "1").await;
        person.choose("replay-per", "minute").await;
        person.click("replay-start").await;
        person.see_text("job-progress", "1 of 25").await;
        person.click("cancel-job").await;
        person.click("nav-jobs").await;
        person.see_text("job-state", "cancelled").await;

        person.open(&format!("/rules/{}", rule.id)).await;
        person.click("rulepage-history").await;
        person.click("compare-before").await;
        person.see_text("diff", "renamed").await;
        person.click("restore-version").await;
        person.click("confirm-yes").await;
        person.see_text("versions", "3: all").await;
        person.click("nav-audit").await;
        person.see_text("audit", "rule.change").await;
        person.no_faults().await;
    })
    .await;
}

fn message() -> Value {
    json!({ "connection": "wiki", "operation": "message.send", "map": { "text": "{{ msg }}" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_has_a_source_cut_its_requests() {
    let file = File::new()
        .sandbox("desk", json!({}))
        .source("alerts")
        .rule("all", json!([]), json!([copy_to("desk")]));
    with_person(file, async |person| {
        let client = person.server.client();
        let split = async || {
            let page: Page<Source> = client.read("/api/v1/sources").await;
            page.items[0].split.clone()
        };
        person.sign_in().await;
        person.click("nav-sources").await;
        person.see_text("sources", "alerts").await;
        let page: Page<Source> = client.read("/api/v1/sources").await;
        person.open(&format!("/sources/{}", page.items[0].id)).await;
        person.click("source-settings").await;
        person.choose("source-split", "path").await;
        person.fill("source-split-path", "$..items").await;
        person.click("source-save").await;
        person.see_text("faults", "split.path").await;
        person.fill("source-split-path", "$.data.items[*]").await;
        person.fill("source-split-key", "$.id\n$.state").await;
        person.fill("source-split-limit", "3").await;
        person.click("source-save").await;
        let saved = wait_until("it is saved", async || split().await).await;
        assert_eq!(
            serde_json::to_value(saved).unwrap(),
            json!({ "path": "$.data.items[*]", "key": ["$.id", "$.state"], "limit": 3 })
        );
        // What was saved is what the form has when it is opened again, and a preset takes its place.
        person.page.refresh().await.unwrap();
        person.click("source-settings").await;
        let path = person.see("source-split-path").await;
        assert_eq!(
            path.prop("value").await.unwrap().as_deref(),
            Some("$.data.items[*]")
        );
        person.choose("source-split", "alertmanager").await;
        person.click("source-save").await;
        wait_until("the preset is saved", async || {
            split().await.filter(|split| split.preset.is_some())
        })
        .await;

        // A test shows what the source makes of a request.
        person.page.refresh().await.unwrap();
        person.choose("test-sample", "alertmanager").await;
        person.click("send-test").await;
        person.see_text("test-result", "2 events").await;
        person.click("test-result").await;
        person
            .see_text("events", "web-1:9100 does not answer")
            .await;
        person
            .see_text("events", "web-2:9100 does not answer")
            .await;
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_finds_every_page_accessible_in_both_themes_and_on_a_phone() {
    let axe = std::env::var("SIGNALBOX_AXE")
        .unwrap_or_else(|_| panic!("SIGNALBOX_AXE names no axe.min.js"));
    let axe = std::fs::read_to_string(axe).unwrap();
    let file = file()
        .sandbox("wiki", json!({ "answer": "permanent" }))
        .rule(
            "copies",
            is("$.msg", "lost"),
            json!([{ "deliver": message() }]),
        )
        .rule("ask", is("$.msg", "ask"), json!([{ "hold": message() }]))
        .window(
            "nights",
            json!({
                "schedule": { "kind": "daily", "start": "00:00", "end": "00:00" },
                "scope": { "kind": "sources", "sources": [] },
            }),
        );
    with_person(file, async move |person| {
        let anonymous = person.server.anonymous();
        let first = anonymous.hook("kuma", &outage()).await;
        anonymous.hook("kuma", &json!({ "msg": "lost" })).await;
        anonymous.hook("kuma", &json!({ "msg": "ask" })).await;
        anonymous
            .hook("kuma", &json!({ "msg": "nobody takes it" }))
            .await;
        anonymous
            .call(reqwest::Method::POST, "/hooks/kuma")
            .body("{")
            .send()
            .await;
        person.open("/").await;
        person.see("sign-in").await;
        look(&person, &axe, "/").await;
        person.sign_in().await;
        let client = person.server.client();
        let event: EventDetail = client
            .read(&format!("/api/v1/events/{}", first.event_ids[0]))
            .await;
        let rules: Page<Rule> = client.read("/api/v1/rules").await;
        let held: Value = client.read("/api/v1/deliveries?state=held").await;
        let pages = [
            ("/".to_owned(), "dashboard"),
            ("/live".to_owned(), "feed"),
            ("/events".to_owned(), "events"),
            (format!("/events/{}", event.summary.id), "trace"),
            ("/deliveries".to_owned(), "deliveries"),
            (
                format!("/deliveries/{}", event.deliveries[0].id),
                "delivery",
            ),
            (
                format!("/deliveries/{}", held["items"][0]["id"].as_str().unwrap()),
                "held",
            ),
            ("/dead-letters".to_owned(), "dead-groups"),
            ("/jobs".to_owned(), "empty"),
            ("/audit".to_owned(), "audit"),
            ("/people".to_owned(), "members"),
            ("/mail".to_owned(), "mail-page"),
            ("/new-email".to_owned(), "new-email-confirm"),
            ("/profile".to_owned(), "profile-page"),
            ("/credentials".to_owned(), "credentials"),
            ("/sources".to_owned(), "sources"),
            ("/sources/new".to_owned(), "source-form"),
            (format!("/sources/{}", event.summary.source_id), "source"),
            ("/rules".to_owned(), "rules"),
            ("/rules/new".to_owned(), "rule-editor"),
            (format!("/rules/{}", rules.items[0].id), "explanation"),
            ("/maintenance".to_owned(), "windows"),
            ("/maintenance/new".to_owned(), "window-form"),
            ("/connections".to_owned(), "connections"),
            ("/connections/new".to_owned(), "page-title"),
            ("/retention".to_owned(), "retention"),
            (
                format!("/connections/{}", event.deliveries[0].connection_id),
                "connection",
            ),
            ("/nowhere".to_owned(), "page-title"),
        ];
        for (path, mark) in &pages {
            person.open(path).await;
            person.see(mark).await;
            look(&person, &axe, path).await;
            for (tab, mark) in tabs(path) {
                person.click(tab).await;
                person.see(mark).await;
                look(&person, &axe, &format!("{path}, {tab}")).await;
            }
        }
        person
            .devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({
                    "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true,
                }),
            )
            .await;
        for (path, mark) in &pages {
            person.open(path).await;
            person.see(mark).await;
            let wide = person
                .script("return document.documentElement.scrollWidth;")
                .await;
            assert!(wide.as_i64().unwrap() <= 360, "{path} is {wide} wide");
        }
        person.click("nav-open").await;
        person.click("nav-events").await;
        person.see("events").await;
        person.no_faults().await;
    })
    .await;
}

/// The tabs of a page besides the one that is open, with a mark of each.
fn tabs(path: &str) -> &'static [(&'static str, &'static str)] {
    match path.split('/').nth(1) {
        _ if path.ends_with("/new") || path.matches('/').count() < 2 => &[],
        Some("sources") => &[
            ("source-settings", "source-form"),
            ("source-refusals", "refusals"),
        ],
        Some("connections") => &[("connection-records", "records")],
        Some("rules") => &[
            ("rule-json", "rule-json-text"),
            ("rulepage-history", "rule-history"),
        ],
        _ => &[],
    }
}

/// The page as it is, in light and in dark.
async fn look(person: &Person, axe: &str, path: &str) {
    for theme in ["light", "dark"] {
        person
            .devtools(
                "Emulation.setEmulatedMedia",
                json!({
                    "features": [
                        { "name": "prefers-color-scheme", "value": theme },
                        { "name": "prefers-reduced-motion", "value": "reduce" },
                    ],
                }),
            )
            .await;
        let dark = person
            .script("return getComputedStyle(document.body).backgroundColor;")
            .await;
        person.page.execute(axe, Vec::new()).await.unwrap();
        let found = person
            .page
            .execute_async(
                "const done = arguments[arguments.length - 1];
                 axe.run(document).then(
                     found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join(' | '))),
                     fault => done(['axe failed: ' + fault]));",
                Vec::new(),
            )
            .await
            .unwrap();
        assert_eq!(*found.json(), json!([]), "{path} in {theme} on {dark}");
    }
    person.no_faults().await;
}

/// What a button does is done once, also after the page was drawn anew around it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_does_what_a_button_says_once() {
    let file = File::new().sandbox("wiki", json!({})).source("a").rule(
        "all",
        json!([]),
        json!([{ "deliver": message() }]),
    );
    with_person(file, async |person| {
        let client = person.server.client();
        let sent = person
            .server
            .anonymous()
            .hook("a", &json!({ "msg": "again" }))
            .await;
        let path = format!("/api/v1/events/{}", sent.event_ids[0]);
        person.sign_in().await;
        person.open(&format!("/events/{}", sent.event_ids[0])).await;
        for count in 2..=4 {
            person.click("replay").await;
            person.click("confirm-yes").await;
            let replayed = async || -> Vec<Value> {
                let event: Value = client.read(&path).await;
                event["deliveries"].as_array().cloned().unwrap_or_default()
            };
            wait_until("it is replayed", async || {
                let deliveries = replayed().await;
                let done = deliveries.iter().all(|d| d["state"] == "delivered");
                (done && deliveries.len() >= count).then_some(())
            })
            .await;
            // The page shows it, so whatever else was asked for has been asked by now.
            let shown = format!(
                "return document.querySelectorAll('[data-testid=trace-delivery]').length >= {count};"
            );
            wait_until("the page shows it", async || {
                (person.script(&shown).await == true).then_some(())
            })
            .await;
            assert_eq!(replayed().await.len(), count);
        }
        person.no_faults().await;
    })
    .await;
}
