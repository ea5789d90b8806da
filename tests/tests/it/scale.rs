//! Pages and numbers over many rows: every query of a request or of the hot path reads an index, and
//! none takes longer for what has ended.

use std::time::{Duration, Instant};

use api::scope::Scope;
use api::services::cursor::Window;
use api::services::deliveries::{self, DeliveryFilter};
use api::services::events::{self, EventFilter};
use api::services::{connections, queue};
use api::{dispatch, journal, retention};
use openapi::deliveries::{Delivery, State};
use openapi::events::EventSummary;
use openapi::page::Page;
use openapi::stats::Stats;
use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DatabaseConnection, EntityTrait, QueryFilter as _,
    QueryTrait as _, Select, Statement, Value,
};
use serde_json::json;
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both, wait_until};
use uuid::Uuid;

use crate::support::all;

/// How long before the workspace the first row was made, in milliseconds: longer than there are rows,
/// and not so long that they are old.
const EARLIER: i64 = 3 * 24 * 3_600_000;
/// Rows among which all that is open, dead or unrouted lies, twice as many as a page looks at.
const OLD: i64 = 40_000;
/// Rows in the end; the rest has ended well.
const MANY: i64 = 200_000;

fn to(sink: &FakeSink) -> File {
    File::new()
        .http("sink", &sink.url)
        .source("a")
        .rule("r", json!([]), json!([copy_to("sink")]))
}

/// A server, its upstream, and when the first row was made.
async fn server(db: tests::Database) -> (Server, FakeSink, i64) {
    let sink = FakeSink::start().await.unwrap();
    let server = Server::start(db).await;
    server.apply(&to(&sink).text()).await;
    let made = "SELECT created_at FROM workspace";
    let base = server.store.number(made).await - EARLIER;
    (server, sink, base)
}

/// The id of row `n`, which was made `n` seconds after the first, as an expression.
fn id(backend: DatabaseBackend, base: i64) -> String {
    match backend {
        DatabaseBackend::Postgres => format!(
            "(lpad(to_hex({base} + n * 1000), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"
        ),
        _ => format!("unhex(printf('%012x70008000%012x', {base} + n * 1000, n))"),
    }
}

/// A moment as an address names it.
fn moment(ms: i64) -> String {
    let at = openapi::DateTime::from_timestamp_millis(ms).unwrap();
    at.to_rfc3339().replace("+00:00", "Z")
}

/// Adds an event with a delivery and an attempt for each number from `from` to `to`.
async fn fill(db: &DatabaseConnection, base: i64, from: i64, to: i64) {
    let backend = db.get_database_backend();
    let id = id(backend, base);
    let (numbers, body) = match backend {
        DatabaseBackend::Postgres => (
            format!("WITH s AS (SELECT n FROM generate_series({from}::bigint, {to}) AS n)"),
            "'\\x7b7d'::bytea",
        ),
        _ => (
            format!(
                "WITH RECURSIVE s(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n < {to})"
            ),
            "x'7b7d'",
        ),
    };
    let (workspace, source, connection) = (
        "(SELECT id FROM workspace LIMIT 1)",
        "(SELECT id FROM source WHERE slug = 'a')",
        "(SELECT id FROM connection WHERE name = 'sink')",
    );
    let at = format!("{base} + n * 1000");
    // Far beyond the end of the test, so that nothing of it is sent.
    let never = i64::MAX / 4;
    for text in [
        format!(
            "{numbers} INSERT INTO event (id, workspace_id, source_id, received_at, correlation_id, \
             idempotency_key, disposition, reason, method, content_type, query, remote_addr, headers, body, \
             test, title, matched) SELECT {id}, {workspace}, {source}, {at}, 'request ' || n, 'key ' || n, \
             CASE WHEN n < {OLD} AND n % 4000 = 5 THEN 'unrouted' ELSE 'routed' END, '', 'POST', \
             'application/json', '', '', '[]', {body}, FALSE, 'title ' || n, '' FROM s"
        ),
        format!(
            "{numbers} INSERT INTO delivery (id, workspace_id, event_id, correlation_id, received_at, rule_name, \
             rule_revision, step, connection_id, operation, fields, message_id, state, behind, due_at, fence, \
             attempts, unsure, error_code, created_at, updated_at, finished_at) SELECT {id}, {workspace}, {id}, \
             '', {at}, 'r', 1, 0, {connection}, 'http.request', '{{}}', 'msg', CASE \
             WHEN n >= {OLD} THEN 'delivered' WHEN n % 1000 = 7 THEN 'retrying' WHEN n % 4000 = 8 THEN 'held' \
             WHEN n % 1000 = 9 THEN 'dead' ELSE 'delivered' END, FALSE, {never}, 0, 1, FALSE, NULL, {at}, {at}, \
             {at} FROM s"
        ),
        format!(
            "{numbers} INSERT INTO attempt (id, workspace_id, delivery_id, number, started_at, duration_ms, \
             outcome, exchanges) SELECT {id}, {workspace}, {id}, 1, {at}, 1, 'delivered', '[]' FROM s"
        ),
    ] {
        db.execute_unprepared(&text).await.unwrap();
    }
    // SQLite plans without statistics, as it does in a server.
    if backend == DatabaseBackend::Postgres {
        db.execute_unprepared("ANALYZE").await.unwrap();
    }
}

