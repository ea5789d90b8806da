//! The way of an event inside one process, on SQLite and, where it is given, on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may fail, and says what it did not run"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use api::clock::Clock;
use api::db::{Db, Location};
use api::runtime::Runtime;
use api::secrets::Secret;
use api::settings::{Given, Settings};
use entity::{
    connection, delivery, event, link, rule, sandbox_record, source, stat_hour, workspace,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

struct World {
    runtime: Runtime,
    workspace: Uuid,
    source: Uuid,
    connection: Uuid,
}

fn settings(data: &Path, url: Option<&str>) -> Settings {
    let mut settings = Settings::load(&Given::default()).unwrap().settings;
    settings.data = data.to_owned();
    settings.key_file = data.join("keys.json");
    settings.database_url = url.map(Secret::new);
    settings.retry_first_seconds = 0.05;
    settings.queue_deliveries = 8;
    settings
}

async fn start(data: &Path, url: Option<&str>, sandbox: Value, then: Value) -> World {
    let runtime = Runtime::start(settings(data, url), Clock::system())
        .await
        .unwrap();
    let db = &runtime.core().db;
    let (workspace, source, connection) =
        (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    workspace::Entity::insert(
        workspace::Model {
            id: workspace,
            slug: "main".into(),
            name: "Main".into(),
            created_at: 1,
            require_second_factor: false,
            deleting_at: None,
        }
        .into_active_model(),
    )
    .exec_without_returning(db.write())
    .await
    .unwrap();
    source::Entity::insert(source::ActiveModel {
        id: Set(source),
        workspace_id: Set(workspace),
        name: Set("S".into()),
        slug: Set("s".into()),
        kind: Set("webhook".into()),
        enabled: Set(true),
        auth: Set(r#"{"type":"none"}"#.into()),
        allow_cidrs: Set("[]".into()),
        rate_per_minute: Set(None),
        body_limit: Set(None),
        match_mode: Set("first".into()),
        on_no_match: Set(r#""keep""#.into()),
        event_id_path: Set(None),
        revision: Set(1),
        created_at: Set(1),
        updated_at: Set(1),
        ..source::ActiveModel::default()
    })
    .exec_without_returning(db.write())
    .await
    .unwrap();
    connection::Entity::insert(connection::ActiveModel {
        id: Set(connection),
        workspace_id: Set(workspace),
        name: Set("box".into()),
        connector: Set("sandbox".into()),
        settings: Set(sandbox.to_string()),
        allow_private: Set(false),
        enabled: Set(true),
        concurrency: Set(None),
        rate_per_minute: Set(None),
        retry: Set("{}".into()),
        // Each is counted here; that repeats become one has its own tests.
        coalesce: Set(false),
        state: Set("ok".into()),
        state_reason: Set(None),
        state_at: Set(1),
        revision: Set(1),
        created_at: Set(1),
        updated_at: Set(1),
        ..connection::ActiveModel::default()
    })
    .exec_without_returning(db.write())
    .await
    .unwrap();
    rule::Entity::insert(rule::ActiveModel {
        id: Set(Uuid::from_u128(4)),
        workspace_id: Set(workspace),
        source_id: Set(None),
        name: Set("R".into()),
        priority: Set(1),
        seq: Set(1),
        enabled: Set(true),
        spec: Set(json!({"then": then}).to_string()),
        revision: Set(1),
        created_at: Set(1),
        updated_at: Set(1),
    })
    .exec_without_returning(db.write())
    .await
    .unwrap();
    db.write()
        .execute_unprepared("UPDATE meta SET value = value + 1")
        .await
        .unwrap();
    runtime.core().snapshots.refresh().await.unwrap();
    World {
        runtime,
        workspace,
        source,
        connection,
    }
}

impl World {
    async fn send(&self, payload: Value) -> Uuid {
        let scope = api::scope::Scope::for_tests(self.workspace);
        let accepted = api::ingest::send_test(self.runtime.core(), scope, self.source, &payload)
            .await
            .unwrap();
        accepted.event_ids[0]
    }

    async fn count(&self, state: &str) -> u64 {
        delivery::Entity::find()
            .filter(delivery::Column::State.eq(state))
            .count(self.runtime.core().db.read())
            .await
            .unwrap()
    }

    async fn until_delivered(&self, wanted: u64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.count("delivered").await < wanted {
            assert!(
                Instant::now() < deadline,
                "not delivered in time: {}",
                self.states().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn states(&self) -> String {
        let rows = delivery::Entity::find()
            .all(self.runtime.core().db.read())
            .await
            .unwrap();
        format!(
            "{:?}",
            rows.iter()
                .map(|d| (&d.state, d.behind, &d.error))
                .collect::<Vec<_>>()
        )
    }
}

fn ticket() -> Value {
    json!([{"deliver": {
        "connection": "box", "operation": "ticket.upsert", "key": "k:{{ id }}",
        "lifecycle": {"path": "$.status", "open": ["down"], "close": ["up"]},
        "map": {"summary": "{{ id }}"}
    }}])
}

macro_rules! both {
    ($($name:ident)*) => {$(
        mod $name {
            #[actix_web::test]
            async fn sqlite() {
                let data = tempfile::tempdir().unwrap();
                super::super::$name(data.path(), None).await;
            }

            #[actix_web::test]
            async fn postgres() {
                let data = tempfile::tempdir().unwrap();
                let Some(database) = super::super::postgres().await else { return };
                super::super::$name(data.path(), Some(&database)).await;
            }
        }
    )*};
}

mod on {
    both! { a_ticket_opens_once_and_closes more_than_memory_holds_is_delivered_in_order what_fails_is_tried_again leases_of_a_dead_server_are_free_again two_processes_make_one_schema }
}

mod on_postgres {
    #[actix_web::test]
    async fn a_lost_connection_of_the_journal_costs_nobody_an_event() {
        let data = tempfile::tempdir().unwrap();
        let Some(database) = super::postgres().await else {
            return;
        };
        super::a_lost_connection_of_the_journal_costs_nobody_an_event(data.path(), &database).await;
    }
}

/// A new database on the server that the tests were given.
async fn postgres() -> Option<String> {
    let Ok(server) = std::env::var("SIGNALBOX_TEST_DATABASE_URL") else {
        assert!(
            std::env::var_os("SIGNALBOX_TEST_REQUIRE_POSTGRES").is_none(),
            "SIGNALBOX_TEST_DATABASE_URL is not set"
        );
        eprintln!("not run on PostgreSQL: SIGNALBOX_TEST_DATABASE_URL is not set");
        return None;
    };
    let name = format!("core_{}", api::ids::new(&Clock::system()).simple());
    let admin = sea_orm::Database::connect(&server).await.unwrap();
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    Some(url.to_string())
}

async fn two_processes_make_one_schema(data: &Path, url: Option<&str>) {
    let location = Location::of(data, url);
    let make = || async {
        let db = Db::open(&location, 2).await.unwrap();
        db.migrate().await.unwrap();
        workspace::Entity::find().count(db.read()).await.unwrap()
    };
    let (one, two) = tokio::join!(make(), make());
    assert_eq!((one, two), (0, 0));
}

async fn a_ticket_opens_once_and_closes(data: &Path, url: Option<&str>) {
    let world = start(data, url, json!({}), ticket()).await;
    for _ in 0..5 {
        world
            .send(json!({"id": 1, "status": "down", "msg": "x"}))
            .await;
    }
    world.send(json!({"id": 1, "status": "up"})).await;
    world.send(json!({"id": 2, "status": "other"})).await;
    world.until_delivered(7).await;
    let db = world.runtime.core().db.clone();
    let records = sandbox_record::Entity::find().all(db.read()).await.unwrap();
    assert_eq!(
        records
            .iter()
            .filter(|r| r.key.as_deref() == Some("k:1"))
            .count(),
        1
    );
    let record = records
        .iter()
        .find(|r| r.key.as_deref() == Some("k:1"))
        .unwrap();
    assert_eq!(record.state, "closed");
    let link = link::Entity::find().one(db.read()).await.unwrap().unwrap();
    assert_eq!((link.key.as_str(), link.state.as_str()), ("k:1", "closed"));
    let counted = stat_hour::Entity::find()
        .filter(stat_hour::Column::Metric.eq("delivered"))
        .filter(stat_hour::Column::Subject.eq(world.connection.to_string()))
        .all(db.read())
        .await
        .unwrap();
    assert_eq!(counted.iter().map(|c| c.value).sum::<i64>(), 7);
    assert_eq!(event::Entity::find().count(db.read()).await.unwrap(), 7);
    world.runtime.stop().await;
}

async fn more_than_memory_holds_is_delivered_in_order(data: &Path, url: Option<&str>) {
    let world = start(data, url, json!({}), ticket()).await;
    futures_util::future::join_all(
        (0..60).map(|n| world.send(json!({"id": n % 3, "status": "down"}))),
    )
    .await;
    world.until_delivered(60).await;
    let rows = delivery::Entity::find()
        .all(world.runtime.core().db.read())
        .await
        .unwrap();
    let created = rows
        .iter()
        .filter(|d| d.effect.as_deref() == Some("created"))
        .count();
    assert_eq!(created, 3);
    world.runtime.stop().await;
}

async fn a_lost_connection_of_the_journal_costs_nobody_an_event(data: &Path, url: &str) {
    let world = start(data, Some(url), json!({}), ticket()).await;
    let admin = sea_orm::Database::connect(url).await.unwrap();
    let query = |what: &str| {
        let text = format!(
            "SELECT {what} FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'signalbox journal'"
        );
        sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Postgres, text)
    };
    for n in 1..=3 {
        world.send(json!({"id": n, "status": "down"})).await;
        // So that the journal does not write when its connection ends.
        world.until_delivered(n).await;
        let ended = admin.query_all_raw(query("pg_terminate_backend(pid)"));
        assert_eq!(ended.await.unwrap().len(), 1, "the one connection it has");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !admin.query_all_raw(query("pid")).await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    world.send(json!({"id": 4, "status": "down"})).await;
    world.until_delivered(4).await;
    world.runtime.stop().await;
}

async fn what_fails_is_tried_again(data: &Path, url: Option<&str>) {
    let settings = json!({"answer": "error", "fail_first": 2});
    let world = start(data, url, settings, ticket()).await;
    world.send(json!({"id": 1, "status": "down"})).await;
    world.until_delivered(1).await;
    let row = delivery::Entity::find()
        .one(world.runtime.core().db.read())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.attempts, 3);
    world.runtime.stop().await;
}

async fn leases_of_a_dead_server_are_free_again(data: &Path, url: Option<&str>) {
    let world = start(data, url, json!({"answer": "error"}), ticket()).await;
    world.send(json!({"id": 1, "status": "down"})).await;
    let db = world.runtime.core().db.clone();
    // As a server leaves it that was killed in the middle of a call.
    let gone = Uuid::from_u128(77);
    world.runtime.stop().await;
    for statement in [
        format!(
            "UPDATE delivery SET state = 'leased', lease_owner = {}",
            quoted(&db, gone)
        ),
        format!(
            "INSERT INTO node (id, role, started_at, lease_until, config_revision) VALUES ({}, 'all', 1, 1, 1)",
            quoted(&db, gone)
        ),
        "UPDATE connection SET settings = '{}'".to_owned(),
        "UPDATE meta SET value = value + 1".to_owned(),
    ] {
        db.write().execute_unprepared(&statement).await.unwrap();
    }
    drop(db);
    let runtime = Runtime::start(settings(data, url), Clock::system())
        .await
        .expect("starts again");
    let world = World {
        runtime,
        workspace: world.workspace,
        source: world.source,
        connection: world.connection,
    };
    world.until_delivered(1).await;
    let row = delivery::Entity::find()
        .one(world.runtime.core().db.read())
        .await
        .unwrap()
        .unwrap();
    assert!(row.unsure, "a call may have been under way");
    world.runtime.stop().await;
}

fn quoted(db: &api::db::Db, id: Uuid) -> String {
    if db.is_postgres() {
        format!("'{id}'")
    } else {
        format!("x'{}'", id.simple())
    }
}
