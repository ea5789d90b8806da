//! `sandbox`: an upstream that needs nothing outside.
//!
//! It records what would have been sent and answers as its settings say, so that a newcomer and a
//! test see the whole way, faults included. A record is written before the reply, and a message
//! that wrote one already is found again, so a lost reply never makes a second.

mod settings;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::model::OperationSpec;
use engine::rules::Action;
use openapi::connections::{Connector as Description, MetadataItem, Operation, TestResult};
use openapi::deliveries::Exchange;
use openapi::problem::FieldError;
use openapi::rules::PlannedRequest;
use sea_orm::DbErr;
use serde_json::{Map, Value, json};

use super::common::{
    check_map, check_names, check_settings, counted, cut, field, mask_json, millis, operation,
    read, report, tested, wrong,
};
use super::{Connection, Connector, Effect, Fault, Job, LinkChange, Outcome, RecordRef, Report};
use crate::clock::Clock;
use crate::db::Db;
use settings::{Answer, Settings};
use store::{CLOSED, OPEN, Store};

/// Name of the connector.
pub const KIND: &str = "sandbox";

const TICKET: &str = "ticket.upsert";
const REQUEST: &str = "http.request";
const MESSAGE: &str = "message.send";

/// The connector.
#[derive(Clone, Debug)]
pub struct Sandbox {
    db: Db,
    clock: Clock,
}

/// What was written, or found written already.
struct Written {
    effect: Effect,
    record: Option<RecordRef>,
    open: bool,
    /// True: an earlier attempt of the same message had written it.
    found: bool,
}

impl Sandbox {
    /// A sandbox that records into this database.
    pub const fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }
}

#[async_trait]
impl Connector for Sandbox {
    fn describe(&self) -> Description {
        Description {
            kind: KIND.to_owned(),
            title: "Sandbox".to_owned(),
            summary: "Records what would have been sent and answers as configured. Nothing leaves this server.".to_owned(),
            settings: settings::fields(),
            secrets: Vec::new(),
            operations: operations(),
            metadata: Vec::new(),
        }
    }

    fn validate(&self, settings: &Value, secrets: &[&str]) -> Vec<FieldError> {
        let mut faults = match check_settings::<Settings>(settings, &settings::fields()) {
            Ok(settings) => settings.faults(),
            Err(faults) => faults,
        };
        faults.extend(check_names(secrets, &[]));
        faults
    }

    fn validate_operation(&self, spec: &OperationSpec) -> Vec<FieldError> {
        match operations().iter().find(|o| o.name == spec.operation) {
            Some(operation) => check_map(spec, operation),
            None => vec![wrong(
                "operation",
                "unknown_operation",
                format!("the sandbox knows {TICKET}, {REQUEST} and {MESSAGE}"),
            )],
        }
    }

    fn plan(&self, connection: &Connection, job: &Job) -> Vec<PlannedRequest> {
        vec![PlannedRequest {
            connection: connection.name.clone(),
            operation: job.operation.clone(),
            method: "POST".to_owned(),
            url: address(connection, job),
            headers: Vec::new(),
            body: Some(mask_json(&sent(job))),
            note: Some("nothing is sent: the sandbox records it".to_owned()),
            fault: None,
        }]
    }

