//! `ticket.upsert` when the upstream misbehaves: no second ticket, no second note, no lost close.

use api::connectors::{Connector as _, Outcome};
use serde_json::json;
use tests::fakes::connectwise::Options;
use tests::fakes::{Effect as Do, Fault};

use super::connectwise::{Desk, ticket};
use super::*;

const TICKETS: &str = "POST /service/tickets";

/// Runs the job until it is delivered, as the dispatcher would; tells the outcomes on the way.
async fn until_done(desk: &Desk, first: Job) -> (Vec<&'static str>, Report) {
    let mut words = Vec::new();
    let mut job = first;
    for _ in 0..6 {
        let report = desk.run(&job).await;
        words.push(report.outcome.word());
        if matches!(report.outcome, Outcome::Delivered { .. }) {
            return (words, report);
        }
        job = again(&job, &report);
    }
    panic!("not delivered: {words:?}");
}

#[tokio::test]
async fn a_lost_reply_never_makes_two_tickets() {
    let desk = Desk::open();
    desk.fake
        .fault(Fault::new(Do::LoseReply).on("POST", "/service/tickets"));
    let (words, report) = until_done(&desk, ticket("m1", OPEN, "k", None)).await;
    assert_eq!(words, ["unknown", "delivered"]);
    assert_eq!(effect(&report), Effect::Created);
    assert_eq!(
        (desk.fake.tickets().len(), desk.fake.called(TICKETS)),
        (1, 1)
    );
    // The repeat knew its own ticket, so it wrote no note.
    assert_eq!(desk.fake.notes(1001).len(), 1);
}

#[tokio::test]
async fn a_ticket_closed_before_the_reply_was_missed_is_not_made_again() {
    let desk = Desk::open();
    desk.fake
        .fault(Fault::new(Do::LoseReply).on("POST", "/service/tickets"));
    let first = ticket("m1", OPEN, "k", None);
    let lost = desk.run(&first).await;
    desk.fake.set_status(1001, "Closed");
    let report = desk.run(&again(&first, &lost)).await;
    assert_eq!(effect(&report), Effect::Created);
    assert_eq!(desk.fake.tickets().len(), 1);
}

#[tokio::test]
async fn an_unsure_repeat_that_made_nothing_makes_it() {
    let desk = Desk::open();
    for effect in [
        Do::Cut,
        Do::Status {
            status: 503,
            retry_after: None,
        },
    ] {
        desk.fake
            .fault(Fault::new(effect).on("POST", "/service/tickets"));
        let (words, _) = until_done(&desk, ticket("m1", OPEN, "k", None)).await;
        assert_eq!(words, ["unknown", "delivered"]);
        assert_eq!(desk.fake.tickets().len(), 1);
        desk.fake.reset();
    }
}

#[tokio::test]
async fn an_older_open_ticket_is_noted_by_the_unsure_repeat() {
    let desk = Desk::open();
    desk.step("m1", OPEN, "k", &mut None).await;
    desk.fake.fault(Fault::new(Do::Cut).on("POST", "/notes"));
    let (words, report) = until_done(&desk, ticket("m2", OPEN, "k", None)).await;
    assert_eq!(
        (words, effect(&report)),
        (vec!["unknown", "delivered"], Effect::Noted)
    );
    assert_eq!(
        (desk.fake.tickets().len(), desk.fake.notes(1001).len()),
        (1, 2)
    );
}

#[tokio::test]
async fn a_lost_reply_never_doubles_a_note() {
    let desk = Desk::open();
    desk.step("m1", OPEN, "k", &mut None).await;
    desk.fake
        .fault(Fault::new(Do::LoseReply).on("POST", "/notes"));
    let (words, report) = until_done(&desk, ticket("m2", OPEN, "k", None)).await;
    assert_eq!(
        (words, effect(&report)),
        (vec!["unknown", "delivered"], Effect::Noted)
    );
    assert_eq!(desk.fake.notes(1001).len(), 2);
}

#[tokio::test]
async fn a_close_that_fails_anywhere_is_finished_without_a_second_note() {
    for (method, path) in [
        ("POST", "/notes"),
        ("GET", "/statuses"),
        ("PATCH", "/service/tickets"),
    ] {
        for effect in [
            Do::LoseReply,
            Do::Cut,
            Do::Status {
                status: 500,
                retry_after: None,
            },
        ] {
            let desk = Desk::open();
            desk.step("m1", OPEN, "k", &mut None).await;
            desk.fake.fault(Fault::new(effect.clone()).on(method, path));
            let (words, _) = until_done(&desk, ticket("m2", CLOSE, "k", None)).await;
            assert_eq!(words.len(), 2, "{method} {path} {effect:?}");
            assert_eq!(
                desk.fake.tickets()[0]["closedFlag"],
                true,
                "{method} {path} {effect:?}"
            );
            assert_eq!(desk.fake.notes(1001).len(), 2, "{method} {path} {effect:?}");
        }
    }
}

