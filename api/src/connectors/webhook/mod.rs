//! `webhook`: a subscriber of lifecycle messages, by Standard Webhooks.
//!
//! At least once: whatever is not answered with a 2xx is sent again with the same `webhook-id` and
//! the same body. Rules cannot send here; the messages are made by the lifecycle. Nothing is
//! remembered between attempts.

mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use engine::model::OperationSpec;
use engine::secret::Secret as SigningKey;
use engine::signature::{parse_standard_secret, sign_standard_webhook};
use openapi::connections::{Connector as Description, MetadataItem, TestResult};
use openapi::problem::FieldError;
use openapi::rules::PlannedRequest;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::common::{
    Answer, Caller, Failure, check_names, check_settings, cut, read, report, retry_after, tested,
    wrong,
};
use super::{Connection, Connector, Effect, Fault, Job, Outcome, Report};
use crate::clock::Clock;
use crate::egress::{Egress, EgressFault};
use crate::ids;
use crate::lifecycle::{HOPS, HOPS_FIELD, Hops, MESSAGE};

pub use settings::{Detail, Settings};

/// Name of the connector.
pub const KIND: &str = "webhook";
/// Why a subscriber was switched off: it said that it is gone.
pub const GONE: &str = "subscriber_gone";
/// Why a subscriber was switched off: it took nothing for too long.
pub const FAILING: &str = "subscriber_failing";
/// Name of its secret.
pub const SECRET: &str = "signing_secret";

/// The connector.
#[derive(Clone, Debug)]
pub struct Webhook {
    egress: Egress,
    clock: Clock,
}

/// The settings of a connection of this connector.
///
/// # Errors
/// They are those of an older server.
pub fn settings(connection: &Connection) -> Result<Arc<Settings>, Fault> {
    read(connection)
}

/// A new signing secret: 192 random bits.
pub fn generate_secret() -> String {
    format!("whsec_{}", STANDARD.encode(ids::random::<24>()))
}

/// The secrets of a rotation: the new one, and the newest of the old ones.
pub fn rotated(new: &str, old: Option<&str>) -> String {
    match old.and_then(|old| old.split_whitespace().next()) {
        Some(old) => format!("{new} {old}"),
        None => new.to_owned(),
    }
}

impl Webhook {
    /// A connector that calls through this egress; the clock tells the time of signatures.
    pub const fn new(egress: Egress, clock: Clock) -> Self {
        Self { egress, clock }
    }

    /// One signed call.
    async fn send(
        &self,
        connection: &Connection,
        settings: &Settings,
        message: Signed<'_>,
    ) -> Result<(Result<Answer, Failure>, Report), Fault> {
        let url = Url::parse(&settings.url)
            .map_err(|_| Fault::new("invalid_url", "the address cannot be read", None))?;
        let headers = self.headers(connection, &message)?;
        let mut caller = Caller::new(&self.egress, connection.allow_private, settings.timeout());
        let answer = caller
            .call(Method::POST, url, headers, message.body.clone())
            .await;
        let outcome = judge(&answer, self.clock.now());
        Ok((answer, report(outcome, caller.into_exchanges())))
    }

    fn headers(&self, connection: &Connection, message: &Signed<'_>) -> Result<HeaderMap, Fault> {
        let broken = || {
            Fault::new(
                "signing_secret",
                "the signing secret is missing, or not base64 behind `whsec_`",
                None,
            )
        };
        let secret = connection.secrets.get(SECRET).ok_or_else(broken)?;
        let keys: Vec<SigningKey> = secret
            .reveal()
            .split_whitespace()
            .map(SigningKey::from)
            .collect();
        let now = self.clock.now().timestamp();
        let signed = sign_standard_webhook(&keys, message.id, now, &message.body);
        if signed.signature.is_empty() {
            return Err(broken());
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, text) in [
            ("webhook-id", signed.id.as_str()),
            ("webhook-timestamp", &signed.timestamp),
            ("webhook-signature", &signed.signature),
            ("x-correlation-id", message.correlation_id),
            (HOPS, &message.hops.to_string()),
        ] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Ok(headers)
    }
}

/// What is signed and sent.
struct Signed<'a> {
    id: &'a str,
    correlation_id: &'a str,
    body: Bytes,
    hops: Hops,
}

impl<'a> Signed<'a> {
    fn of(connection: &Connection, job: &'a Job) -> Self {
        let mut fields = job.fields.clone();
        let hops = Hops::of_fields(&fields).told_by(connection.workspace_id);
        fields.remove(HOPS_FIELD);
        Self {
            id: &job.message_id,
            correlation_id: &job.correlation_id,
            body: Bytes::from(Value::Object(fields).to_string()),
            hops,
        }
    }
}

#[async_trait]
impl Connector for Webhook {
    fn describe(&self) -> Description {
        Description {
            kind: KIND.to_owned(),
            title: "Webhook".to_owned(),
            summary: "Tells another program what happens here: signed messages about events, deliveries, sources and connections. Rules do not send to it.".to_owned(),
            settings: settings::fields(),
            secrets: settings::secrets(),
            operations: Vec::new(),
            metadata: Vec::new(),
        }
    }

