//! What an answer of ConnectWise means when it is not the one we want.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::connectors::common::{Answer, Failure, cut, retry_after};
use crate::connectors::{Fault, Outcome};
use crate::egress::EgressFault;

/// Why a step of an operation ended it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trouble {
    /// There is nothing at that address. Wrong keys can look like that too, so only a call that
    /// worked beside it proves that the record is gone.
    NotFound(Fault),
    /// The linked ticket is gone, as calls that worked beside it show, and nothing was written.
    Ghost(Fault),
    /// Anything else.
    Ends(Outcome),
}

/// Whether a call changes something upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Reads,
    Writes,
}

impl Trouble {
    pub(super) fn permanent(code: &str, message: impl AsRef<str>) -> Self {
        Self::Ends(Outcome::Permanent(Fault::new(code, message, None)))
    }

    /// As the report has it, where a missing record means a wrong address or wrong keys.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Trouble::Ends(outcome) => outcome,
            Trouble::Ghost(fault) => Outcome::Gone(fault),
            Trouble::NotFound(fault) => Outcome::AuthFailed(Fault::new(
                fault.code,
                format!(
                    "{}; the API is not there, or the company or the keys are wrong",
                    fault.message
                ),
                fault.status,
            )),
        }
    }

    pub(super) fn fault(self) -> Fault {
        let outcome = self.outcome();
        outcome
            .fault()
            .cloned()
            .unwrap_or_else(|| Fault::new("unknown", "", None))
    }

    /// Of a call without an answer.
    pub(super) fn unanswered(call: Call, failure: &Failure) -> Self {
        let fault = Fault::from(failure);
        Self::Ends(match failure.kind {
            EgressFault::Blocked | EgressFault::Invalid => Outcome::Permanent(fault),
            _ if call == Call::Writes && failure.sent => Outcome::Unknown(fault),
            _ => Outcome::Retry { after: None, fault },
        })
    }

    /// Of an answer that is not JSON although its status says that all went well.
    pub(super) fn unreadable(call: Call, status: u16) -> Self {
        let fault = Fault::new(
            "not_json",
            "the answer is not the JSON that was expected",
            Some(status),
        );
        Self::Ends(match call {
            Call::Writes => Outcome::Unknown(fault),
            Call::Reads => Outcome::Retry { after: None, fault },
        })
    }

    /// Of a status other than 2xx.
    pub(super) fn refused(call: Call, answer: &Answer, now: DateTime<Utc>) -> Self {
        let status = answer.status;
        let fault = Fault::new(format!("http_{status}"), said(answer), Some(status));
        let after = retry_after(&answer.headers, now);
        Self::Ends(match status {
            404 => return Self::NotFound(fault),
            401 | 403 | 407 => Outcome::AuthFailed(fault),
            429 => Outcome::RateLimited { after, fault },
            425 => Outcome::Retry { after, fault },
            408 | 500..=599 => match call {
                Call::Reads => Outcome::Retry { after, fault },
                // It may have been done before the error: looked up before it is done again.
                Call::Writes => Outcome::Unknown(fault),
            },
            _ => Outcome::Permanent(fault),
        })
    }
}

/// What ConnectWise says is wrong, with the names of the fields.
fn said(answer: &Answer) -> String {
    let status = answer.status;
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return format!("ConnectWise answered {status}");
    };
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let mut parts = Vec::new();
    parts.extend(
        text(&body, "message")
            .or_else(|| text(&body, "error"))
            .or_else(|| text(&body, "code")),
    );
    for error in body
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(5)
    {
        let message = text(error, "message")
            .or_else(|| text(error, "code"))
            .unwrap_or_default();
        parts.push(match text(error, "field") {
            Some(field) => format!("{field}: {message}"),
            None => message,
        });
    }
    let parts = cut(&parts.join("; "), 400);
    format!("ConnectWise answered {status}: {parts}")
}
