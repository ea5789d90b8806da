//! The sandbox on SQLite, and on PostgreSQL where a server is given.

use ::entity::sandbox_record::{Entity, Model};
use sea_orm::{ConnectionTrait as _, EntityTrait as _};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::connectors::Parsed;
use crate::db::Location;

/// A database that is gone after the test.
struct Scratch {
    db: Db,
    _folder: Option<TempDir>,
}

/// One empty database of each kind. PostgreSQL is left out, and that is said, where none is given.
async fn databases(test: &str) -> Vec<Scratch> {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("test.db"));
    let mut all = vec![Scratch {
        db: Db::open(&location, 2).await.unwrap(),
        _folder: Some(folder),
    }];
    match std::env::var("SIGNALBOX_TEST_DATABASE_URL") {
        Err(_) => eprintln!("not run on PostgreSQL: SIGNALBOX_TEST_DATABASE_URL is not set"),
        Ok(url) => {
            let name = format!("sandbox_{test}_{}", std::process::id());
            let server = Db::open(&Location::Postgres(url.clone()), 1).await.unwrap();
            server
                .write()
                .execute_unprepared(&format!("DROP DATABASE IF EXISTS {name}"))
                .await
                .unwrap();
            server
                .write()
                .execute_unprepared(&format!("CREATE DATABASE {name}"))
                .await
                .unwrap();
            let mut own = url::Url::parse(&url).unwrap();
            own.set_path(&name);
            all.push(Scratch {
                db: Db::open(&Location::Postgres(own.to_string()), 8)
                    .await
                    .unwrap(),
                _folder: None,
            });
        }
    }
    for scratch in &all {
        scratch.db.migrate().await.unwrap();
    }
    all
}

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn connection(settings: Value) -> Connection {
    Connection {
        id: Uuid::from_u128(7),
        workspace_id: Uuid::from_u128(1),
        name: "demo".to_owned(),
        connector: KIND.to_owned(),
        settings,
        secrets: BTreeMap::new(),
        allow_private: false,
        revision: 1,
        parsed: Parsed::default(),
    }
}

fn job(message: &str, action: Action) -> Job {
    Job {
        delivery_id: Uuid::nil(),
        message_id: message.to_owned(),
        correlation_id: "corr".to_owned(),
        operation: TICKET.to_owned(),
        key: Some("kuma:1".to_owned()),
        action: Some(action),
        fields: json!({"summary": "down", "token": "t0p"})
            .as_object()
            .unwrap()
            .clone(),
        link: None,
        unsure: false,
        attempt: 1,
        repeats: 1,
        received_at: now(),
    }
}

async fn records(db: &Db) -> Vec<Model> {
    Entity::find().all(db.read()).await.unwrap()
}

fn effect(report: &Report) -> Option<Effect> {
    match &report.outcome {
        Outcome::Delivered { effect, .. } => Some(*effect),
        _ => None,
    }
}

#[tokio::test]
async fn a_ticket_opens_is_noted_closes_and_opens_anew() {
    for scratch in databases("life").await {
        let sandbox = Sandbox::new(scratch.db.clone(), Clock::from_fn(now));
        let connection = connection(json!({}));
        for (message, action, expected, number, open) in [
            ("m0", Action::Close, Effect::None, None, false),
            ("m1", Action::Open, Effect::Created, Some("1"), true),
            ("m2", Action::Open, Effect::Noted, Some("1"), true),
            ("m3", Action::Note, Effect::Noted, Some("1"), true),
            ("m4", Action::Close, Effect::Closed, Some("1"), false),
            ("m5", Action::Note, Effect::None, None, false),
            ("m6", Action::Open, Effect::Created, Some("2"), true),
        ] {
            let report = sandbox.execute(&connection, &job(message, action)).await;
            assert_eq!(effect(&report), Some(expected), "{message}");
            match (&report.link, number) {
                (LinkChange::Keep, None) => {}
                (LinkChange::Set { record, open: seen }, Some(number)) => {
                    assert_eq!((record.id.as_str(), *seen), (number, open), "{message}");
                }
                other => panic!("{message}: {other:?}"),
            }
            assert!(!format!("{:?}", report.exchanges).contains("t0p"));
        }
        let all = records(&scratch.db).await;
        assert_eq!(
            all.iter().map(|r| r.state.as_str()).collect::<Vec<_>>(),
            [CLOSED, OPEN]
        );
        assert_eq!(store::notes(&all[0]).len(), 3);
    }
}

