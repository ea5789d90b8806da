//! More than there is room for: requests, bodies, disk. Refusals, never growth and never damage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openapi::problem::Code;
use openapi::sources::Accepted;
use openapi::stats::Stats;
use serde_json::{Value, json};
use tests::database::Store;
use tests::fakes::FakeSink;
use tests::server::both as output;
use tests::yaml::{File, copy_to};
use tests::{
    Books, Client, Cluster, Database, Options, Server, both, wait_until, wait_until_within,
};
use uuid::Uuid;

use crate::support::{OPEN, drained};

fn file(sink: &FakeSink) -> String {
    File::new()
        .http("sink", &sink.url)
        .source_with("a", json!({ "event_id_path": "$.id" }))
        .rule("r", json!([]), json!([copy_to("sink")]))
        .text()
}

/// Posts `count` bodies over so many connections at once; returns the ids of those that were taken
/// and how many were refused with 503. Anything else fails the test.
async fn flood(
    client: &Client,
    connections: usize,
    count: usize,
    size: usize,
) -> (Vec<Uuid>, usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let text = Arc::new("x".repeat(size));
    let mut senders = Vec::new();
    for _ in 0..connections {
        let (client, next, text) = (client.clone(), Arc::clone(&next), Arc::clone(&text));
        senders.push(tokio::spawn(async move {
            let (mut taken, mut refused) = (Vec::new(), 0);
            while next.fetch_add(1, Ordering::SeqCst) < count {
                let answer = client.post("/hooks/a", &json!({ "text": *text })).await;
                if answer.status.as_u16() == 202 {
                    taken.extend(answer.ok::<Accepted>().event_ids);
                } else {
                    answer.problem(Code::Unavailable);
                    assert!(answer.header("retry-after").is_some());
                    refused += 1;
                }
            }
            (taken, refused)
        }));
    }
    let mut sum = (Vec::new(), 0);
    for sender in senders {
        let (taken, refused) = sender.await.unwrap();
        sum.0.extend(taken);
        sum.1 += refused;
    }
    sum
}