/// How the database would run a query.
async fn plan(db: &DatabaseConnection, query: &str, values: Vec<Value>) -> String {
    let backend = db.get_database_backend();
    let explain = match backend {
        DatabaseBackend::Postgres => format!("EXPLAIN {query}"),
        _ => format!("EXPLAIN QUERY PLAN {query}"),
    };
    let statement = Statement::from_sql_and_values(backend, explain, values);
    let rows = db.query_all_raw(statement).await.unwrap();
    let lines = rows.iter().map(|row| match backend {
        DatabaseBackend::Postgres => row.try_get_by_index::<String>(0).unwrap(),
        _ => row.try_get::<String>("", "detail").unwrap(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a plan may not do: read a whole table, or the whole of an index that holds every row of one.
fn fault(plan: &str) -> Option<String> {
    let partial = [
        "delivery_due",
        "delivery_dead",
        "delivery_parked",
        "delivery_lane",
    ];
    let whole = |line: &str| {
        let scanned = line.trim().strip_prefix("SCAN ");
        let scanned = scanned.and_then(|rest| rest.split(' ').next());
        let table = matches!(
            scanned,
            Some("delivery" | "event" | "attempt" | "d" | "e" | "a" | "h")
        );
        let read = ["event", "delivery", "attempt"]
            .iter()
            .any(|table| line.contains(&format!("Seq Scan on {table}")));
        read || table && !partial.iter().any(|index| line.contains(index))
    };
    plan.lines().find(|line| whole(line)).map(str::to_owned)
}

/// The id down to which a page looks, which is asked for before the page.
async fn lowest<E: EntityTrait>(
    db: &DatabaseConnection,
    floor: Option<&Select<E>>,
) -> Option<Uuid> {
    let query = floor?.clone().into_tuple::<Uuid>();
    query.one(db).await.unwrap()
}

fn window() -> Window {
    Window {
        before: Some(Uuid::max()),
        limit: 50,
    }
}

both! {
    async fn every_hot_query_reads_an_index(db) {
        let (server, _sink, base) = server(db).await;
        let db = server.store.connect().await;
        let backend = db.get_database_backend();
        fill(&db, base, 1, OLD).await;
        let one = |query: &str| {
            let statement = Statement::from_string(backend, query);
            let db = &db;
            async move { db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index::<Uuid>(0).unwrap() }
        };
        let workspace = one("SELECT id FROM workspace LIMIT 1").await;
        let source = one("SELECT id FROM source WHERE slug = 'a'").await;
        let connection = one("SELECT id FROM connection WHERE name = 'sink'").await;
        let scope = Scope::for_tests(workspace);
        let of_id = || Value::from(connection);
        let now = || Value::from(base);
        let plain = |query: String, values: Vec<Value>| ("", query, values);
        let postgres = backend == DatabaseBackend::Postgres;
        let marks = |count: usize| -> Vec<String> {
            (1..=count).map(|n| if postgres { format!("${n}") } else { "?".to_owned() }).collect()
        };
        let key = if postgres { "($1::uuid, $2::text)" } else { "(?, ?)" };
        let third = if postgres { "$3::bigint" } else { "?" };
        let lane = || vec![of_id(), Value::from("lane")];
        let lock = if postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        // What is asked for, its text, its values.
        let mut queries = vec![
            plain(queue::waiting_query(true), vec![workspace.into()]),
            plain(queue::waiting_query(false), vec![]),
            plain(queue::nowhere_query(true), vec![Uuid::nil().into(), workspace.into()]),
            plain(queue::nowhere_query(false), vec![Uuid::nil().into()]),
            plain(queue::dead_query(true).to_owned(), vec![workspace.into()]),
            plain(queue::dead_query(false).to_owned(), vec![]),
            plain(deliveries::open_query(&[State::Retrying], false), vec![workspace.into()]),
            plain(deliveries::open_query(&[State::Ready, State::Held], true), vec![workspace.into(), of_id()]),
            plain(dispatch::due_query(), vec![now()]),
            plain(journal::known_query(key), lane()),
            plain(journal::occupied_query(key), lane()),
            plain(journal::parked_query(key), lane()),
            plain(journal::first_aside_query(key), lane()),
            plain(journal::release_query(key, third), vec![of_id(), "lane".into(), now()]),
        ];
        for state in ["ready", "retrying", "paused"] {
            let values = vec![of_id(), now(), of_id(), now(), Value::from(9_i64)];
            queries.push(plain(dispatch::claim_query(state, lock), values));
        }
        for state in ["ready", "retrying"] {
            let values = vec![of_id(), now(), now(), Value::from(9_i64)];
            queries.push(plain(dispatch::set_aside_query(state, lock), values));
        }
        let limits = if postgres { "($1::uuid, $2::uuid, $3::bigint)" } else { "(?, ?, ?)" };
        let rest = &marks(6)[3..];
        queries.push(plain(
            retention::queries::attempts(limits, (&rest[0], &rest[1], &rest[2])),
            vec![workspace.into(), Uuid::max().into(), now(), Uuid::nil().into(), Uuid::max().into(), Value::from(9_i64)],
        ));
        let built = |statement: Statement| ("", statement.to_string(), Vec::new());
        let words = |q: &str| EventFilter { words: Some(q.to_owned()), ..EventFilter::default() };
        let after = |n: i64| openapi::DateTime::from_timestamp_millis(base + n * 1000);
        for filter in [
            EventFilter::default(),
            words("title 7"),
            EventFilter { disposition: Some("unrouted".to_owned()), ..EventFilter::default() },
            EventFilter { rule: Some("r".to_owned()), ..EventFilter::default() },
            EventFilter { from: after(50), to: after(90), ..EventFilter::default() },
        ] {
            for source in [None, Some(source)] {
                let look = events::look(backend, scope, &filter, source, &[], window()).unwrap();
                let page = match lowest(&db, look.floor.as_ref()).await {
                    Some(id) => look.page.filter(sea_orm::ColumnTrait::gte(&entity::event::Column::Id, id)),
                    None => look.page,
                };
                queries.push(("sorted", page.build(backend).to_string(), Vec::new()));
                queries.extend(look.floor.map(|floor| ("sorted", floor.build(backend).to_string(), Vec::new())));
            }
        }
        let named = words(&Uuid::max().to_string());
        let look = events::look(backend, scope, &named, None, &[Uuid::max()], window()).unwrap();
        queries.push(built(look.page.build(backend)));
        let by_name = events::by_name(scope, &named, [source].into_iter());
        queries.extend(by_name.into_iter().map(|query| built(query.build(backend))));
        queries.push(("sorted", events::of_request(scope, &named, Uuid::nil()).build(backend).to_string(), Vec::new()));
        queries.push(built(deliveries::of_event(Uuid::max()).build(backend)));
        queries.push(built(deliveries::parked_nowhere(scope).build(backend)));
        let of_state = |state| DeliveryFilter { states: vec![state], ..DeliveryFilter::default() };
        for (filter, connection) in [
            (DeliveryFilter::default(), None),
            (DeliveryFilter::default(), Some(connection)),
            (DeliveryFilter { key: Some("lane".to_owned()), ..DeliveryFilter::default() }, None),
            (of_state(State::Delivered), None),
            (of_state(State::Dead), None),
            (of_state(State::Dead), Some(connection)),
            (DeliveryFilter { rule: Some(Uuid::nil()), ..of_state(State::Dead) }, None),
            (DeliveryFilter { error_code: Some("x".to_owned()), ..of_state(State::Dead) }, None),
        ] {
            let look = deliveries::look(scope, &filter, connection, None, window());
            let page = match lowest(&db, look.floor.as_ref()).await {
                Some(id) => look.page.filter(sea_orm::ColumnTrait::gte(&entity::delivery::Column::Id, id)),
                None => look.page,
            };
            queries.push(("sorted", page.build(backend).to_string(), Vec::new()));
            queries.extend(look.floor.map(|floor| ("sorted", floor.build(backend).to_string(), Vec::new())));
        }
        let few = deliveries::look(scope, &of_state(State::Retrying), None, Some(&[Uuid::max()]), window());
        queries.push(built(few.page.build(backend)));
        queries.push(built(connections::open_query(scope, connection).build(backend)));
        for (order, query, values) in queries {
            let plan = plan(&db, &query, values).await;
            if let Some(line) = fault(&plan) {
                panic!("{line}\nis in the plan of\n{query}\n{plan}");
            }
            // What comes out of an index in its order is read as far as the page goes.
            let sorts = plan.contains("TEMP B-TREE FOR ORDER BY") || plan.contains("Sort");
            assert!(order.is_empty() || !sorts, "sorted by hand:\n{query}\n{plan}");
        }
        db.close().await.unwrap();
    }

    async fn pages_are_as_quick_over_many_rows(db) {
        let (server, _sink, base) = server(db).await;
        let db = server.store.connect().await;
        let client = server.client();
        fill(&db, base, 1, OLD).await;
        let paths = [
            "/api/v1/stats",
            "/api/v1/events",
            "/api/v1/events?disposition=unrouted",
            "/api/v1/events?rule=nobody",
            "/api/v1/events?q=title%2012345678",
            "/api/v1/events?q=key%2017",
            &format!("/api/v1/events?source=a&to={}", moment(base + 5_000_000)),
            "/api/v1/deliveries",
            "/api/v1/deliveries?state=retrying",
            "/api/v1/deliveries?state=held,parked",
            "/api/v1/deliveries?key=nobody",
            "/api/v1/dead-letters",
            "/api/v1/dead-letters/list",
        ];
        let before = best(&client, &paths).await;
        fill(&db, base, OLD + 1, MANY).await;
        let after = best(&client, &paths).await;
        for (path, (before, after)) in paths.iter().zip(before.iter().zip(&after)) {
            println!("{path}: {before:?} over {OLD} rows, {after:?} over {MANY}");
        }
        // Five times the rows; whatever reads them all takes about that much longer.
        for (path, (before, after)) in paths.iter().zip(before.iter().zip(&after)) {
            assert!(*after < *before * 5 / 2, "{path}: {before:?} over {OLD} rows, {after:?} over {MANY}");
        }

        // A page that found nothing goes on, and nothing is missed in the end.
        let path = "/api/v1/events?disposition=unrouted";
        let first: Page<EventSummary> = client.read(path).await;
        assert!(first.items.is_empty() && first.next_cursor.is_some());
        assert_eq!(all::<EventSummary>(&client, path).await.len(), 10);
        for (state, count) in [("retrying", 40), ("held", 10), ("retrying,held", 50), ("dead", 40)] {
            let first: Page<Delivery> = client.read(&format!("/api/v1/deliveries?state={state}&limit=30")).await;
            assert_eq!((first.items.len(), first.next_cursor.is_some()), (count.min(30), count > 30), "{state}");
            let rows: Vec<Delivery> = all(&client, &format!("/api/v1/deliveries?state={state}")).await;
            assert_eq!(rows.len(), count, "{state}");
            assert!(rows.is_sorted_by(|a, b| a.id > b.id), "{state}");
        }
        // Names are found wherever they are.
        let event: Page<EventSummary> = client.read("/api/v1/events?q=key%2017").await;
        let [event] = event.items.as_slice() else { panic!("{event:?}") };
        assert_eq!(event.title, "title 17");
        let by_id: Page<EventSummary> = client.read(&format!("/api/v1/events?q={}", event.id)).await;
        assert_eq!(by_id.items, std::slice::from_ref(event));
        let stats: Stats = client.read("/api/v1/stats").await;
        assert_eq!((stats.queue.depth, stats.queue.held, stats.queue.dead), (50, 10, 40));
        let oldest = stats.queue.oldest_seconds.unwrap();
        assert!(oldest > 60 * 60 * 24, "{oldest}");
        db.close().await.unwrap();
    }

    async fn times_are_places_in_the_list_whatever_the_clock_did(db) {
        let (server, _sink, base) = server(db).await;
        let db = server.store.connect().await;
        fill(&db, base, 1, 20).await;
        let backend = db.get_database_backend();
        // Its body came two seconds after it began.
        let slow = id(backend, base).replace("n * 1000", "n * 1000 + 2000");
        db.execute_unprepared(&format!(
            "UPDATE event SET id = (SELECT {slow} FROM (SELECT 10 AS n) AS s), title = 'slow' WHERE title = 'title 10'"
        )).await.unwrap();
        // It came while the clock had been set back by an hour.
        db.execute_unprepared("UPDATE event SET received_at = received_at - 3600000, title = 'back' WHERE title = 'title 15'")
            .await.unwrap();
        let client = server.client();
        let at = |ms: i64| moment(base + ms);
        let between = async |from: i64, to: i64| -> Vec<String> {
            let events: Page<EventSummary> = client.read(&format!("/api/v1/events?from={}&to={}", at(from), at(to))).await;
            events.items.into_iter().map(|event| event.title).collect()
        };
        assert_eq!(between(9_500, 11_000).await, ["slow"]);
        assert_eq!(between(11_000, 12_500).await, ["title 12", "title 11"]);
        assert_eq!(between(10_500, 12_500).await, ["title 12", "title 11"], "it began before");
        // Pieces of time that follow each other have each event once.
        let mut seen = Vec::new();
        for minutes in -90..10 {
            let from = minutes * 60_000;
            seen.extend(between(from, from + 60_000).await);
        }
        assert_eq!(seen.len(), 20, "{seen:?}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 20, "{seen:?}");
        db.close().await.unwrap();
    }

    async fn what_waits_rightly_is_not_old(db) {
        let (server, sink, base) = server(db).await;
        // What waits while no window is open is let go.
        let schedule = json!({ "kind": "daily", "start": "00:00", "end": "00:00" });
        server.apply(&to(&sink).window("always", json!({ "schedule": schedule })).text()).await;
        let db = server.store.connect().await;
        fill(&db, base, 1, 3).await;
        let client = server.client();
        let number = async |name: &str| -> Option<i64> {
            let text = client.get("/metrics").await.text();
            let name = format!("signalbox_{name}{{workspace=\"main\",connection=\"sink\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse().unwrap())
        };
        db.execute_unprepared("UPDATE delivery SET state = 'windowed' WHERE finished_at IS NOT NULL").await.unwrap();
        wait_until("the queue is read", async || (number("connection_queue").await == Some(3)).then_some(())).await;
        assert_eq!(number("connection_oldest_seconds").await, Some(0));
        db.execute_unprepared("UPDATE delivery SET state = 'retrying'").await.unwrap();
        wait_until("its age is told", async || number("connection_oldest_seconds").await.filter(|age| *age > 0)).await;
        db.close().await.unwrap();
    }
}

/// The best of a few calls of each: what it takes when nobody else is in the way.
async fn best(client: &Client, paths: &[&str]) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; paths.len()];
    for _ in 0..12 {
        for (path, best) in paths.iter().zip(&mut best) {
            let begun = Instant::now();
            client.get(path).await.done();
            *best = begun.elapsed().min(*best);
        }
    }
    best
}
