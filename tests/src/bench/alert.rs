//! The alert that is sent: about 1 kB of JSON with a number of its own in every copy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

/// Digits of the number, so that all alerts are of one length.
const DIGITS: usize = 10;
/// What stands where the number goes.
const PLACE: &str = "__NUMBER__";
/// Bytes of the body.
pub const SIZE: usize = 1024;

/// Makes requests that differ in their number only. The work for each is ten digits.
#[derive(Debug)]
pub struct Alerts {
    request: Vec<u8>,
    at: usize,
    next: AtomicU64,
}

impl Alerts {
    /// Requests to this path, with this bearer token; numbers begin at 1.
    pub fn new(address: SocketAddr, path: &str, token: &str) -> Self {
        let body = body();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: bench\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let at = head.len() + body.find(PLACE).unwrap_or_default();
        Self {
            request: [head.into_bytes(), body.into_bytes()].concat(),
            at,
            next: AtomicU64::new(1),
        }
    }

    /// A buffer for [`Alerts::write`].
    pub fn buffer(&self) -> Vec<u8> {
        self.request.clone()
    }

    /// Puts the next number into the buffer, and returns it.
    pub fn write(&self, buffer: &mut [u8]) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut rest = number;
        if let Some(place) = buffer.get_mut(self.at..self.at + DIGITS) {
            for digit in place.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        number
    }

    /// The number that the next alert gets.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }
}

/// An alert as a monitor sends it, filled up to [`SIZE`].
fn body() -> String {
    let mut alert = json!({
        "number": PLACE,
        "heartbeat": {"monitorID": 7, "status": 0, "time": "2026-03-01T10:00:00Z", "ping": null,
            "important": true, "retries": 3, "down_count": 1},
        "monitor": {"id": 7, "name": "web-17.example.com", "url": "https://web-17.example.com/health",
            "type": "http", "interval": 60, "weight": 150, "accepted_statuscodes": ["200-299"],
            "tags": [{"name": "prod", "color": "#ff0000"}, {"name": "web", "color": "#00ff00"}]},
        "msg": "[web-17.example.com] [Down] connect ECONNREFUSED 192.0.2.17:443",
        "detail": "",
    });
    let missing = SIZE.saturating_sub(alert.to_string().len());
    let words = "no answer from the health check of this service; ";
    alert["detail"] = words
        .chars()
        .cycle()
        .take(missing)
        .collect::<String>()
        .into();
    alert.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_has_its_number_and_the_same_length() {
        let alerts = Alerts::new(([127, 0, 0, 1], 80).into(), "/hooks/x", "t");
        let mut buffer = alerts.buffer();
        assert_eq!(alerts.write(&mut buffer), 1);
        assert_eq!(alerts.write(&mut buffer), 2);
        let text = String::from_utf8(buffer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), SIZE);
        assert!(head.ends_with(&format!("content-length: {SIZE}")));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["number"], "0000000002");
    }
}