    fn validate(&self, settings: &Value, secrets: &[&str]) -> Vec<FieldError> {
        let mut faults = match check_settings::<Settings>(settings, &settings::fields()) {
            Ok(settings) => settings.faults(),
            Err(faults) => faults,
        };
        faults.extend(check_names(secrets, &settings::secrets()));
        faults
    }

    fn validate_operation(&self, _: &OperationSpec) -> Vec<FieldError> {
        vec![wrong(
            "connection",
            "not_for_rules",
            "a webhook is told what happens; rules send to other connectors, as http",
        )]
    }

    fn validate_secret(&self, name: &str, secret: &str) -> Option<FieldError> {
        let sound = secret.split_whitespace().next().is_some()
            && secret
                .split_whitespace()
                .all(|one| parse_standard_secret(one.as_bytes()).is_some());
        (name == SECRET && !sound).then(|| {
            wrong(
                format!("secrets.{SECRET}"),
                "base64",
                "Base64 is expected, perhaps after whsec_",
            )
        })
    }

    fn new_secret(&self) -> Option<(&'static str, String)> {
        Some((SECRET, generate_secret()))
    }

    fn plan(&self, connection: &Connection, job: &Job) -> Vec<PlannedRequest> {
        let url = settings(connection)
            .map(|s| s.url.clone())
            .unwrap_or_default();
        let message = Signed::of(connection, job);
        vec![PlannedRequest {
            connection: connection.name.clone(),
            operation: job.operation.clone(),
            method: "POST".to_owned(),
            url,
            headers: vec![("webhook-id".to_owned(), job.message_id.clone())],
            body: serde_json::from_slice(&message.body).ok(),
            note: None,
            fault: None,
        }]
    }

    async fn execute(&self, connection: &Connection, job: &Job) -> Report {
        if job.operation != MESSAGE {
            let fault = Fault::new(
                "unknown_operation",
                "the webhook connector does not know this operation",
                None,
            );
            return report(Outcome::Permanent(fault), Vec::new());
        }
        let sent = match settings(connection) {
            Ok(settings) => {
                let message = Signed::of(connection, job);
                self.send(connection, &settings, message).await
            }
            Err(fault) => Err(fault),
        };
        match sent {
            Ok((_, report)) => report,
            // Mended by a person: until then it counts as a failure of the subscription.
            Err(fault) => report(Outcome::Retry { after: None, fault }, Vec::new()),
        }
    }

    async fn test(&self, connection: &Connection) -> TestResult {
        let begun = Instant::now();
        let id = format!("msg_test_{}", ids::new(&self.clock).simple());
        let body = json!({ "type": "webhook.test", "timestamp": self.clock.now(), "data": {} });
        let message = Signed {
            id: &id,
            correlation_id: "test",
            body: Bytes::from(body.to_string()),
            hops: Hops::default().told_by(connection.workspace_id),
        };
        let sent = match settings(connection) {
            Ok(settings) => self.send(connection, &settings, message).await,
            Err(fault) => Err(fault),
        };
        let result = sent.and_then(|(answer, report)| match report.outcome.fault() {
            Some(fault) => Err(fault.clone()),
            None => Ok(format!(
                "the subscriber took a test message with {}",
                answer.map_or(200, |answer| answer.status)
            )),
        });
        tested(begun, result)
    }

    async fn metadata(
        &self,
        _: &Connection,
        _: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<Vec<MetadataItem>, Fault> {
        Err(Fault::new(
            "unknown_list",
            "the webhook connector has no lists",
            None,
        ))
    }
}

/// What the answer means. Only a 2xx takes a message; all else may pass, but 410 says that nobody
/// is there any more, and 508 that the message has been there before.
fn judge(answer: &Result<Answer, Failure>, now: chrono::DateTime<chrono::Utc>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return unanswered(failure),
    };
    let status = answer.status;
    if (200..300).contains(&status) {
        return delivered();
    }
    let said = String::from_utf8_lossy(&answer.body);
    let said = cut(said.trim(), 300);
    let colon = if said.is_empty() { "" } else { ": " };
    let fault = Fault::new(
        format!("http_{status}"),
        format!("the subscriber answered {status}{colon}{said}"),
        Some(status),
    );
    let after = retry_after(&answer.headers, now);
    match status {
        410 => Outcome::Gone(fault),
        429 => Outcome::RateLimited { after, fault },
        508 => Outcome::Permanent(fault),
        _ => Outcome::Retry { after, fault },
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
        // Whatever follows the status: the subscriber has taken the message.
        EgressFault::TooLarge if failure.status.is_some_and(|s| (200..300).contains(&s)) => {
            delivered()
        }
        EgressFault::Blocked | EgressFault::Invalid => Outcome::Permanent(fault),
        _ if failure.sent => Outcome::Unknown(fault),
        _ => Outcome::Retry { after: None, fault },
    }
}
