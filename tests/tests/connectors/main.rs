//! Connectors against the fake upstreams, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

mod connectwise;
mod faults;
mod http;
mod lists;
mod vendor;

use std::collections::BTreeMap;

use api::clock::Clock;
use api::connectors::{Connection, Effect, Job, Link, LinkChange, Outcome, Parsed, Report};
use api::egress::{Egress, EgressOptions};
use api::secrets::Secret;
use chrono::{DateTime, Utc};
use engine::rules::Action;
use serde_json::Value;
use uuid::Uuid;

/// The one moment of these tests.
fn now() -> DateTime<Utc> {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn clock() -> Clock {
    Clock::from_fn(now)
}

fn egress() -> Egress {
    Egress::new(EgressOptions::default()).unwrap()
}

fn connection(connector: &str, settings: Value, secrets: &[(&str, &str)]) -> Connection {
    Connection {
        id: Uuid::from_u128(7),
        workspace_id: Uuid::from_u128(1),
        name: "upstream".to_owned(),
        connector: connector.to_owned(),
        settings,
        secrets: secrets
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Secret::new(*text)))
            .collect::<BTreeMap<_, _>>(),
        allow_private: true,
        revision: 1,
        parsed: Parsed::default(),
    }
}

/// A first attempt.
fn job(operation: &str, message: &str, fields: &Value) -> Job {
    Job {
        delivery_id: Uuid::from_u128(9),
        message_id: message.to_owned(),
        correlation_id: format!("corr-{message}"),
        operation: operation.to_owned(),
        key: None,
        action: None,
        fields: fields.as_object().unwrap().clone(),
        link: None,
        unsure: false,
        attempt: 1,
        repeats: 1,
        received_at: now(),
    }
}

/// The same job once more, as the dispatcher would after this report.
fn again(job: &Job, report: &Report) -> Job {
    Job {
        attempt: job.attempt + 1,
        unsure: job.unsure || matches!(report.outcome, Outcome::Unknown(_)),
        ..job.clone()
    }
}

fn effect(report: &Report) -> Effect {
    match &report.outcome {
        Outcome::Delivered { effect, .. } => *effect,
        other => panic!("not delivered: {other:?}"),
    }
}

fn code(report: &Report) -> &str {
    &report.outcome.fault().expect("a fault").code
}

/// The ledger after a report.
fn link(report: &Report, before: Option<Link>) -> Option<Link> {
    match &report.link {
        LinkChange::Keep => before,
        LinkChange::Clear => None,
        LinkChange::Set { record, open } => Some(Link {
            record_id: record.id.clone(),
            open: *open,
        }),
    }
}

const OPEN: Option<Action> = Some(Action::Open);
const NOTE: Option<Action> = Some(Action::Note);
const CLOSE: Option<Action> = Some(Action::Close);
