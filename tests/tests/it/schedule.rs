//! Timers over several nodes: each is run once, whoever runs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use api::clock::Clock;
use api::core::Core;
use api::runtime::Runtime;
use api::schedule::{self, Due, Next, Task};
use api::secrets::Secret;
use api::settings::{Given, Settings};
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DbErr};
use tests::database::Store;
use tests::{Database, wait_until};
use tokio_util::sync::CancellationToken;

/// How often a recurring timer rings in the test.
const RINGS: usize = 8;
/// How long the lease of a node holds.
const LEASE_MS: i64 = 8_000;
/// Timers that ring once.
const ONCE: usize = 60;

/// Counts its runs, of all nodes together: key, and when it was due.
#[derive(Default)]
struct Book(Mutex<BTreeMap<(String, i64), Vec<usize>>>);

struct Counting {
    node: usize,
    book: Arc<Book>,
}

#[async_trait::async_trait]
impl Task for Counting {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn standing(&self, now: i64) -> Vec<(String, i64)> {
        vec![("standing".to_owned(), now)]
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let mut book = self.book.0.lock();
        book.entry((due.key.clone(), due.due_at))
            .or_default()
            .push(self.node);
        let standing = book.keys().filter(|(key, _)| key == "standing").count();
        if due.key == "standing" && standing < RINGS {
            return Ok(Next::At(core.clock.now_ms().max(due.due_at + 1)));
        }
        Ok(Next::Done)
    }
}

async fn runtime(data: &Path, url: &str) -> Runtime {
    let mut settings = Settings::load(&Given::default()).unwrap().settings;
    // What a dead node held is free soon, and a busy machine has time to renew what a live one holds.
    settings.lease_seconds = u64::try_from(LEASE_MS / 1_000).unwrap();
    settings.data = data.to_owned();
    settings.key_file = data.join("keys.json");
    settings.database_url = Some(Secret::new(url));
    Runtime::start(settings, Clock::system()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_timer_of_three_nodes_is_run_once() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let store = Store::make(db, folder.path()).await;
    let book = Arc::new(Book::default());
    let stop = CancellationToken::new();
    let (mut nodes, mut services) = (Vec::new(), Vec::new());
    for node in 0..3 {
        let runtime = runtime(folder.path(), store.url().unwrap()).await;
        let task = Counting {
            node,
            book: Arc::clone(&book),
        };
        let service = schedule::Service::new(runtime.core().clone(), vec![Arc::new(task)]);
        services.push(tokio::spawn(service.run(stop.clone())));
        nodes.push(runtime);
    }
    let core = nodes[0].core();
    let now = core.clock.now_ms();
    for n in 0..ONCE {
        let due = now + i64::try_from(n * 20).unwrap();
        schedule::set(core.db.write(), "counting", &format!("once-{n}"), due)
            .await
            .unwrap();
    }
    wait_until("every timer has rung", async || {
        let left = store
            .number("SELECT COUNT(*) FROM timer WHERE kind = 'counting'")
            .await;
        (left == 0).then_some(())
    })
    .await;
    stop.cancel();
    for service in services {
        service.await.unwrap();
    }
    for runtime in nodes {
        runtime.stop().await;
    }
    let book = book.0.lock();
    assert_eq!(book.len(), RINGS + ONCE);
    for ((key, due), runs) in book.iter() {
        assert_eq!(runs.len(), 1, "{key} of {due} was run by {runs:?}");
    }
    let busy: std::collections::BTreeSet<usize> = book.values().flatten().copied().collect();
    assert!(busy.len() > 1, "only {busy:?} did the work");
}

/// Is wished for once more in the middle of its first run.
struct Wished(Arc<Mutex<usize>>);

#[async_trait::async_trait]
impl Task for Wished {
    fn kind(&self) -> &'static str {
        "wished"
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let run = {
            let mut runs = self.0.lock();
            *runs += 1;
            *runs
        };
        if run > 1 {
            return Ok(Next::Done);
        }
        let now = core.clock.now_ms();
        schedule::wish(core.db.write(), &due.kind, &due.key, now).await?;
        assert!(schedule::holds(core.db.read(), due).await?, "it goes on");
        Ok(Next::At(now + 3_600_000))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_is_wished_for_while_it_runs_rings_again() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let store = Store::make(db, folder.path()).await;
    let runtime = runtime(folder.path(), store.url().unwrap()).await;
    let runs = Arc::new(Mutex::new(0));
    let task = Wished(Arc::clone(&runs));
    let stop = CancellationToken::new();
    let service = schedule::Service::new(runtime.core().clone(), vec![Arc::new(task)]);
    let service = tokio::spawn(service.run(stop.clone()));
    let core = runtime.core();
    let due = core.clock.now_ms() - 1_000;
    schedule::set(core.db.write(), "wished", "once", due)
        .await
        .unwrap();
    wait_until("the timer has rung again", async || {
        let left = "SELECT COUNT(*) FROM timer WHERE kind = 'wished'";
        (store.number(left).await == 0).then_some(())
    })
    .await;
    stop.cancel();
    service.await.unwrap();
    runtime.stop().await;
    assert_eq!(*runs.lock(), 2);
}

/// Has an effect that can be repeated, and does not come back on the first node.
struct Interrupted {
    node: usize,
    runs: Arc<Mutex<Vec<usize>>>,
}

#[async_trait::async_trait]
impl Task for Interrupted {
    fn kind(&self) -> &'static str {
        "interrupted"
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let effect = format!(
            "INSERT INTO effect (key) VALUES ('{}') ON CONFLICT DO NOTHING",
            due.key
        );
        core.db.write().execute_unprepared(&effect).await?;
        self.runs.lock().push(self.node);
        if self.node == 0 {
            std::future::pending::<()>().await;
        }
        Ok(Next::Done)
    }
}

