//! Calls of one attempt, with their trail for the log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use openapi::deliveries::Exchange;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::names::Names;
use super::{cut, mask_url, millis};
use crate::connectors::Fault;
use crate::egress::{Egress, EgressError, Request, Response};

/// Longest body in the log.
const SHOWN: usize = 4096;

/// Makes the calls of one attempt and writes down what was said. Headers are not written down:
/// they carry the credentials.
pub(in crate::connectors) struct Caller<'a> {
    egress: &'a Egress,
    allow_private: bool,
    timeout: Duration,
    exchanges: Vec<Exchange>,
}

/// An answer.
pub(in crate::connectors) type Answer = Response;

/// No answer.
pub(in crate::connectors) type Failure = EgressError;

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        Fault::new(failure.kind.code(), &failure.message, failure.status)
    }
}

impl<'a> Caller<'a> {
    pub(in crate::connectors) fn new(
        egress: &'a Egress,
        allow_private: bool,
        timeout: Duration,
    ) -> Self {
        Self {
            egress,
            allow_private,
            timeout,
            exchanges: Vec::new(),
        }
    }

    /// Makes one call.
    pub(in crate::connectors) async fn call(
        &mut self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut exchange = Exchange {
            method: method.to_string(),
            url: cut(&mask_url(&url), SHOWN),
            request_body: shown(&body),
            status: None,
            response_body: None,
            error: None,
            duration_ms: 0,
        };
        let begun = Instant::now();
        let result = self
            .egress
            .send(Request {
                method,
                url,
                headers,
                body,
                timeout: Some(self.timeout),
                allow_private: self.allow_private,
            })
            .await;
        exchange.duration_ms = millis(begun.elapsed());
        match &result {
            Ok(answer) => {
                exchange.status = Some(answer.status);
                exchange.response_body = shown(&answer.body);
            }
            Err(failure) => {
                exchange.status = failure.status;
                exchange.error = Some(failure.message.clone());
            }
        }
        self.exchanges.push(exchange);
        result
    }

    /// What was said, in order.
    pub(in crate::connectors) fn into_exchanges(self) -> Vec<Exchange> {
        self.exchanges
    }
}

/// A body as it may be shown: JSON and forms masked, what is too long to be masked only counted.
fn shown(body: &Bytes) -> Option<String> {
    /// Beyond this a body is not parsed only to be shown.
    const PARSED: usize = 64 << 10;
    if body.is_empty() {
        return None;
    }
    if body.len() > PARSED {
        return Some(format!("({} bytes)", body.len()));
    }
    let names = serde_json::from_slice::<Names>(body);
    if names.as_ref().is_ok_and(|names| names.secret) {
        return Some(match serde_json::from_slice::<Value>(body) {
            Ok(json) => cut(&crate::mask::value(json).to_string(), SHOWN),
            Err(_) => format!("({} bytes)", body.len()),
        });
    }
    match std::str::from_utf8(body) {
        // Most JSON has nothing to hide, and is shown as it was sent.
        Ok(text) if names.is_ok() => Some(cut(text, SHOWN)),
        Ok(text) => Some(cut(&mask_form(text), SHOWN)),
        Err(_) => Some(format!("({} bytes that are no text)", body.len())),
    }
}

/// Hides secrets in a form body; any other text is left as it is.
fn mask_form(text: &str) -> String {
    let looks_like_form = !text.contains(char::is_whitespace) && text.contains('=');
    if !looks_like_form {
        return text.to_owned();
    }
    Url::parse(&format!("http://form/?{text}"))
        .ok()
        .and_then(|url| {
            mask_url(&url)
                .split_once('?')
                .map(|(_, query)| query.to_owned())
        })
        .unwrap_or_default()
}
