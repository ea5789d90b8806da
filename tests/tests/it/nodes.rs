//! Several nodes on one PostgreSQL: roles, wake-ups, one configuration, one live stream, one set of
//! limits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use openapi::connections::{Connection, ConnectionCreated};
use openapi::deliveries::State;
use openapi::problem::Code;
use openapi::stream::Message;
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::stream::Stream;
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Options, Proxy, Server, wait_until};
use uuid::Uuid;

use crate::support::{all, delivered, drained, with_redis};

/// The Redis of the test run.
const REDIS: &str = "SIGNALBOX_TEST_REDIS_URL";

/// How often a node looks by itself, without being told.
const LOOK: Duration = Duration::from_millis(250);

fn redis() -> Option<String> {
    let url = std::env::var(REDIS).ok();
    if url.is_none() {
        println!("not run: {REDIS} names no Redis");
    }
    url
}

fn options(role: &str) -> Options {
    Options::default().set("role", role).set("lease_seconds", 3)
}

/// A node of each of these options, on one database.
async fn company(options: &[Options]) -> Option<Vec<Server>> {
    let db = Database::postgres()?;
    let first = Server::start_with(db, options[0].clone()).await;
    let mut nodes = vec![first];
    for options in &options[1..] {
        let next = nodes[0].another(options.clone());
        next.resume().await;
        nodes.push(next);
    }
    Some(nodes)
}

fn file(sink: &FakeSink) -> File {
    File::new()
        .http("sink", &sink.url)
        .source("a")
        .rule("r", json!([]), json!([copy_to("sink")]))
}

/// The middle one of some times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_node_delivers_nothing_and_a_worker_takes_nothing() {
    let Some(nodes) = company(&[options("api")]).await else {
        return;
    };
    let [api] = nodes.as_slice() else {
        unreachable!()
    };
    let sink = FakeSink::start().await.unwrap();
    api.apply(&file(&sink).text()).await;
    let mut sent = Vec::new();
    for n in 0..5 {
        let accepted = api.anonymous().hook("a", &json!({ "n": n })).await;
        sent.push(accepted.event_ids[0]);
    }
    let waiting = "SELECT COUNT(*) FROM delivery WHERE state = 'ready' AND lease_owner IS NULL \
                   AND attempts = 0";
    assert_eq!(api.store.number(waiting).await, 5);
    assert_eq!(sink.counts().requests, 0);

    let worker = api.another(options("worker"));
    worker.resume().await;
    for id in sent {
        delivered(&api.client(), id).await;
    }
    assert_eq!(sink.counts().taken, 5);
    let outside = worker.anonymous();
    outside.get("/livez").await.done();
    outside.get("/readyz").await.done();
    worker.client().get("/metrics").await.done();
    for path in [
        "/api/v1/session",
        "/api/v1/events",
        "/",
        "/api/openapi.json",
    ] {
        let status = outside.get(path).await.status.as_u16();
        assert!(matches!(status, 404 | 405), "{path}: {status}");
    }
    let refused = outside.post("/hooks/a", &json!({})).await;
    assert!(
        matches!(refused.status.as_u16(), 404 | 405),
        "{}",
        refused.text()
    );

    let all = api.another(options("all"));
    all.resume().await;
    worker.kill();
    let accepted = all.anonymous().hook("a", &json!({ "n": 6 })).await;
    delivered(&all.client(), accepted.event_ids[0]).await;
}

