//! `http`: any HTTP upstream.
//!
//! At least once: a request whose answer was lost is reported as unknown and sent again with the
//! same `webhook-id`, by which the upstream can tell. Nothing is remembered between attempts.

mod request;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use engine::model::OperationSpec;
use openapi::connections::{Connector as Description, MetadataItem, TestResult};
use openapi::problem::FieldError;
use openapi::rules::PlannedRequest;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::common::{
    Answer, Caller, Failure, check_map, check_names, check_settings, cut, field, mask_json,
    mask_url, operation, read, report, retry_after, tested, wrong,
};
use super::{Connection, Connector, Effect, Fault, Job, Outcome, Report};
use crate::clock::Clock;
use crate::egress::{Egress, EgressFault};
use request::{Prepared, Unprepared, prepare};
use settings::Settings;

/// Name of the connector.
pub const KIND: &str = "http";

/// Its one operation.
pub const REQUEST: &str = "http.request";
/// The status that says so of a request that goes round.
const LOOP: u16 = 508;

/// The connector.
#[derive(Clone, Debug)]
pub struct Http {
    egress: Egress,
    clock: Clock,
}

impl Http {
    /// A connector that calls through this egress; the clock tells the time of signatures.
    pub const fn new(egress: Egress, clock: Clock) -> Self {
        Self { egress, clock }
    }
}

#[async_trait]
impl Connector for Http {
    fn describe(&self) -> Description {
        Description {
            kind: KIND.to_owned(),
            title: "HTTP".to_owned(),
            summary: "Sends requests to any HTTP service, signed by Standard Webhooks if a signing secret is stored.".to_owned(),
            settings: settings::fields(),
            secrets: settings::secrets(),
            operations: vec![operation(
                REQUEST,
                "Send a request",
                vec![
                    field("method", "Method", "string", "Instead of the connection's."),
                    field("url", "Address", "string", "Instead of the connection's; may be relative to it."),
                    field("headers", "Headers", "map", "Added to the connection's. One header: headers.NAME."),
                    field("query", "Query", "map", "Added to the address. One value: query.NAME."),
                    field("body", "Body", "any", "JSON as it is, or a text. One member: body.NAME."),
                    field("content_type", "Content type", "string", "Instead of the connection's."),
                    field("params", "Parameters", "map", "For the templates of the connection. One value: params.NAME."),
                ],
            )],
            metadata: Vec::new(),
        }
    }

    fn validate(&self, settings: &Value, secrets: &[&str]) -> Vec<FieldError> {
        let mut faults = match check_settings::<Settings>(settings, &settings::fields()) {
            Ok(settings) => settings.faults(secrets),
            Err(faults) => faults,
        };
        faults.extend(check_names(secrets, &settings::secrets()));
        faults
    }

    fn validate_operation(&self, spec: &OperationSpec) -> Vec<FieldError> {
        let description = self.describe();
        match description
            .operations
            .iter()
            .find(|o| o.name == spec.operation)
        {
            Some(operation) => check_map(spec, operation),
            None => vec![wrong(
                "operation",
                "unknown_operation",
                format!("the http connector has only {REQUEST}"),
            )],
        }
    }

    fn plan(&self, connection: &Connection, job: &Job) -> Vec<PlannedRequest> {
        let planned = read::<Settings>(connection)
            .map_err(Unprepared::Connection)
            .and_then(|settings| prepare(connection, &settings, job, self.clock.now()));
        vec![match planned {
            Ok(request) => show(connection, job, &request),
            Err(Unprepared::Rule(fault) | Unprepared::Connection(fault)) => {
                refused(connection, job, fault)
            }
        }]
    }

    async fn execute(&self, connection: &Connection, job: &Job) -> Report {
        let settings = match read::<Settings>(connection) {
            Ok(settings) => settings,
            Err(fault) => return report(Outcome::AuthFailed(fault), Vec::new()),
        };
        if job.operation != REQUEST {
            let fault = Fault::new(
                "unknown_operation",
                "the http connector does not know this operation",
                None,
            );
            return report(Outcome::Permanent(fault), Vec::new());
        }
        let request = match prepare(connection, &settings, job, self.clock.now()) {
            Ok(request) => request,
            Err(Unprepared::Rule(fault)) => return report(Outcome::Permanent(fault), Vec::new()),
            Err(Unprepared::Connection(fault)) => {
                return report(Outcome::AuthFailed(fault), Vec::new());
            }
        };
        let own_origin = request.own_origin;
        let mut caller = Caller::new(&self.egress, connection.allow_private, settings.timeout());
        let result = caller
            .call(request.method, request.url, request.headers, request.body)
            .await;
        let outcome = match judge(&settings, result, self.clock.now()) {
            // Our credentials were not even shown there: no reason to pause the connection.
            Outcome::AuthFailed(fault) if !own_origin => Outcome::Permanent(fault),
            outcome => outcome,
        };
        report(outcome, caller.into_exchanges())
    }

