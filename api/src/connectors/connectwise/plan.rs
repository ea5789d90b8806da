//! What would be sent, without sending it.

use engine::rules::Action;
use openapi::rules::PlannedRequest;
use serde_json::{Value, json};

use super::client::address;
use super::fields;
use super::reference::{Step, signed};
use super::repeat::OnRepeat;
use super::settings::Settings;
use super::upsert::{conditions, target};
use crate::connectors::common::{mask_json, wrong};
use crate::connectors::{Connection, Fault, Job};

/// The requests of a job, each with the condition under which it is sent.
pub(super) fn plan(connection: &Connection, settings: &Settings, job: &Job) -> Vec<PlannedRequest> {
    let (company, xref) = match target(settings, job) {
        Ok(target) => target,
        Err(trouble) => return vec![refused(connection, job, &trouble.fault())],
    };
    let request =
        |method: &str, path: &[&str], query: &[(&str, &str)], body: Option<Value>, note: &str| {
            PlannedRequest {
                connection: connection.name.clone(),
                operation: job.operation.clone(),
                method: method.to_owned(),
                // The braces of a number that is not known yet stay readable.
                url: address(&settings.base_url, path, query)
                    .map(|url| url.to_string().replace("%7B", "{").replace("%7D", "}"))
                    .unwrap_or_default(),
                headers: vec![
                    ("authorization".to_owned(), "***".to_owned()),
                    ("clientid".to_owned(), settings.client_id.clone()),
                ],
                body: body.map(|body| mask_json(&body)),
                note: Some(note.to_owned()),
                fault: None,
            }
        };
    let note = |step, text: String| {
        let text = signed(&text, step, &job.message_id, &job.correlation_id);
        json!({ "text": text, "resolutionFlag": step == Step::Closed })
    };
    let notes = ["service", "tickets", "{id}", "notes"];
    let found = conditions(settings, &company, &xref, false);
    let mut requests = Vec::new();
    if let Some(link) = &job.link {
        requests.push(request(
            "GET",
            &["service", "tickets", &link.record_id],
            &[],
            None,
            "looks whether the linked ticket is open",
        ));
    }
    requests.push(request(
        "GET",
        &["service", "tickets"],
        &[("conditions", &found)],
        None,
        "looks for an open ticket of this key and company",
    ));
    let note_again = || {
        let text = ["note", "initialDescription", "summary"]
            .iter()
            .find_map(|name| fields::text(&job.fields, name))
            .unwrap_or_default();
        request(
            "POST",
            &notes,
            &[],
            Some(note(Step::Noted, text)),
            "when one is open",
        )
    };
    match job.action {
        Some(Action::Ignore) => return Vec::new(),
        Some(Action::Note) => requests.push(note_again()),
        Some(Action::Close) => {
            let text =
                fields::text(&job.fields, "resolution").unwrap_or_else(|| "Resolved.".to_owned());
            requests.push(request(
                "POST",
                &notes,
                &[],
                Some(note(Step::Closed, text)),
                "when one is open",
            ));
            let change = json!([{ "op": "replace", "path": "status", "value": "the closing status of the ticket's board" }]);
            requests.push(request(
                "PATCH",
                &["service", "tickets", "{id}"],
                &[],
                Some(change),
                "when one is open",
            ));
        }
        None | Some(Action::Open) => {
            let repeat = match OnRepeat::of(&job.fields) {
                Ok(repeat) => repeat,
                Err(trouble) => return vec![refused(connection, job, &trouble.fault())],
            };
            let changes = fields::on_repeat(&job.fields);
            if repeat != OnRepeat::Note && !changes.is_empty() {
                let change: Vec<Value> = changes
                    .iter()
                    .map(|(name, value)| json!({ "op": "replace", "path": name, "value": value }))
                    .collect();
                requests.push(request(
                    "PATCH",
                    &["service", "tickets", "{id}"],
                    &[],
                    Some(Value::Array(change)),
                    "when one is open, what differs",
                ));
            }
            if repeat != OnRepeat::Update {
                requests.push(note_again());
            }
            match fields::body(job, settings, &company, &xref) {
                Some(body) => requests.push(request(
                    "POST",
                    &["service", "tickets"],
                    &[],
                    Some(body),
                    "when none is open",
                )),
                None => {
                    let fault = Fault::new(
                        "missing_field",
                        "a new ticket needs a summary, and the rule's is empty",
                        None,
                    );
                    requests.push(refused(connection, job, &fault));
                }
            }
        }
    }
    requests
}

/// Why nothing could be sent.
pub(super) fn refused(connection: &Connection, job: &Job, fault: &Fault) -> PlannedRequest {
    PlannedRequest {
        connection: connection.name.clone(),
        operation: job.operation.clone(),
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: None,
        note: None,
        fault: Some(wrong("map", &fault.code, fault.message.clone())),
    }
}