/// A node on threads of its own, with what it works on.
fn node(
    data: &Path,
    url: &str,
    node: usize,
    runs: &Arc<Mutex<Vec<usize>>>,
) -> tokio::runtime::Runtime {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (data, url, runs) = (data.to_owned(), url.to_owned(), Arc::clone(runs));
    threads.spawn(async move {
        let runtime = runtime(&data, &url).await;
        let task = Interrupted { node, runs };
        let service = schedule::Service::new(runtime.core().clone(), vec![Arc::new(task)]);
        service.run(CancellationToken::new()).await;
        runtime.stop().await;
    });
    threads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_node_dies_in_the_middle_is_run_again_by_another() {
    let Some(db) = Database::postgres() else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let store = Store::make(db, folder.path()).await;
    let url = store.url().unwrap();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let first = node(folder.path(), url, 0, &runs);
    wait_until("there is a schema", async || {
        let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'node'";
        (store.number(tables).await == 1).then_some(())
    })
    .await;
    wait_until("the first node is there", async || {
        (store.number("SELECT COUNT(*) FROM node").await == 1).then_some(())
    })
    .await;
    store
        .run("CREATE TABLE effect (key text PRIMARY KEY)")
        .await;
    store
        .run(
            "INSERT INTO timer (kind, key, due_at, owner, fence, failures) \
             VALUES ('interrupted', 'once', 0, NULL, 0, 0)",
        )
        .await;
    wait_until("it is in the middle", async || {
        (runs.lock().len() == 1).then_some(())
    })
    .await;
    let second = node(folder.path(), url, 1, &runs);
    wait_until("both are there", async || {
        (store.number("SELECT COUNT(*) FROM node").await == 2).then_some(())
    })
    .await;
    // While it lives nobody takes it away, however long it takes: its row is renewed.
    let renewed = "SELECT CAST(MIN(lease_until) AS BIGINT) FROM node";
    let then = store.number(renewed).await;
    wait_until("a lease has passed", async || {
        (store.number(renewed).await > then + LEASE_MS).then_some(())
    })
    .await;
    assert_eq!(*runs.lock(), [0]);

    // As a kill does: nothing is written, nothing is given back.
    first.shutdown_background();
    wait_until("the timer has rung", async || {
        let left = "SELECT COUNT(*) FROM timer WHERE kind = 'interrupted'";
        (store.number(left).await == 0).then_some(())
    })
    .await;
    assert_eq!(*runs.lock(), [0, 1], "once more, by the other");
    assert_eq!(store.number("SELECT COUNT(*) FROM effect").await, 1);
    second.shutdown_background();
}
