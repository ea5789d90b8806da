//! What must stay in proportion, whatever the machine: ratios of one run, never a time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use sea_orm::{SqliteTransactionMode, TransactionOptions, TransactionTrait as _};
use serde_json::json;
use tests::bench::rules::{self, Asked};
use tests::yaml::File;
use tests::{Database, Options, Server, wait_until};
use tokio::task::JoinSet;

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
    for ask in [Asked::new, Asked::ignoring_case] {
        let few = least_fuel(&ask(FEW).unwrap());
        let many = least_fuel(&ask(MANY).unwrap());
        assert!(few > 1, "an evaluation costs something");
        assert!(
            many as f64 <= few as f64 * MOST,
            "{FEW} rules: {few}, {MANY} rules: {many}"
        );
    }
}

#[test]
fn ten_thousand_rules_cost_little_more_time_than_ten() {
    for ask in [Asked::new, Asked::ignoring_case] {
        let sets = [ask(FEW).unwrap(), ask(MANY).unwrap()];
        let medians = rules::medians_of(&sets, 200).unwrap();
        let [few, many] = medians[..] else {
            panic!("two medians");
        };
        assert!(
            many <= few * MOST,
            "{FEW} rules: {few} ms, {MANY} rules: {many} ms"
        );
    }
}

/// Requests that come while a commit is held up.
const SENDERS: usize = 64;

/// A number of the server.
async fn number(server: &Server, name: &str) -> f64 {
    let numbers = server.client().get("/metrics").await.text();
    let line = numbers.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} in {numbers}"))
        .trim()
        .parse()
        .unwrap()
}

/// Whoever waits while a commit takes long shares the next one, however long the disk takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_commit_serves_many_senders() {
    let server = Server::start(Database::Sqlite).await;
    let file = File::new().source("a").rule("r", json!([]), json!("drop"));
    server.apply(&file.text()).await;
    let before = number(&server, "signalbox_journal_batch_size_count ").await;

    let db = server.store.connect().await;
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let held = db.begin_with_options(options).await.unwrap();
    let mut senders = JoinSet::new();
    for n in 0..SENDERS {
        let client = server.anonymous();
        senders.spawn(async move { client.hook("a", &json!({ "n": n })).await });
    }
    // In the commit that is held up, or for the next one.
    let waiting = wait_until("most of them wait", async || {
        let waiting = number(&server, "signalbox_journal_waiting ").await;
        (waiting >= SENDERS as f64 * 0.75).then_some(waiting)
    })
    .await;
    held.rollback().await.unwrap();
    while let Some(taken) = senders.join_next().await {
        assert!(!taken.unwrap().duplicate);
    }
    let commits = number(&server, "signalbox_journal_batch_size_count ").await - before;
    // Two serve all who waited; the others came too late.
    let others = SENDERS as f64 - waiting;
    assert!(
        commits <= 2.0 + others,
        "{commits} commits for {SENDERS} senders, of whom {waiting} waited"
    );
    db.close().await.unwrap();
}

/// Where many come, they wait for each other. The data of the tests may lie in memory, where a commit
/// is over before the next request has been read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepts_that_come_together_share_their_commits() {
    const TOGETHER: usize = 8;
    const ROUNDS: usize = 20;
    // As long as it goes: how fast the machine is does not matter.
    let options = Options::default().set("commit_delay_ms", 1000);
    let server = Server::start_with(Database::Sqlite, options).await;
    let file = File::new().source("a").rule("r", json!([]), json!("drop"));
    server.apply(&file.text()).await;
    let before = number(&server, "signalbox_journal_batch_size_count ").await;
    for round in 0..ROUNDS {
        let mut senders = JoinSet::new();
        for n in 0..TOGETHER {
            let client = server.anonymous();
            let alert = json!({ "round": round, "n": n });
            senders.spawn(async move { client.hook("a", &alert).await });
        }
        while let Some(taken) = senders.join_next().await {
            assert!(!taken.unwrap().duplicate);
        }
    }
    let commits = number(&server, "signalbox_journal_batch_size_count ").await - before;
    assert!(
        commits <= (ROUNDS * TOGETHER) as f64 / 2.0,
        "{commits} commits in {ROUNDS} rounds of {TOGETHER}"
    );
}
