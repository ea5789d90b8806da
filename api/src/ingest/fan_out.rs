//! From one request to its events.
//!
//! Each event of a split request stores its own bytes and, beside them, what stood around the list,
//! both as they were sent. So it can be routed again by itself, however long the others are kept.

use engine::split::{self, Parts};
use entity::event;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{parse, title_of};
use crate::core::Core;
use crate::http::problem::ApiError;
use crate::snapshot::SourceConfig;

/// Longest delivery id that is kept as it is; a longer one is hashed.
const LONGEST_SENDER_ID: usize = 200;
/// The type of an item, whatever its request was sent as.
const JSON: &str = "application/json";

/// Why a request of a source that splits is kept as one event that no rule was asked about: it
/// carries more events than the source allows, and a sender would not send it again.
pub const TOO_MANY_EVENTS: &str = "too_many_events";

/// An event with what rules see of it.
pub type Viewed = (event::Model, Value);

/// Makes the events of a request: `whole` is the event that it would be if it were one. An event
/// that carries too many is alone, and has its reason already.
pub fn fan_out(
    core: &Core,
    source: &SourceConfig,
    whole: event::Model,
    payload: Value,
) -> Vec<Viewed> {
    let Some(split) = &source.split else {
        return vec![titled(whole, payload)];
    };
    let (items, envelope) = match split.apply(payload, Some(&whole.body)) {
        Parts::Whole(payload) => return vec![titled(whole, payload)],
        Parts::TooMany(payload) => {
            let reason = TOO_MANY_EVENTS.to_owned();
            return vec![titled(event::Model { reason, ..whole }, payload)];
        }
        Parts::Items(items, envelope) => (items, envelope),
    };
    let request_id = whole.idempotency_key.clone();
    let numbered = |n: usize| request_id.as_ref().map(|id| format!("{id}#{n}"));
    let frame = event::Model {
        body: Vec::new(),
        content_type: JSON.to_owned(),
        query: String::new(),
        method: "POST".to_owned(),
        ..whole
    };
    items
        .into_iter()
        .enumerate()
        .map(|(n, item)| {
            let event = event::Model {
                id: if n == 0 {
                    frame.id
                } else {
                    crate::ids::new(&core.clock)
                },
                idempotency_key: item.key.or_else(|| numbered(n)).map(bounded),
                body: item.body,
                envelope: envelope.clone(),
                ..frame.clone()
            };
            titled(event, item.view)
        })
        .collect()
}

fn titled(event: event::Model, view: Value) -> Viewed {
    let title = title_of(&view);
    (event::Model { title, ..event }, view)
}

/// A delivery id in a form that the index likes.
pub fn bounded(id: String) -> String {
    if id.len() > LONGEST_SENDER_ID || id.contains('\0') {
        return format!("sha256:{}", hex::encode(Sha256::digest(id)));
    }
    id
}

/// What rules see of a stored event.
///
/// # Errors
/// Its bytes cannot be parsed.
pub fn view(event: &event::Model) -> Result<Value, ApiError> {
    let body = &event.body;
    let own = parse::parse(&event.method, &event.content_type, &event.query, body)?;
    let envelope = match &event.envelope {
        None => None,
        Some(bytes) => Some(
            serde_json::from_slice(bytes)
                .map_err(|error| ApiError::internal("event.envelope", &error))?,
        ),
    };
    Ok(split::view(own, envelope))
}