    async fn execute(&self, connection: &Connection, job: &Job) -> Report {
        let begun = Instant::now();
        let settings = match read::<Settings>(connection) {
            Ok(settings) => settings,
            Err(fault) => return report(Outcome::AuthFailed(fault), Vec::new()),
        };
        if settings.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(settings.latency_ms)).await;
        }
        let answer = settings.answer(job.attempt);
        if let Some((outcome, status)) = refusal(answer, &settings) {
            let exchange = exchange(connection, job, begun, status, outcome.fault());
            return report(outcome, vec![exchange]);
        }
        let written = match self.write(connection, job).await {
            Ok(Ok(written)) => written,
            Ok(Err(fault)) => return report(Outcome::Permanent(fault), Vec::new()),
            Err(error) => {
                let fault = Fault::new(
                    "database",
                    format!("the record could not be written: {error}"),
                    None,
                );
                return report(Outcome::Retry { after: None, fault }, Vec::new());
            }
        };
        if answer == Answer::LostReply && !written.found {
            let fault = Fault::new(
                "reset",
                "the connection was cut: the sandbox lost its reply",
                None,
            );
            let exchange = exchange(connection, job, begun, None, Some(&fault));
            return report(Outcome::Unknown(fault), vec![exchange]);
        }
        Report {
            link: match &written.record {
                Some(record) if job.operation == TICKET => LinkChange::Set {
                    record: record.clone(),
                    open: written.open,
                },
                _ => LinkChange::Keep,
            },
            outcome: Outcome::Delivered {
                effect: written.effect,
                record: written.record,
            },
            exchanges: vec![exchange(connection, job, begun, Some(200), None)],
        }
    }

    async fn test(&self, connection: &Connection) -> TestResult {
        let begun = Instant::now();
        let result = read::<Settings>(connection).and_then(|settings| {
            // As the attempts after the failing ones are answered.
            let refused = refusal(settings.answer(u32::MAX), &settings);
            match refused.as_ref().and_then(|(outcome, _)| outcome.fault()) {
                Some(fault) => Err(fault.clone()),
                None => Ok("the sandbox answers".to_owned()),
            }
        });
        tested(begun, result)
    }

    async fn metadata(
        &self,
        _: &Connection,
        _: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<Vec<MetadataItem>, Fault> {
        Err(Fault::new("unknown_list", "the sandbox has no lists", None))
    }
}

impl Sandbox {
    async fn write(
        &self,
        connection: &Connection,
        job: &Job,
    ) -> Result<Result<Written, Fault>, DbErr> {
        let ticket = match job.operation.as_str() {
            TICKET => true,
            REQUEST | MESSAGE => false,
            _ => {
                return Ok(Err(Fault::new(
                    "unknown_operation",
                    "the sandbox does not know this operation",
                    None,
                )));
            }
        };
        if ticket && job.key.is_none() {
            return Ok(Err(Fault::new(
                "missing_key",
                "ticket.upsert needs a key",
                None,
            )));
        }
        let store = Store::begin(&self.db, &self.clock, connection, job).await?;
        let written = if ticket {
            upsert(&store, job).await?
        } else {
            record(&store, job).await?
        };
        store.commit().await?;
        Ok(Ok(written))
    }
}

/// A plain record: there is nothing to follow.
async fn record(store: &Store<'_>, job: &Job) -> Result<Written, DbErr> {
    let (model, found) = match store.made().await? {
        Some(model) => (model, true),
        None => (store.insert(CLOSED, title(job)).await?, false),
    };
    Ok(written(Effect::Sent, model.number, false, found))
}

/// A small ticket system: one open record for each key.
async fn upsert(store: &Store<'_>, job: &Job) -> Result<Written, DbErr> {
    let known = store.of_key().await?;
    if let Some(model) = known
        .iter()
        .find(|model| model.message_id == job.message_id)
    {
        return Ok(written(
            Effect::Created,
            model.number,
            model.state == OPEN,
            true,
        ));
    }
    let noted = known.iter().find(|model| {
        store::notes(model)
            .iter()
            .any(|note| note.message_id == job.message_id)
    });
    let closes = job.action == Some(Action::Close);
    if let Some(model) = noted {
        let effect = if closes {
            Effect::Closed
        } else {
            Effect::Noted
        };
        return Ok(written(effect, model.number, model.state == OPEN, true));
    }
    let open = known.into_iter().find(|model| model.state == OPEN);
    match (job.action, open) {
        (Some(Action::Ignore), _) | (Some(Action::Close | Action::Note), None) => Ok(Written {
            effect: Effect::None,
            record: None,
            open: false,
            found: true,
        }),
        (_, Some(model)) => {
            let number = model.number;
            store.note(model, note_text(job, closes), closes).await?;
            let effect = if closes {
                Effect::Closed
            } else {
                Effect::Noted
            };
            Ok(written(effect, number, !closes, false))
        }
        (_, None) => {
            let model = store.insert(OPEN, counted(title(job), job.repeats)).await?;
            Ok(written(Effect::Created, model.number, true, false))
        }
    }
}