both! {
    async fn memory_is_flat_under_a_flood(db) {
        let sink = FakeSink::start().await.unwrap();
        sink.set_down(true);
        // Small queues: what does not fit waits in the database, or is refused.
        let options = Options::default()
            .set("queue_accepts", 64)
            .set("queue_deliveries", 100)
            .set("refusals_kept", 50);
        let server = Server::start_with(db, options).await;
        server.apply(&file(&sink)).await;
        let client = server.anonymous();
        let (mut accepted, _) = flood(&client, 32, 600, 2_000).await;
        let before = server.memory();
        let (taken, refused) = flood(&client, 32, 2_400, 2_000).await;
        let after = server.memory();
        println!("{} taken, {refused} refused; memory {before} kB, then {after} kB", taken.len());
        accepted.extend(taken);
        assert!(after < before * 3 / 2, "memory grew from {before} kB to {after} kB");
        // Refusals of a known source are bounded, too.
        for _ in 0..300 {
            client.call(reqwest::Method::POST, "/hooks/a").body("{").send().await.problem(Code::MalformedBody);
        }
        wait_until("the ring is cut", async || {
            let kept = server.store.number("SELECT COUNT(*) FROM refusal").await;
            (kept <= 60).then_some(())
        })
        .await;
        sink.set_down(false);
        wait_until_within(Duration::from_secs(90), "everything arrives", async || {
            (server.store.number(OPEN).await == 0).then_some(())
        })
        .await;
        let count = accepted.len();
        let balance = Books::of(&server).sink(&sink).accepted(accepted).balance().await;
        assert_eq!(balance.events, count);
        assert!(balance.all_delivered(), "{balance}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_have_a_budget() {
    let options = Options::default().set("queue_bytes", 4 << 20);
    let server = Server::start_with(Database::Sqlite, options).await;
    // Nothing is delivered: only the way in is measured.
    let file = File::new().source("a").rule("r", json!([]), json!("drop"));
    server.apply(&file.text()).await;
    let client = server.anonymous();
    flood(&client, 4, 20, 900_000).await;
    let before = server.memory();
    let (taken, refused) = flood(&client, 64, 160, 900_000).await;
    let taken = taken.len();
    let after = server.memory();
    println!("{taken} taken, {refused} refused; memory {before} kB, then {after} kB");
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    // Sixty-four bodies would be sixty megabytes, several times over.
    assert!(
        after < before + 60_000,
        "memory grew from {before} kB to {after} kB"
    );
    // Every share was given back.
    let (taken, refused) = flood(&client, 1, 5, 900_000).await;
    assert_eq!((taken.len(), refused), (5, 0));
}

/// How a disk can be full.
enum Disk {
    /// A file system in memory that is small, which only this process and its children see.
    Small(tests::disk::Small),
    /// A limit on the size of the server's files (`RLIMIT_FSIZE`, with the signal ignored).
    Limit,
}

impl Disk {
    async fn server(&self) -> Server {
        match self {
            Self::Small(small) => {
                let folder = small.folder();
                let store = Store::make(Database::Sqlite, folder.path()).await;
                let server = Server::prepare_on(store, folder, Options::default()).await;
                server.resume().await;
                server
            }
            Self::Limit => {
                let options = Options::default().file_limit(6_000);
                Server::start_with(Database::Sqlite, options).await
            }
        }
    }

    /// Makes room, and starts what was killed.
    async fn make_room(&self, server: &mut Server) {
        match self {
            Self::Small(small) => small.grow(64),
            Self::Limit => server.lift_every_file_limit(),
        }
        server.resume().await;
    }
}

/// What is read goes on, what writes is refused, and a kill in this state does no harm.
async fn a_full_disk_refuses_and_damages_nothing(disk: Disk) {
    let sink = FakeSink::start().await.unwrap();
    let mut server = disk.server().await;
    server.apply(&file(&sink)).await;
    let client = server.anonymous();
    let status = async || -> (u16, Value) {
        let answer = client.get("/readyz").await;
        (answer.status.as_u16(), answer.json())
    };
    assert_eq!(status().await.0, 200);
    let mut accepted = Vec::new();
    let text = "x".repeat(50_000);
    let refused = wait_until("the disk is full", async || {
        let n = accepted.len();
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "text": text });
        let answer = client.post("/hooks/a", &payload).await;
        if answer.status.as_u16() == 202 {
            accepted.extend(answer.ok::<Accepted>().event_ids);
            return None;
        }
        Some(answer)
    })
    .await;
    refused.problem(Code::Unavailable);
    assert!(refused.header("retry-after").is_some());
    assert!(accepted.len() > 3, "{}", accepted.len());
    let (code, ready) = status().await;
    assert_eq!(
        (code, ready["status"].as_str()),
        (503, Some("not ready")),
        "{ready}"
    );
    assert_eq!(ready["writes"]["state"], "failed", "{ready}");
    assert_eq!(ready["database"]["state"], "ok", "{ready}");
    // People can still look, and see a red light.
    let stats: Stats = server.client().read("/api/v1/stats").await;
    let light = stats
        .lights
        .iter()
        .find(|light| light.kind == "database")
        .unwrap();
    assert_eq!(light.colour, "red", "{light:?}");
    let detail = light.detail.clone().unwrap_or_default();
    assert!(detail.contains("no space"), "{light:?}");
    // It stays up, and takes what fits.
    let mut more = async |from: u32| {
        for n in from..from + 20 {
            let payload = json!({ "id": format!("more-{n}"), "text": text });
            let answer = client.post("/hooks/a", &payload).await;
            if answer.status.as_u16() == 202 {
                accepted.extend(answer.ok::<Accepted>().event_ids);
            } else {
                answer.problem(Code::Unavailable);
            }
        }
    };
    more(0).await;

    // On the full disk it starts or says why it does not, and dies again.
    server.kill();
    let said = server.log().len();
    if server.try_resume().await {
        more(20).await;
        server.kill();
        println!("on the full disk it starts");
    } else {
        wait_until("it says why", async || {
            let log = server.log();
            let last = log[said..]
                .lines()
                .rfind(|line| line.starts_with("error: "));
            last.is_some_and(|line| line.contains("no space is left"))
                .then_some(())
        })
        .await;
        println!("on the full disk it does not start");
    }
    disk.make_room(&mut server).await;
    wait_until("there is room again", async || {
        let n = accepted.len();
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "text": text });
        let answer = client.post("/hooks/a", &payload).await;
        let taken = answer.status.as_u16() == 202;
        taken.then(|| accepted.extend(answer.ok::<Accepted>().event_ids))
    })
    .await;
    wait_until("it is ready", async || {
        (status().await.0 == 200).then_some(())
    })
    .await;
    drained(&server).await;
    accepted.sort();
    accepted.dedup();
    let count = accepted.len();
    let books = Books::of(&server)
        .sink(&sink)
        .accepted(accepted)
        .by_leases();
    let balance = books.balance().await;
    // A refusal is not a promise that nothing was stored, but here nothing was in doubt.
    assert_eq!(balance.events, count);
    assert!(balance.all_delivered(), "{balance}");
    println!("{balance}");
    let sound = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(server.store.number(sound).await, 1);
    let status = server.terminate().await;
    assert!(status.success(), "{status}");
    let listed = server.cli(&["migrate", "status"]).await;
    assert!(listed.status.success(), "{}", output(&listed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_by_a_limit_on_files_damages_nothing() {
    println!("disk full: a limit on the size of files");
    a_full_disk_refuses_and_damages_nothing(Disk::Limit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_disk_that_is_full_damages_nothing() {
    let this = "pressure::a_small_disk_that_is_full_damages_nothing";
    let Some(small) = tests::disk::Small::of_this_test(this, 6).await else {
        return;
    };
    println!("disk full: a small file system");
    a_full_disk_refuses_and_damages_nothing(Disk::Small(small)).await;
}

/// PostgreSQL stops when it cannot write its log. Whoever is refused sends again, and what was
/// answered is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_disk_of_postgresql_that_is_full_damages_nothing() {
    let this = "pressure::a_small_disk_of_postgresql_that_is_full_damages_nothing";
    let Some(small) = tests::disk::Small::of_this_test(this, 80).await else {
        return;
    };
    let log = ["--wal-segsize=1"];
    let Some(cluster) = Cluster::start_in(small.folder(), &log).await else {
        return;
    };
    println!("disk full: a small file system under PostgreSQL");
    let store = Store::make_in(&cluster.url()).await;
    let folder = tempfile::TempDir::new().unwrap();
    let server = Server::prepare_on(store, folder, Options::default()).await;
    server.resume().await;
    let sink = FakeSink::start().await.unwrap();
    server.apply(&file(&sink)).await;
    let client = server.anonymous();
    let text = random_text(500_000);
    let mut accepted = Vec::new();
    let mut send = async || {
        let n = accepted.len();
        let payload = json!({ "id": format!("delivery-{n}"), "n": n, "text": text });
        let answer = client.post("/hooks/a", &payload).await;
        if answer.status.as_u16() == 202 {
            accepted.extend(answer.ok::<Accepted>().event_ids);
            return true;
        }
        answer.problem(Code::Unavailable);
        assert!(answer.header("retry-after").is_some());
        false
    };
    wait_until("the disk is full", async || (!send().await).then_some(())).await;
    for _ in 0..5 {
        send().await;
    }
    server.kill();
    small.grow(400);
    cluster.revive().await;
    wait_until("the server starts", async || {
        cluster.revive().await;
        server.try_resume().await.then_some(())
    })
    .await;
    wait_until("there is room again", async || send().await.then_some(())).await;
    drained(&server).await;
    // What was refused was sent again under the same id, and is there once.
    let books = Books::of(&server)
        .sink(&sink)
        .accepted(accepted)
        .by_leases();
    let balance = books.balance().await;
    assert!(balance.all_delivered(), "{balance}");
    println!("{balance}");
    let distinct = "SELECT COUNT(DISTINCT idempotency_key) FROM event";
    let stored = i64::try_from(balance.events).unwrap();
    assert_eq!(server.store.number(distinct).await, stored);
}

/// Text that does not become small when it is compressed.
fn random_text(length: usize) -> String {
    let bytes = std::iter::repeat_with(rand::random::<u8>).take(length / 2);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