#[tokio::test]
async fn a_failed_search_is_not_an_empty_one() {
    for (fault, word) in [
        (Fault::status(500), "retry"),
        (Fault::status(503), "retry"),
        (Fault::new(Do::Cut), "retry"),
        (Fault::too_many(7), "rate_limited"),
        (Fault::status(400), "permanent"),
        (Fault::status(401), "auth_failed"),
        (Fault::status(403), "auth_failed"),
        (Fault::status(404), "auth_failed"),
    ] {
        for action in [OPEN, NOTE, CLOSE] {
            let desk = Desk::open();
            desk.fake.fault(fault.clone().on("GET", "/service/tickets"));
            let report = desk.run(&ticket("m1", action, "k", None)).await;
            assert_eq!(report.outcome.word(), word, "{fault:?}");
            assert_eq!(desk.fake.called(TICKETS), 0);
            if let Outcome::RateLimited { after, .. } = report.outcome {
                assert_eq!(after, Some(std::time::Duration::from_secs(7)));
            }
        }
    }
}

#[tokio::test]
async fn a_slow_upstream_ends_at_the_timeout() {
    let desk = Desk::with(Options::default(), json!({"timeout_seconds": 1}));
    desk.fake
        .fault(Fault::new(Do::Hang).on("POST", "/service/tickets"));
    let report = desk.run(&ticket("m1", OPEN, "k", None)).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("unknown", "timeout")
    );
    desk.fake
        .fault(Fault::new(Do::Hang).on("GET", "/service/tickets"));
    let report = desk.run(&ticket("m1", OPEN, "k", None)).await;
    assert_eq!((report.outcome.word(), code(&report)), ("retry", "timeout"));
}

#[tokio::test]
async fn refusals_name_the_fields() {
    let desk = Desk::open();
    let mut job = ticket("m1", OPEN, "k", None);
    job.fields
        .insert("board".to_owned(), "No Such Board".into());
    job.fields.insert("severity".to_owned(), "Huge".into());
    let report = desk.run(&job).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "http_400")
    );
    let message = &report.outcome.fault().unwrap().message;
    assert!(
        message.contains("board: ") && message.contains("severity: "),
        "{message}"
    );
    // What the rule lacks is known without a call.
    let desk = Desk::with(Options::default(), json!({"default_company": ""}));
    let report = desk.run(&ticket("m1", OPEN, "k", None)).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "missing_field")
    );
    assert!(desk.fake.calls().is_empty());
}

#[tokio::test]
async fn wrong_keys_are_not_a_missing_ticket() {
    for hides in [false, true] {
        let mut desk = Desk::with(
            Options {
                hides,
                ..Options::default()
            },
            json!({}),
        );
        let mut link = None;
        desk.step("m1", OPEN, "k", &mut link).await;
        desk.connection.secrets.insert(
            "private_key".to_owned(),
            api::secrets::Secret::new("0ther-key"),
        );
        for action in [OPEN, CLOSE] {
            let report = desk.run(&ticket("m2", action, "k", link.clone())).await;
            assert_eq!(report.outcome.word(), "auth_failed");
            assert_eq!(report.link, LinkChange::Keep);
            assert!(!format!("{report:?}").contains("0ther-key"));
        }
        assert_eq!(desk.fake.tickets().len(), 1);
        let test = desk.connector.test(&desk.connection).await;
        assert!(!test.ok, "{test:?}");
    }
}

#[tokio::test]
async fn nothing_is_called_that_the_connection_may_not_call() {
    let mut desk = Desk::open();
    desk.connection.allow_private = false;
    let report = desk.run(&ticket("m1", OPEN, "k", None)).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "blocked")
    );
    assert!(desk.fake.calls().is_empty());
}

#[tokio::test]
async fn the_log_of_an_attempt_has_no_credentials() {
    let desk = Desk::open();
    let mut job = ticket("m1", OPEN, "k", None);
    job.fields
        .insert("customFields.x".to_owned(), json!({"password": "hunter2"}));
    let report = desk.run(&job).await;
    let log = format!("{:?}", report.exchanges);
    assert_eq!(report.exchanges.len(), 2);
    for secret in ["private", "hunter2", "Basic ", "YWNtZS"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