fn written(effect: Effect, number: i64, open: bool, found: bool) -> Written {
    Written {
        effect,
        record: Some(RecordRef {
            id: number.to_string(),
            url: None,
        }),
        open,
        found,
    }
}

/// The answers that come before anything is written.
fn refusal(answer: Answer, settings: &Settings) -> Option<(Outcome, Option<u16>)> {
    let fault = |code: &str, status| {
        Fault::new(code, format!("the sandbox is set to answer {code}"), status)
    };
    Some(match answer {
        Answer::Ok | Answer::LostReply => return None,
        Answer::RateLimited => (
            Outcome::RateLimited {
                after: Some(Duration::from_secs(settings.retry_after_seconds)),
                fault: fault("http_429", Some(429)),
            },
            Some(429),
        ),
        Answer::Error => (
            Outcome::Retry {
                after: None,
                fault: fault("http_500", Some(500)),
            },
            Some(500),
        ),
        Answer::Timeout => (Outcome::Unknown(fault("timeout", None)), None),
        Answer::Permanent => (Outcome::Permanent(fault("http_400", Some(400))), Some(400)),
        Answer::AuthFailed => (Outcome::AuthFailed(fault("http_401", Some(401))), Some(401)),
    })
}

fn exchange(
    connection: &Connection,
    job: &Job,
    begun: Instant,
    status: Option<u16>,
    fault: Option<&Fault>,
) -> Exchange {
    Exchange {
        method: "POST".to_owned(),
        url: address(connection, job),
        request_body: Some(cut(&mask_json(&sent(job)).to_string(), 4096)),
        status,
        response_body: None,
        error: fault
            .filter(|_| status.is_none())
            .map(|fault| fault.message.clone()),
        duration_ms: millis(begun.elapsed()),
    }
}

fn address(connection: &Connection, job: &Job) -> String {
    format!("sandbox:{}/{}", connection.name, job.operation)
}

fn sent(job: &Job) -> Value {
    json!({ "key": job.key, "action": job.action, "fields": job.fields })
}

fn title(job: &Job) -> String {
    let text = text(&job.fields, &["summary", "title", "text", "name"])
        .or_else(|| {
            let url = text(&job.fields, &["url"])?;
            let method = text(&job.fields, &["method"]).unwrap_or_else(|| "POST".to_owned());
            Some(format!("{method} {url}"))
        })
        .or_else(|| job.key.clone())
        .unwrap_or_else(|| job.operation.clone());
    cut(&text, 200)
}

fn note_text(job: &Job, closes: bool) -> String {
    let names: &[&str] = if closes {
        &["resolution", "note"]
    } else {
        &["note", "initialDescription", "description", "summary"]
    };
    let plain = if closes {
        "closed"
    } else {
        "it happened again"
    };
    let text = text(&job.fields, names).unwrap_or_else(|| plain.to_owned());
    if closes {
        text
    } else {
        counted(text, job.repeats)
    }
}

fn text(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| match fields.get(*name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        })
        .filter(|text| !text.trim().is_empty())
}

fn operations() -> Vec<Operation> {
    let line = |name, title, help| field(name, title, "string", help);
    let open = |operation: Operation| Operation {
        open_fields: true,
        ..operation
    };
    vec![
        Operation {
            needs_key: true,
            ..open(operation(
                TICKET,
                "Open, note or close a ticket",
                vec![
                    line("summary", "Summary", "The line that the record shows."),
                    field(
                        "note",
                        "Note",
                        "text",
                        "Text of the note when it happens again.",
                    ),
                    field(
                        "resolution",
                        "Resolution",
                        "text",
                        "Text of the note when it closes.",
                    ),
                ],
            ))
        },
        open(operation(
            REQUEST,
            "Record a request",
            vec![
                line("method", "Method", "Shown in the record."),
                line("url", "Address", "Shown in the record."),
                field("body", "Body", "any", "Kept in the record."),
            ],
        )),
        open(operation(
            MESSAGE,
            "Record a message",
            vec![field(
                "text",
                "Text",
                "text",
                "The line that the record shows.",
            )],
        )),
    ]
}
