//! An upstream that fails, as the console shows it.

use openapi::connections::Connection;
use openapi::page::Page;
use serde_json::json;
use tests::fakes::{FakeSink, Fault};
use tests::wait_until;
use tests::yaml::{File, copy_to};
use tests::{Client, Options};

use crate::browser::with_person_on;

async fn connection(client: &Client) -> Connection {
    let mut connections: Page<Connection> = client.read("/api/v1/connections").await;
    connections.items.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_shows_a_breaker_and_attempts_to_come_and_sets_retries() {
    let sink = FakeSink::start().await.unwrap();
    let retry =
        json!({ "retry": { "first_seconds": 600, "max_seconds": 600, "horizon_seconds": 86_400 } });
    let file = File::new()
        .http_with("upstream", &sink.url, retry)
        .source("kuma")
        .rule("copy", json!([]), json!([copy_to("upstream")]));
    let options = Options::default().set("breaker_failures", 1);
    with_person_on(options, file, async |person| {
        let client = person.server.client();
        sink.set_down(true);
        let sent = person
            .server
            .anonymous()
            .hook("kuma", &json!({ "msg": "down" }))
            .await;
        let event: openapi::events::EventDetail = client
            .read(&format!("/api/v1/events/{}", sent.event_ids[0]))
            .await;
        let id = event.deliveries[0].id;
        wait_until("the breaker is open", async || {
            (connection(&client).await.breaker.state == "open").then_some(())
        })
        .await;
        person.sign_in().await;
        let page = format!("/connections/{}", connection(&client).await.id);
        person.open(&page).await;
        person
            .see_text("breaker-open", "One call a second looks")
            .await;
        person.see_text("next-attempts", "in ").await;
        // The fields of its retries, with a fault and without.
        person.fill("retry-factor", "much").await;
        person.click("connection-save").await;
        person.see_text("connection-form", "number").await;
        person.fill("retry-factor", "3").await;
        person.fill("retry-permanent", "422").await;
        person.fill("retry-retried", "404").await;
        person.click("connection-save").await;
        let saved = wait_until("it is saved", async || {
            Some(connection(&client).await.retry).filter(|retry| retry.factor == Some(3.0))
        })
        .await;
        assert_eq!(saved.first_seconds, Some(600.0), "the others stay");
        assert_eq!((saved.permanent.len(), saved.retried.len()), (1, 1));

        // By hand it is tried at once; the upstream says when it wants to be called again.
        sink.fault(Fault::too_many(600).times(100));
        sink.set_down(false);
        person.open(&format!("/deliveries/{id}")).await;
        person.click("retry-delivery").await;
        wait_until("the upstream asked for a pause", async || {
            connection(&client).await.breaker.asked_until
        })
        .await;
        person.open(&page).await;
        person
            .see_text("asked-until", "the upstream asked for it")
            .await;
        person.see_text("pace", "1 call at once").await;
        person.no_faults().await;
    })
    .await;
}
