//! The live stream: server-sent events with resume.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::deliveries::State;
use crate::jobs::Job;

/// A message of the stream. The SSE event name is `type`, the SSE id is the place to resume from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// An event is on disk.
    Event(EventMessage),
    /// A delivery changed its state.
    Delivery(DeliveryMessage),
    /// A request was refused.
    Refusal(RefusalMessage),
    /// Sources, connections or rules changed; read them again.
    Configuration {
        /// Revision that is served now.
        revision: i64,
    },
    /// A job was started, came on or ended.
    Job(Job),
    /// Some messages were lost; read the lists again.
    Reset,
}

/// An event is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventMessage {
    /// Id.
    pub id: Uuid,
    /// Slug of the source.
    pub source: String,
    /// When the request was read.
    pub received_at: DateTime,
    /// `routed`, `unmatched`, `dropped` or `unrouted`.
    pub disposition: String,
    /// Stable code of the disposition.
    pub reason: String,
    /// Names of the rules that took it.
    pub rules: Vec<String>,
    /// A line for people.
    pub title: String,
}

/// A delivery changed its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryMessage {
    /// Id.
    pub id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// Name of the connection.
    pub connection: String,
    /// What the connector does.
    pub operation: String,
    /// Where it stands now.
    pub state: State,
    /// Attempts so far.
    pub attempts: i32,
    /// What it did upstream.
    pub effect: Option<String>,
    /// Upstream record.
    pub record_id: Option<String>,
    /// Stable code of the last fault.
    pub error_code: Option<String>,
    /// When.
    pub at: DateTime,
}

/// A request was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RefusalMessage {
    /// Slug of the source.
    pub source: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Stable code.
    pub reason: String,
    /// When.
    pub at: DateTime,
}
