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
use sea_orm::DbErr;
use tests::database::Store;
use tests::{Database, wait_until};
use tokio_util::sync::CancellationToken;

/// How often a recurring timer rings in the test.
const RINGS: usize = 8;
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