/// How long it takes from the answer to a hook until its delivery arrives.
async fn arrivals(door: &Server, sink: &FakeSink) -> Duration {
    let client = door.anonymous();
    // Once, so that every connection is there.
    client.hook("a", &json!({ "n": -1 })).await;
    drained(door).await;
    let mut times = Vec::new();
    for n in 0..21 {
        let before = sink.counts().taken;
        client.hook("a", &json!({ "n": n })).await;
        let begun = Instant::now();
        while sink.counts().taken == before {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "it does not arrive"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed());
    }
    median(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_told_and_does_not_wait_for_its_next_look() {
    let Some(nodes) = company(&[options("all")]).await else {
        return;
    };
    let sink = FakeSink::start().await.unwrap();
    nodes[0].apply(&file(&sink).text()).await;
    let in_memory = arrivals(&nodes[0], &sink).await;
    nodes[0].kill();
    let (api, worker) = (
        nodes[0].another(options("api")),
        nodes[0].another(options("worker")),
    );
    api.resume().await;
    worker.resume().await;
    let told = arrivals(&api, &sink).await;
    // A look of its own comes after half of that on average.
    assert!(
        told < in_memory + LOOK / 4,
        "in memory {in_memory:?}, told {told:?}"
    );
}

/// How long it takes until a source that is made here is served there.
async fn changes(here: &Server, there: &Server, name: &str) -> Duration {
    let (maker, sender) = (here.client(), there.anonymous());
    let mut times = Vec::new();
    for n in 0..15 {
        let slug = format!("{name}-{n}");
        let new = json!({ "name": slug, "slug": slug, "auth": { "type": "none" } });
        maker.post("/api/v1/sources", &new).await.done();
        let begun = Instant::now();
        loop {
            let answer = sender.post(&format!("/hooks/{slug}"), &json!({})).await;
            if answer.status.as_u16() == 202 {
                break;
            }
            answer.problem(Code::NotFound);
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "it is not served"
            );
        }
        times.push(begun.elapsed());
    }
    median(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_served_by_the_other_nodes_at_once() {
    let Some(nodes) = company(&[options("all"), options("all")]).await else {
        return;
    };
    let own = changes(&nodes[0], &nodes[0], "own").await;
    let told = changes(&nodes[0], &nodes[1], "told").await;
    assert!(told < own + LOOK / 4, "own {own:?}, told {told:?}");
}

/// What happens on any of the nodes is seen on each.
async fn one_stream(nodes: &[Server]) {
    let sink = FakeSink::start().await.unwrap();
    nodes[0].apply(&file(&sink).text()).await;
    for node in nodes {
        wait_until("the source is served", async || {
            let answer = node.anonymous().post("/hooks/a", &json!({})).await;
            (answer.status.as_u16() == 202).then_some(())
        })
        .await;
    }
    drained(&nodes[0]).await;
    let mut streams = Vec::new();
    for node in nodes {
        streams.push(Stream::open(&node.client(), None).await);
    }
    hear_each_other(nodes, &mut streams).await;
    for (n, node) in nodes.iter().enumerate() {
        let accepted = node.anonymous().hook("a", &json!({ "n": n })).await;
        let id = accepted.event_ids[0];
        let mut places = BTreeSet::new();
        for stream in &mut streams {
            stream
                .find(|m| matches!(m, Message::Event(e) if e.id == id))
                .await;
            let done = |m: &Message| matches!(m, Message::Delivery(d) if d.event_id == id && d.state == State::Delivered);
            places.insert(stream.find(done).await.id);
        }
        assert_eq!(places.len(), nodes.len(), "each node counts by itself");
        // A place of another node is none of this one's: the watcher is told to read anew.
        let foreign = places
            .iter()
            .find(|place| !streams_know(place, &streams[n]));
        if let Some(foreign) = foreign {
            let mut moved = Stream::open(&node.client(), Some(foreign)).await;
            assert_eq!(moved.next().await.message, Message::Reset);
        }
    }
}

/// Waits until each of the streams has shown something of each node: they have just started.
async fn hear_each_other(nodes: &[Server], streams: &mut [Stream]) {
    for node in nodes {
        for stream in &mut *streams {
            wait_until("a node is heard", async || {
                let accepted = node.anonymous().hook("a", &json!({})).await;
                shown(stream, accepted.event_ids[0], Duration::from_secs(2)).await
            })
            .await;
        }
    }
    drained(&nodes[0]).await;
}

/// Whether the stream shows this event in time.
async fn shown(stream: &mut Stream, id: Uuid, time: Duration) -> Option<()> {
    let seen = stream.find(|m| matches!(m, Message::Event(e) if e.id == id));
    tokio::time::timeout(time, seen).await.ok().map(|_| ())
}

fn streams_know(place: &str, stream: &Stream) -> bool {
    stream.last_id().split('-').next() == place.split('-').next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_of_every_node_shows_all_of_them() {
    let Some(nodes) = company(&[options("all"), options("all"), options("api")]).await else {
        return;
    };
    one_stream(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_goes_over_redis_and_without_it() {
    let Some(url) = redis() else { return };
    let proxy = Proxy::before(&url).await;
    let with = options("all").set("redis_url", proxy.url(&url));
    let Some(nodes) = company(&[with.clone(), with]).await else {
        return;
    };
    one_stream(&nodes).await;
    // Redis goes in the middle of it: PostgreSQL carries the messages.
    let mut stream = Stream::open(&nodes[1].client(), None).await;
    proxy.close();
    wait_until("a message comes without Redis", async || {
        let accepted = nodes[0].anonymous().hook("a", &json!({})).await;
        shown(&mut stream, accepted.event_ids[0], Duration::from_secs(2)).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_lost_redis_without_a_word_says_so_and_hears_the_others() {
    let Some(url) = redis() else { return };
    let proxy = Proxy::before(&url).await;
    let with = |url: &str| options("all").set("redis_url", url);
    let Some(nodes) = company(&[with(&url), with(&proxy.url(&url))]).await else {
        return;
    };
    nodes[0].apply(&File::new().source("a").text()).await;
    wait_until("the source is served", async || {
        let answer = nodes[1].anonymous().post("/hooks/a", &json!({})).await;
        (answer.status.as_u16() == 202).then_some(())
    })
    .await;
    let mut streams = [Stream::open(&nodes[1].client(), None).await];
    hear_each_other(&nodes, &mut streams).await;
    let [mut stream] = streams;
    // Its connections stay, as far as Redis knows, and nothing comes through them.
    proxy.delay(Duration::from_secs(3600));
    stream.find(|m| matches!(m, Message::Reset)).await;
    wait_until("the other node sends by PostgreSQL", async || {
        let accepted = nodes[0].anonymous().hook("a", &json!({})).await;
        shown(&mut stream, accepted.event_ids[0], Duration::from_secs(2)).await
    })
    .await;
    // Back: it reads anew, and hears the others over Redis again.
    proxy.delay(Duration::ZERO);
    proxy.cut();
    stream.find(|m| matches!(m, Message::Reset)).await;
    let accepted = nodes[0].anonymous().hook("a", &json!({})).await;
    let id = accepted.event_ids[0];
    stream
        .find(|m| matches!(m, Message::Event(e) if e.id == id))
        .await;
}

/// How many of `count` requests are taken, spread over the nodes.
async fn taken(nodes: &[Server], source: &str, count: usize) -> usize {
    let mut taken = 0;
    for n in 0..count {
        let node = &nodes[n % nodes.len()];
        let path = format!("/hooks/{source}");
        let answer = node.anonymous().post(&path, &json!({})).await;
        if answer.status.as_u16() == 202 {
            taken += 1;
        } else {
            answer.problem(Code::RateLimited);
            assert!(answer.header("retry-after").is_some());
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_hold_over_all_nodes_and_alone_while_redis_is_away() {
    let Some(url) = redis() else { return };
    let proxy = Proxy::before(&url).await;
    let with = options("all").set("redis_url", proxy.url(&url));
    let Some(nodes) = company(&[with.clone(), with]).await else {
        return;
    };
    // Five at once, then 50 a minute.
    let slow = json!({ "rate_per_minute": 50 });
    nodes[0]
        .apply(
            &File::new()
                .source_with("slow", slow.clone())
                .source_with("alone", slow)
                .text(),
        )
        .await;
    wait_until("both serve it", async || {
        let mut ready = true;
        for node in &nodes {
            let answer = node.anonymous().post("/hooks/slow", &json!({})).await;
            ready &= answer.status.as_u16() != 404;
        }
        ready.then_some(())
    })
    .await;
    let status = async |node: &Server| -> Value { node.anonymous().get("/readyz").await.ok() };
    let metric = async |node: &Server, name: &str| -> f64 {
        let text = node.client().get("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|n| n.trim().parse().ok())
            .expect("the metric")
    };
    let begun = Instant::now();
    let together = taken(&nodes, "slow", 40).await;
    let refilled = begun.elapsed().as_secs_f64() * 50.0 / 60.0;
    // On a machine that is so busy that Redis does not answer in time, a node goes by itself.
    let mut own_buckets = 0.0;
    for node in &nodes {
        let alone = metric(node, "signalbox_limits_without_redis_total").await;
        own_buckets += if alone > 0.0 { 5.0 } else { 0.0 };
    }
    assert!(
        f64::from(u32::try_from(together).unwrap()) <= 5.0 + refilled + 1.0 + own_buckets,
        "{together} of 40 in {:?}",
        begun.elapsed()
    );
    for node in &nodes {
        wait_until("it works with Redis", async || {
            (status(node).await["status"] == "ready").then_some(())
        })
        .await;
        wait_until("its numbers say so", async || {
            (metric(node, "signalbox_up{part=\"redis\"}").await == 1.0).then_some(())
        })
        .await;
    }

    proxy.close();
    let begun = Instant::now();
    let alone = taken(&nodes, "alone", 40).await;
    // Each has a bucket of its own now, and a full one.
    assert!(alone >= 8, "{alone}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "nobody waits for Redis"
    );
    for node in &nodes {
        assert_eq!(status(node).await["status"], "degraded");
        assert_eq!(status(node).await["redis"]["state"], "degraded");
        assert!(metric(node, "signalbox_limits_without_redis_total").await >= 1.0);
        // The log comes by another way than answers do.
        let said = |text: &str| node.log().matches(text).count();
        wait_until("it is said", async || {
            (said("Redis does not answer") > said("Redis answers again")).then_some(())
        })
        .await;
        assert_eq!(
            said("Redis does not answer"),
            said("Redis answers again") + 1,
            "said once"
        );
    }

    // Slow is as good as away: no request waits long.
    proxy.open();
    for node in &nodes {
        wait_until("Redis is back", async || {
            (status(node).await["status"] == "ready").then_some(())
        })
        .await;
    }
    proxy.delay(Duration::from_secs(2));
    let begun = Instant::now();
    taken(&nodes, "slow", 40).await;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_sign_ins_are_counted_over_all_nodes() {
    let Some(url) = redis() else { return };
    let with = with_redis(options("all"), &url);
    let Some(nodes) = company(&[with.clone(), with]).await else {
        return;
    };
    let attempt = async |client: Client| {
        let wrong = json!({ "email": "nobody@example.com", "password": "wrong" });
        client.post("/api/v1/auth/login", &wrong).await
    };
    for _ in 0..10 {
        attempt(nodes[0].anonymous())
            .await
            .problem(Code::LoginFailed);
    }
    let refused = attempt(nodes[1].anonymous()).await;
    refused.problem(Code::RateLimited);
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_of_a_connection_is_one_for_all_nodes() {
    let Some(url) = redis() else { return };
    let with = with_redis(options("all"), &url);
    let Some(nodes) = company(&[with.clone(), with]).await else {
        return;
    };
    let sink = FakeSink::start().await.unwrap();
    // 60 at once, then ten a second.
    let rate = json!({ "rate_per_minute": 600 });
    let file = File::new()
        .http_with("sink", &sink.url, rate)
        .source("a")
        .rule("r", json!([]), json!([copy_to("sink")]));
    nodes[0].apply(&file.text()).await;
    wait_until("both serve it", async || {
        let answer = nodes[1].anonymous().post("/hooks/a", &json!({})).await;
        (answer.status.as_u16() == 202).then_some(())
    })
    .await;
    let begun = Instant::now();
    for n in 0..110 {
        nodes[n % 2].anonymous().hook("a", &json!({ "n": n })).await;
    }
    drained(&nodes[0]).await;
    // Fifty more than the burst: five seconds, and half of that if each node had its own.
    assert!(
        begun.elapsed() > Duration::from_millis(3_800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(sink.counts().taken, sink.counts().ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_held_goes_on_elsewhere() {
    let Some(nodes) = company(&[options("all"), options("all")]).await else {
        return;
    };
    let sink = FakeSink::start().await.unwrap();
    nodes[0].apply(&file(&sink).text()).await;
    sink.latency(Duration::from_secs(20));
    let mut ids = BTreeSet::<Uuid>::new();
    for n in 0..30 {
        let accepted = nodes[0].anonymous().hook("a", &json!({ "n": n })).await;
        ids.extend(accepted.event_ids);
    }
    wait_until("calls are under way", async || {
        (sink.counts().requests > 0).then_some(())
    })
    .await;
    nodes[0].kill();
    sink.latency(Duration::ZERO);
    for id in ids {
        delivered(&nodes[1].client(), id).await;
    }
    let seen = sink.seen();
    assert_eq!(seen.len(), 30);
    assert!(seen.values().all(|seen| seen.bodies == 1));
}

/// What one node learns of an upstream, all of them know: that it is down, and that it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_is_one_for_all_nodes() {
    let Some(nodes) = company(&[options("all"), options("all")]).await else {
        return;
    };
    let sink = FakeSink::start().await.unwrap();
    // Left to their own time, the second attempts would come far too late for this test.
    let late =
        json!({ "retry": { "first_seconds": 600, "max_seconds": 600, "horizon_seconds": 86_400 } });
    let file = File::new()
        .http_with("sink", &sink.url, late)
        .source("a")
        .rule("r", json!([]), json!([copy_to("sink")]));
    nodes[0].apply(&file.text()).await;
    for node in &nodes {
        wait_until("the source is served", async || {
            let answer = node.anonymous().post("/hooks/a", &json!({})).await;
            (answer.status.as_u16() == 202).then_some(())
        })
        .await;
    }
    let hub = FakeSink::start().await.unwrap();
    let subscriber = json!({
        "name": "hub", "connector": "webhook", "allow_private": true,
        "settings": { "url": hub.url, "types": ["breaker.*"] },
    });
    let client = nodes[0].client();
    let made: ConnectionCreated = client.post("/api/v1/connections", &subscriber).await.ok();
    for node in &nodes {
        wait_until("the subscriber is served", async || {
            let test = format!("/api/v1/connections/{}/test", made.connection.id);
            let answer = node.client().post(&test, &json!({})).await;
            answer.status.is_success().then_some(())
        })
        .await;
    }
    drained(&nodes[0]).await;
    let before = sink.counts().ids;
    sink.set_down(true);
    for n in 0..30 {
        nodes[n % 2].anonymous().hook("a", &json!({ "n": n })).await;
    }
    let number = "signalbox_connection_breaker_open{workspace=\"main\",connection=\"sink\"} 1\n";
    for node in &nodes {
        wait_until("both see it open", async || {
            let known: Vec<Connection> = all(&node.client(), "/api/v1/connections").await;
            breaker_of(&known, "sink").contains("open").then_some(())
        })
        .await;
        wait_until("and count it", async || {
            let text = node.client().get("/metrics").await.text();
            text.contains(number).then_some(())
        })
        .await;
    }
    sink.set_down(false);
    drained(&nodes[0]).await;
    assert_eq!(sink.counts().ids, before + 30);
    for node in &nodes {
        wait_until("both see it closed", async || {
            let known: Vec<Connection> = all(&node.client(), "/api/v1/connections").await;
            breaker_of(&known, "sink").contains("closed").then_some(())
        })
        .await;
    }
    // Both found out, and subscribers are told once.
    drained(&nodes[0]).await;
    let told: Vec<Value> = hub
        .seen()
        .into_values()
        .map(|seen| serde_json::from_str(&seen.body).unwrap())
        .collect();
    let mut told: Vec<&str> = told.iter().map(|m| m["type"].as_str().unwrap()).collect();
    told.retain(|word| *word != "webhook.test");
    told.sort_unstable();
    assert_eq!(told, ["breaker.closed", "breaker.opened"]);
}

fn breaker_of<'a>(known: &'a [Connection], name: &str) -> &'a str {
    let connection = known.iter().find(|c| c.name == name).unwrap();
    &connection.breaker.state
}
