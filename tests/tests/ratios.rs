//! What must stay in proportion, whatever the machine: ratios of one run, never a time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use tests::bench::alert::Alerts;
use tests::bench::config;
use tests::bench::load::{self, Target};
use tests::bench::rules::{self, Asked};
use tests::bench::sink::Sink;
use tests::{Database, Server};

/// Ten thousand rules may cost so many times what ten cost.
const MOST: f64 = 3.0;
const FEW: usize = 10;
const MANY: usize = 10_000;

/// The least fuel that an evaluation needs.
fn least_fuel(asked: &Asked) -> u64 {
    let (mut too_little, mut enough) = (0, engine::limits::FUEL);
    assert!(asked.ask(enough).unwrap());
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if asked.ask(middle).is_ok() {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    enough
}

#[test]
fn ten_thousand_rules_need_little_more_fuel_than_ten() {
    let few = least_fuel(&Asked::new(FEW).unwrap());
    let many = least_fuel(&Asked::new(MANY).unwrap());
    assert!(few > 1, "an evaluation costs something");
    assert!(
        many as f64 <= few as f64 * MOST,
        "{FEW} rules: {few}, {MANY} rules: {many}"
    );
}

#[test]
fn ten_thousand_rules_cost_little_more_time_than_ten() {
    let medians = rules::medians_ms(&[FEW, MANY], 200).unwrap();
    let [few, many] = medians[..] else {
        panic!("two medians");
    };
    assert!(
        many <= few * MOST,
        "{FEW} rules: {few} ms, {MANY} rules: {many} ms"
    );
}

/// Connections that send at once.
const SENDERS: usize = 64;
/// So many times as many events share a commit as with one sender, at least. How much more is accepted
/// by it is a matter of disk and processor; `scripts/bench` measures it.
const TOGETHER: f64 = 4.0;

/// Sum and count of the sizes of commits so far.
async fn commits(server: &Server) -> (f64, f64) {
    let numbers = server.client().get("/metrics").await.text();
    let value = |name: &str| -> f64 {
        let line = numbers.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {numbers}"))
            .trim()
            .parse()
            .unwrap()
    };
    (
        value("signalbox_journal_batch_size_sum "),
        value("signalbox_journal_batch_size_count "),
    )
}

#[tokio::test]
async fn one_commit_serves_many_senders() {
    let server = Server::start(Database::Sqlite).await;
    let sink = Sink::start().unwrap();
    let file = config::file(sink.address, true).to_string();
    server.apply_with(&file, &[(config::TOKEN, "sender")]).await;
    let address = server
        .url()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let target = Target {
        address,
        alerts: Arc::new(Alerts::new(address, "/hooks/dropped", "sender")),
        status: 202,
    };
    let measure = async |connections: usize| {
        let before = commits(&server).await;
        let (warm, time) = (Duration::from_millis(500), Duration::from_secs(3));
        let load = load::closed(&target, connections, warm, time)
            .await
            .unwrap();
        assert_eq!(load.failed(), 0, "{:?}", load.errors);
        let after = commits(&server).await;
        (after.0 - before.0) / (after.1 - before.1)
    };
    let alone = measure(1).await;
    let together = measure(SENDERS).await;
    // How fast either was says more of the disk and of a debug build than of the journal.
    assert!(
        together >= alone * TOGETHER,
        "{alone:.1} events in a commit with one sender, {together:.1} with {SENDERS}"
    );
}