#[tokio::test]
async fn a_lost_reply_makes_no_second_record_and_no_second_note() {
    for scratch in databases("lost").await {
        let sandbox = Sandbox::new(scratch.db.clone(), Clock::from_fn(now));
        let connection = connection(json!({"answer": "lost_reply"}));
        for (message, action, expected) in [
            ("m1", Action::Open, Effect::Created),
            ("m2", Action::Open, Effect::Noted),
            ("m3", Action::Close, Effect::Closed),
        ] {
            let lost = sandbox.execute(&connection, &job(message, action)).await;
            assert_eq!(lost.outcome.word(), "unknown");
            let again = Job {
                unsure: true,
                attempt: 2,
                ..job(message, action)
            };
            let found = sandbox.execute(&connection, &again).await;
            assert_eq!(effect(&found), Some(expected));
        }
        let all = records(&scratch.db).await;
        assert_eq!(all.len(), 1);
        assert_eq!(store::notes(&all[0]).len(), 2);
    }
}

#[tokio::test]
async fn plain_records_are_made_once_for_each_message() {
    for scratch in databases("plain").await {
        let sandbox = Sandbox::new(scratch.db.clone(), Clock::from_fn(now));
        let connection = connection(json!({}));
        for message in ["m1", "m1", "m2"] {
            let job = Job {
                operation: REQUEST.to_owned(),
                key: None,
                ..job(message, Action::Open)
            };
            let report = sandbox.execute(&connection, &job).await;
            assert_eq!(effect(&report), Some(Effect::Sent));
            assert_eq!(report.link, LinkChange::Keep);
        }
        let numbers: Vec<i64> = records(&scratch.db)
            .await
            .iter()
            .map(|r| r.number)
            .collect();
        assert_eq!(numbers, [1, 2]);
    }
}

#[tokio::test]
async fn numbers_are_unique_under_concurrency() {
    for scratch in databases("many").await {
        let sandbox = Sandbox::new(scratch.db.clone(), Clock::from_fn(now));
        let connection = connection(json!({}));
        let jobs: Vec<Job> = (0..40)
            .map(|n| Job {
                operation: MESSAGE.to_owned(),
                key: None,
                ..job(&format!("m{n}"), Action::Open)
            })
            .collect();
        let reports = futures_util::future::join_all(
            jobs.iter().map(|job| sandbox.execute(&connection, job)),
        )
        .await;
        assert!(
            reports
                .iter()
                .all(|report| effect(report) == Some(Effect::Sent))
        );
        let mut numbers: Vec<i64> = records(&scratch.db)
            .await
            .iter()
            .map(|r| r.number)
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn it_answers_as_configured() {
    let all = databases("answers").await;
    let sandbox = Sandbox::new(all[0].db.clone(), Clock::from_fn(now));
    for (answer, word) in [
        ("ok", "delivered"),
        ("rate_limited", "rate_limited"),
        ("error", "retry"),
        ("timeout", "unknown"),
        ("permanent", "permanent"),
        ("auth_failed", "auth_failed"),
    ] {
        let message = format!("m-{answer}");
        let failing =
            connection(json!({"answer": answer, "fail_first": 2, "retry_after_seconds": 7}));
        for attempt in 1..=3 {
            let job = Job {
                attempt,
                ..job(&message, Action::Open)
            };
            let report = sandbox.execute(&failing, &job).await;
            let expected = if attempt == 3 { "delivered" } else { word };
            assert_eq!(report.outcome.word(), expected, "{answer} {attempt}");
            if let Outcome::RateLimited { after, .. } = report.outcome {
                assert_eq!(after, Some(Duration::from_secs(7)));
            }
        }
        assert!(sandbox.test(&failing).await.ok);
        let always = connection(json!({"answer": answer}));
        assert_eq!(sandbox.test(&always).await.ok, answer == "ok", "{answer}");
    }
    assert_eq!(
        sandbox.validate(&json!({"answer": "maybe"}), &[])[0].field,
        "settings.answer"
    );
    assert_eq!(sandbox.validate(&json!({"fail_last": 1}), &["x"]).len(), 2);
}
