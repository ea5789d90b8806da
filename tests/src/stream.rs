//! The live stream, read as a browser reads it.

use std::collections::VecDeque;
use std::time::Duration;

use openapi::stream::Message;
use reqwest::{Response, StatusCode};

use crate::client::{Client, http};

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message with the place to resume from.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What `Last-Event-ID` takes.
    pub id: String,
    /// The message.
    pub message: Message,
}

/// An open stream.
pub struct Stream {
    response: Response,
    buffer: Vec<u8>,
    waiting: VecDeque<Place>,
    last: String,
}

impl Stream {
    /// Opens the stream, perhaps after a place.
    ///
    /// # Panics
    /// It is refused.
    pub async fn open(client: &Client, after: Option<&str>) -> Self {
        let mut request = http()
            .get(client.url("/api/v1/stream"))
            .headers(client.headers().clone())
            .header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let media = response.headers()["content-type"].to_str().unwrap();
        assert!(media.starts_with("text/event-stream"), "{media}");
        Self {
            response,
            buffer: Vec::new(),
            waiting: VecDeque::new(),
            last: String::new(),
        }
    }

    /// The next message.
    ///
    /// # Panics
    /// None comes.
    pub async fn next(&mut self) -> Place {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                self.last.clone_from(&next.id);
                return next;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("a message in time").unwrap();
            self.buffer
                .extend_from_slice(&chunk.expect("an open stream"));
            while let Some(end) = find(&self.buffer, b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                self.waiting
                    .extend(parse(&String::from_utf8(block).unwrap()));
            }
        }
    }

    /// The place of the last message; empty before the first.
    pub fn last_id(&self) -> &str {
        &self.last
    }

    /// The next message that `take` takes; those before it are passed over.
    ///
    /// # Panics
    /// None comes.
    pub async fn find(&mut self, take: impl Fn(&Message) -> bool) -> Place {
        let found = async {
            loop {
                let next = self.next().await;
                if take(&next.message) {
                    return next;
                }
            }
        };
        // The stream is kept alive by comments, so silence is no sign.
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("the message in time")
    }
}

fn find(bytes: &[u8], end: &[u8]) -> Option<usize> {
    bytes.windows(end.len()).position(|window| window == end)
}

/// One block of the stream; comments and bare `retry` lines are no messages.
fn parse(block: &str) -> Option<Place> {
    let (mut id, mut name, mut data) = (None, None, None);
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "id" => id = Some(value),
            "event" => name = Some(value),
            "data" => data = Some(value),
            _ => {}
        }
    }
    let data: serde_json::Value = serde_json::from_str(&data?).unwrap();
    assert_eq!(data["type"].as_str(), name.as_deref(), "{block}");
    Some(Place {
        id: id.expect("a place to resume from"),
        message: serde_json::from_value(data).unwrap(),
    })
}
