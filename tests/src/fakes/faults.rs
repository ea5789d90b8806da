//! Faults on order.
//!
//! A script is a list; each request takes the first fault that fits it. Faults are counted down
//! and leave the list when they are used up.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One fault of the script. As JSON:
/// `{"method": "POST", "path": "/notes", "times": 1, "do": "status", "status": 429, "retry_after": 3}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Fault {
    /// Only requests of this method.
    pub method: Option<String>,
    /// Only requests whose path has this part.
    pub path: Option<String>,
    /// How many requests; 0: all.
    pub times: u32,
    /// Milliseconds before anything else happens.
    pub latency_ms: u64,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Effect {
    /// Nothing but the latency.
    Delay,
    /// Answers this status without doing the work.
    Status {
        /// The status.
        status: u16,
        /// Seconds, or a date, for `Retry-After`.
        retry_after: Option<String>,
    },
    /// Cuts the connection without doing the work.
    Cut,
    /// Does the work, then cuts the connection.
    LoseReply,
    /// Does the work, and the latency comes before the answer.
    LateReply,
    /// Does not answer, and does not do the work, until the caller hangs up.
    Hang,
}

/// A fault as it is sent; unknown names are refused, which the flattened form could not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    method: Option<String>,
    path: Option<String>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    latency_ms: u64,
    #[serde(rename = "do")]
    what: String,
    status: Option<u16>,
    retry_after: Option<Value>,
}

impl TryFrom<Written> for Fault {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let effect = match written.what.as_str() {
            "delay" => Effect::Delay,
            "cut" => Effect::Cut,
            "lose_reply" => Effect::LoseReply,
            "late_reply" => Effect::LateReply,
            "hang" => Effect::Hang,
            "status" => Effect::Status {
                status: written.status.ok_or("a status is missing")?,
                retry_after: written.retry_after.map(|value| match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                }),
            },
            _ => return Err("do is delay, status, cut, lose_reply, late_reply or hang".to_owned()),
        };
        Ok(Self {
            method: written.method,
            path: written.path,
            times: written.times,
            latency_ms: written.latency_ms,
            effect,
        })
    }
}

impl Fault {
    /// Answers the next request with this status.
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Status {
            status,
            retry_after: None,
        })
    }

    /// Answers the next request with 429 and these seconds.
    pub fn too_many(seconds: u64) -> Self {
        Self::new(Effect::Status {
            status: 429,
            retry_after: Some(seconds.to_string()),
        })
    }

    /// This effect on the next request.
    pub fn new(effect: Effect) -> Self {
        Self {
            method: None,
            path: None,
            times: 1,
            latency_ms: 0,
            effect,
        }
    }

    /// Only on requests of this method whose path has this part.
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.to_owned());
        self.path = Some(path.to_owned());
        self
    }

    /// On so many requests; 0: on all.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|part| path.contains(part))
    }
}

const fn once() -> u32 {
    1
}

/// The script.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().push(fault);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    pub(super) fn list(&self) -> Vec<Fault> {
        self.0.lock().clone()
    }

    /// What happens to this request, and how long its answer is to be kept back. Other latency is
    /// waited for here.
    pub(super) async fn take(&self, request: &HttpRequest) -> (Effect, Duration) {
        let nothing = (Effect::Delay, Duration::ZERO);
        let fault = {
            let mut script = self.0.lock();
            if script.is_empty() {
                return nothing;
            }
            let found = script
                .iter()
                .position(|fault| fault.fits(request.method().as_str(), request.path()));
            let Some(index) = found else {
                return nothing;
            };
            let fault = script[index].clone();
            if fault.times == 1 {
                script.remove(index);
            } else if fault.times > 1 {
                script[index].times -= 1;
            }
            fault
        };
        let latency = Duration::from_millis(fault.latency_ms);
        if fault.effect == Effect::LateReply {
            return (fault.effect, latency);
        }
        if !latency.is_zero() {
            actix_web::rt::time::sleep(latency).await;
        }
        (fault.effect, Duration::ZERO)
    }
}

/// The socket of a connection, by which it can be cut without an answer.
#[derive(Clone, Debug)]
pub(super) struct Socket(pub(super) Arc<TcpStream>);

/// Cuts the connection of this request: the caller sees an end without an answer.
pub(super) fn cut(request: &HttpRequest) {
    if let Some(socket) = request.conn_data::<Socket>() {
        // It may be closed already, which is as good.
        let _ = socket.0.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_read_from_json_and_shown_again() {
        let read = |value: Value| serde_json::from_value::<Fault>(value);
        assert_eq!(read(json!({"do": "cut"})).unwrap(), Fault::new(Effect::Cut));
        let many = json!({"method": "GET", "path": "/boards", "do": "status", "status": 429, "retry_after": 3});
        assert_eq!(read(many).unwrap(), Fault::too_many(3).on("GET", "/boards"));
        let shown = serde_json::to_value(Fault::new(Effect::LoseReply).times(0)).unwrap();
        assert_eq!(shown["do"], "lose_reply");
        assert_eq!(read(shown).unwrap(), Fault::new(Effect::LoseReply).times(0));
        for wrong in [
            json!({}),
            json!({"do": "explode"}),
            json!({"do": "status"}),
            json!({"do": "cut", "tims": 2}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
