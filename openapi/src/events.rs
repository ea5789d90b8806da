//! What happened.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::deliveries::{Delivery, ReplayRules};

/// A line of the list of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventSummary {
    /// Id.
    pub id: Uuid,
    /// The source.
    pub source_id: Uuid,
    /// Slug of the source.
    pub source: String,
    /// When the request was read.
    pub received_at: DateTime,
    /// Follows the event everywhere.
    pub correlation_id: String,
    /// `routed`, `unmatched`, `dropped` or `unrouted`.
    pub disposition: String,
    /// Stable code of the disposition.
    pub reason: String,
    /// Rules that took it.
    pub rules: Vec<MatchedRule>,
    /// A line for people, made from the payload.
    pub title: String,
    /// Bytes of the body.
    pub size: i64,
    /// True: sent by a person as a test.
    pub test: bool,
}

/// A rule that took an event, as it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MatchedRule {
    /// Id; absent: the source's default target.
    pub id: Option<Uuid>,
    /// Name then.
    pub name: String,
    /// Revision then.
    pub revision: i64,
}

/// An event with all that became of it: the trace from request to upstream record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventDetail {
    /// The line of the list.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// HTTP method of the request.
    pub method: String,
    /// Raw query string; values of secret-looking names masked.
    pub query: String,
    /// Content type as received.
    pub content_type: String,
    /// Address of the sender.
    pub remote_addr: String,
    /// Delivery id of the sender.
    pub idempotency_key: Option<String>,
    /// Headers; authentication is left out.
    pub headers: Vec<(String, String)>,
    /// The parsed body, secret-looking values masked; absent when it is no JSON, form or query.
    pub payload: Option<serde_json::Value>,
    /// Its deliveries with their attempts, oldest first.
    pub deliveries: Vec<Delivery>,
}

/// How to replay an event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayEvent {
    /// Which rules decide about it; absent: today's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<ReplayRules>,
}

/// What a replay made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Replayed {
    /// The event that was routed again.
    pub event_id: Uuid,
    /// Its disposition by the rules that were asked.
    pub disposition: String,
    /// The new deliveries.
    pub delivery_ids: Vec<Uuid>,
}
