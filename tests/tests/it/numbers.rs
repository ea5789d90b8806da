//! `/metrics`: every ending is counted, and an outage of the database is told and not suffered.

use std::time::{Duration, Instant};

use openapi::credentials::CredentialRevealed;
use openapi::deliveries::{Delivery, State};
use openapi::problem::Code;
use serde_json::json;
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Proxy, Server, both, wait_until};

use crate::support::{all, drained};

/// How long Prometheus waits for an answer.
const SCRAPE: Duration = Duration::from_secs(10);

/// The value of a line of the text.
async fn number(client: &Client, line: &str) -> Option<i64> {
    let text = client.get("/metrics").await.text();
    let name = format!("signalbox_{line} ");
    text.lines()
        .find_map(|line| line.strip_prefix(&name))
        .map(|value| value.parse().unwrap())
}

async fn ended(client: &Client, state: State) -> i64 {
    let line = format!("deliveries_ended_total{{state=\"{}\"}}", state.as_str());
    number(client, &line).await.unwrap()
}

/// A token that has read the numbers, and was revoked since.
async fn revoked(server: &Server) -> Client {
    let client = server.client();
    let new = json!({
        "name": "scraper", "kind": "bearer", "scopes": ["metrics:read"], "allow_cidrs": ["127.0.0.0/8"],
    });
    let made: CredentialRevealed = client.post("/api/v1/credentials", &new).await.ok();
    let scraper = server.anonymous().bearer(&made.secret);
    scraper.get("/metrics").await.done();
    let path = format!("/api/v1/credentials/{}/revoke", made.credential.id);
    client.post(&path, &json!({})).await.done();
    scraper
}

both! {
    async fn a_revoked_token_reads_no_numbers(db) {
        let server = Server::start(db).await;
        let scraper = revoked(&server).await;
        for _ in 0..3 {
            scraper.get("/metrics").await.problem(Code::Unauthenticated);
        }
        server.client().get("/metrics").await.done();
    }

    async fn every_ending_is_counted(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        let mut step = copy_to("sink");
        step["deliver"]["key"] = json!("{{ lane }}");
        let file = File::new()
            .http_with("sink", &sink.url, json!({ "on_failure": "park" }))
            .source("alerts")
            .rule("copy", json!([]), json!([step]));
        server.apply(&file.text()).await;
        let client = server.client();
        for state in State::ALL.iter().filter(|state| !state.is_open()) {
            assert_eq!(ended(&client, *state).await, 0, "{state:?}");
        }
        assert_eq!(number(&client, "events_routed_total{disposition=\"unrouted\"}").await, Some(0));
        assert_eq!(number(&client, "attempts_total{connector=\"http\",outcome=\"retry\"}").await, Some(0));

        // The head fails, what waits behind it goes with it, and so does what comes later.
        sink.answer(400);
        for n in 0..4 {
            server.anonymous().hook("alerts", &json!({ "lane": 1, "n": n })).await;
        }
        drained(&server).await;
        server.anonymous().hook("alerts", &json!({ "lane": 1, "n": 4 })).await;
        drained(&server).await;
        let dead: Vec<Delivery> = all(&client, "/api/v1/dead-letters/list").await;
        assert_eq!(dead.len(), 5);
        wait_until("all of them are counted", async || (ended(&client, State::Dead).await == 5).then_some(())).await;

        // By hand: one, and by a filter.
        client.post(&format!("/api/v1/deliveries/{}/discard", dead[0].id), &json!({})).await.done();
        assert_eq!(ended(&client, State::Discarded).await, 1);
        let ids = json!({ "ids": [dead[1].id] });
        client.post("/api/v1/dead-letters/discard", &ids).await.done();
        assert_eq!(ended(&client, State::Discarded).await, 2);
        sink.answer(200);
        client.post("/api/v1/dead-letters/replay", &json!({ "ids": [dead[2].id] })).await.done();
        drained(&server).await;
        // A lane that was set aside is replayed whole.
        wait_until("its lane is delivered", async || (ended(&client, State::Delivered).await == 3).then_some(())).await;
        assert_eq!(ended(&client, State::Superseded).await, 3);
        assert_eq!(ended(&client, State::Dead).await, 5);
    }

    async fn the_pool_and_the_size_of_the_database_are_told(db) {
        let server = Server::start_with(db, Options::default().set("db_connections", 7)).await;
        let client = server.client();
        assert_eq!(number(&client, "db_connections_max").await, Some(7));
        let used = number(&client, "db_connections{state=\"used\"}").await.unwrap();
        let idle = number(&client, "db_connections{state=\"idle\"}").await.unwrap();
        assert!((1..=7).contains(&(used + idle)), "{used} {idle}");
        assert_eq!(number(&client, "db_connection_timeouts_total").await, Some(0));
        assert!(number(&client, "db_size_bytes").await.unwrap() > 10_000);
        assert_eq!(number(&client, "redis_calls_failed_total").await, Some(0));
    }

    async fn many_who_ask_at_once_miss_nothing(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().sandbox("box", json!({})).text()).await;
        let client = server.client();
        let line = "connection_queue{workspace=\"main\",connection=\"box\"}";
        wait_until("it is there", async || number(&client, line).await).await;
        let begun = Instant::now();
        // Longer than the numbers are good for.
        while begun.elapsed() < Duration::from_secs(6) {
            let asked = (0..8).map(|_| number(&client, line));
            for value in futures_util::future::join_all(asked).await {
                assert_eq!(value, Some(0));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_database_is_in_the_numbers_in_time() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let store = tests::database::Store::make(db, folder.path()).await;
    let url = store.url().unwrap().to_owned();
    let proxy = Proxy::before(&url).await;
    let options = Options::default().database(&proxy.url(&url));
    let server = Server::prepare_on(store, folder, options).await;
    server.resume().await;
    let client = server.client();
    let up = "up{part=\"database\"}";
    let (refused, unseen) = (revoked(&server).await, revoked(&server).await);
    refused.get("/metrics").await.problem(Code::Unauthenticated);
    // A change ends what was remembered, so this comes last.
    assert_eq!(number(&client, up).await, Some(1));
    let told = async || {
        let begun = Instant::now();
        let text = tokio::time::timeout(SCRAPE, client.get("/metrics")).await;
        let text = text.expect("an answer before Prometheus gives up").text();
        let down = text.lines().any(|line| line == format!("signalbox_{up} 0"));
        (down, begun.elapsed(), text)
    };
    // Silent: the connections stay, and nothing comes back.
    proxy.delay(Duration::from_secs(3600));
    wait_until("the outage is told", async || told().await.0.then_some(())).await;
    // Longer than a credential is believed without the database.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        let (down, took, text) = told().await;
        assert!(down && took < SCRAPE, "{took:?}\n{text}");
    }
    // A stranger learns nothing meanwhile, nor does who was revoked before.
    let stranger = client.clone().bearer("sbb_nobody");
    for other in [stranger, refused, unseen] {
        assert!(other.get("/metrics").await.status.as_u16() >= 400);
    }
    // Gone: nobody listens.
    proxy.close();
    assert!(told().await.0);
    proxy.delay(Duration::ZERO);
    proxy.open();
    wait_until("it is back", async || {
        (number(&client, up).await == Some(1)).then_some(())
    })
    .await;
}
