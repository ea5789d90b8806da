//! What most tests ask a server.

use chrono::{DateTime, Utc};
use openapi::deliveries::{Delivery, State};
use openapi::events::EventDetail;
use openapi::jobs::{Job, JobState};
use openapi::page::Page;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::{Client, Options, Server, wait_until};
use uuid::Uuid;

/// Secrets of the files that tests apply.
pub const SECRETS: &[(&str, &str)] = &[
    ("CW_PUBLIC", "public"),
    ("CW_PRIVATE", "private"),
    ("KUMA_TOKEN", "kuma-token-of-the-test"),
];

/// An event with its deliveries.
pub async fn event(client: &Client, id: Uuid) -> EventDetail {
    client.read(&format!("/api/v1/events/{id}")).await
}

/// A delivery with its attempts.
pub async fn delivery(client: &Client, id: Uuid) -> Delivery {
    client.read(&format!("/api/v1/deliveries/{id}")).await
}

/// All rows of a list, page by page.
pub async fn all<T: DeserializeOwned>(client: &Client, path: &str) -> Vec<T> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page: Page<T> = client
            .read(&format!("{path}{joint}limit=200{cursor}"))
            .await;
        rows.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Waits until a delivery is in this state.
pub async fn in_state(client: &Client, id: Uuid, state: State) -> Delivery {
    wait_until(
        &format!("delivery {id} is {}", state.as_str()),
        async || Some(delivery(client, id).await).filter(|d| d.state == state),
    )
    .await
}

/// Waits until every delivery of an event has ended.
pub async fn settled(client: &Client, id: Uuid) -> EventDetail {
    wait_until(&format!("the deliveries of {id} end"), async || {
        let event = event(client, id).await;
        let ended = event.deliveries.iter().all(|d| !d.state.is_open());
        (ended && !event.deliveries.is_empty()).then_some(event)
    })
    .await
}

/// Waits until the one delivery of an event is done.
pub async fn delivered(client: &Client, id: Uuid) -> Delivery {
    let event = settled(client, id).await;
    let [delivery] = event.deliveries.as_slice() else {
        panic!("one delivery expected: {event:?}");
    };
    assert_eq!(delivery.state, State::Delivered, "{delivery:?}");
    delivery.clone()
}

/// Waits until a job has ended.
pub async fn job_ended(client: &Client, id: Uuid) -> Job {
    wait_until("the job ends", async || {
        let job: Job = client.read(&format!("/api/v1/jobs/{id}")).await;
        (job.state != JobState::Running).then_some(job)
    })
    .await
}

/// Waits until nothing of the workspace is open any more.
pub async fn drained(server: &Server) {
    wait_until("no delivery is open", async || {
        let open = server.store.number(OPEN).await;
        (open == 0).then_some(())
    })
    .await;
}

/// How many deliveries are in an open state.
pub const OPEN: &str = "SELECT COUNT(*) FROM delivery WHERE state IN \
    ('ready', 'leased', 'retrying', 'windowed', 'held', 'paused', 'parked')";

/// For how many a text stands, as in `text (×n)`; 1 without it.
pub fn count_of(text: &str) -> u64 {
    text.split("(\u{d7}")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .map_or(1, |n| n.parse().unwrap())
}

/// How many events are stored.
pub async fn events(server: &Server) -> i64 {
    server.store.number("SELECT COUNT(*) FROM event").await
}

/// An alert as Uptime Kuma sends it; status 0 is down, 1 is up.
pub fn alert(monitor: u64, status: u8, message: &str) -> Value {
    json!({
        "heartbeat": { "monitorID": monitor, "status": status, "msg": message, "important": true },
        "monitor": {
            "id": monitor,
            "name": format!("web{monitor}"),
            "type": "http",
            "weight": 2000,
            "tags": [{ "tag_id": 1, "name": "prod", "value": "" }, { "tag_id": 2, "name": "eu", "value": "" }],
        },
        "msg": format!("[web{monitor}] {message}"),
    })
}

/// Seconds since 1970, for signatures.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "signatures carry the real time")]
    let now: DateTime<Utc> = Utc::now();
    now.timestamp()
}

/// With a Redis that is waited for, however busy this machine is.
pub fn with_redis(options: Options, url: &str) -> Options {
    options.set("redis_url", url).set("redis_timeout_ms", 5_000)
}