    async fn test(&self, connection: &Connection) -> TestResult {
        let begun = Instant::now();
        tested(begun, self.try_out(connection).await)
    }

    async fn metadata(
        &self,
        _: &Connection,
        _: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<Vec<MetadataItem>, Fault> {
        Err(Fault::new(
            "unknown_list",
            "the http connector has no lists",
            None,
        ))
    }
}

impl Http {
    async fn try_out(&self, connection: &Connection) -> Result<String, Fault> {
        let mut settings = Settings::clone(&*read::<Settings>(connection)?);
        settings.body = None;
        let job = Job {
            delivery_id: Uuid::nil(),
            message_id: "test".to_owned(),
            correlation_id: "test".to_owned(),
            operation: REQUEST.to_owned(),
            key: None,
            action: None,
            fields: Map::from_iter([("method".to_owned(), settings.test_method.clone().into())]),
            link: None,
            unsure: false,
            attempt: 1,
            repeats: 1,
            received_at: self.clock.now(),
        };
        let request = prepare(connection, &settings, &job, self.clock.now())
            .map_err(|(Unprepared::Rule(fault) | Unprepared::Connection(fault))| fault)?;
        let mut caller = Caller::new(&self.egress, connection.allow_private, settings.timeout());
        let answer = caller
            .call(request.method, request.url, request.headers, request.body)
            .await
            .map_err(|failure| Fault::from(&failure))?;
        // What the address makes of this method says nothing about what it makes of deliveries.
        match answer.status {
            401 | 403 | 407 | 500..=599 => Err(status_fault(&answer)),
            status => Ok(format!("the upstream answered {status}")),
        }
    }
}

/// What the answer means.
fn judge(settings: &Settings, result: Result<Answer, Failure>, now: DateTime<Utc>) -> Outcome {
    let answer = match result {
        Ok(answer) => answer,
        // Whatever follows the status: the upstream has taken the request.
        Err(failure)
            if failure.kind == EgressFault::TooLarge
                && failure
                    .status
                    .is_some_and(|status| settings.success.contains(status)) =>
        {
            return delivered();
        }
        Err(failure) => return unanswered(&failure),
    };
    let status = answer.status;
    if settings.success.contains(status) {
        return delivered();
    }
    let fault = status_fault(&answer);
    // It has been there before; it would be the next time, too.
    if status == LOOP {
        return Outcome::Permanent(fault);
    }
    if settings.retry.contains(status) {
        let after = retry_after(&answer.headers, now);
        return match status {
            429 => Outcome::RateLimited { after, fault },
            _ => Outcome::Retry { after, fault },
        };
    }
    match status {
        401 | 403 | 407 => Outcome::AuthFailed(fault),
        404 | 410 => Outcome::Gone(fault),
        _ => Outcome::Permanent(fault),
    }
}

const fn delivered() -> Outcome {
    Outcome::Delivered {
        effect: Effect::Sent,
        record: None,
    }
}

fn unanswered(failure: &Failure) -> Outcome {
    let fault = Fault::from(failure);
    match failure.kind {
        EgressFault::Blocked | EgressFault::Invalid => Outcome::Permanent(fault),
        _ if failure.sent => Outcome::Unknown(fault),
        _ => Outcome::Retry { after: None, fault },
    }
}

fn status_fault(answer: &Answer) -> Fault {
    let status = answer.status;
    let hint = match status {
        300..=399 => " (redirects are not followed)",
        _ => "",
    };
    let said = serde_json::from_slice::<Value>(&answer.body)
        .map(|json| mask_json(&json).to_string())
        .or_else(|_| std::str::from_utf8(&answer.body).map(str::to_owned))
        .unwrap_or_default();
    let said = cut(said.trim(), 300);
    let colon = if said.is_empty() { "" } else { ": " };
    Fault::new(
        format!("http_{status}"),
        format!("the upstream answered {status}{hint}{colon}{said}"),
        Some(status),
    )
}

fn show(connection: &Connection, job: &Job, request: &Prepared) -> PlannedRequest {
    let body = (!request.body.is_empty()).then(|| match serde_json::from_slice(&request.body) {
        Ok(json) => mask_json(&json),
        Err(_) => Value::String(cut(&String::from_utf8_lossy(&request.body), 64 << 10)),
    });
    PlannedRequest {
        connection: connection.name.clone(),
        operation: job.operation.clone(),
        method: request.method.to_string(),
        url: mask_url(&request.url),
        headers: shown_headers(&request.headers),
        body,
        note: None,
        fault: None,
    }
}

fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let secret = value.is_sensitive()
                || matches!(
                    name.as_str(),
                    "authorization" | "cookie" | "webhook-signature"
                );
            let text = if secret {
                "***".to_owned()
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            (name.to_string(), text)
        })
        .collect()
}

fn refused(connection: &Connection, job: &Job, fault: Fault) -> PlannedRequest {
    PlannedRequest {
        connection: connection.name.clone(),
        operation: job.operation.clone(),
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: None,
        note: None,
        fault: Some(wrong("map", &fault.code, fault.message)),
    }
}
