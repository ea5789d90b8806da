//! Lifecycle messages: what subscribers are told, as Standard Webhooks.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What a message is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Kind {
            /// Every kind that a subscriber can ask for, in the order of the documentation.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The word on the wire.
            pub const fn word(self) -> &'static str {
                match self { $(Kind::$name => $word,)* }
            }
        }
    };
}

kinds! {
    /// An event was accepted and is on disk.
    EventReceived = "event.received";
    /// A delivery reached its upstream.
    DeliveryDelivered = "delivery.delivered";
    /// An attempt failed and will be repeated.
    DeliveryFailed = "delivery.failed";
    /// A delivery was given up; it is a dead letter.
    DeliveryDead = "delivery.dead";
    /// A delivery waits for a person: it failed for good and its lane waits behind it, or its rule is
    /// in quarantine.
    DeliveryParked = "delivery.parked";
    /// A rule made a delivery that waits until a person lets it go.
    DeliveryHeld = "delivery.held";
    /// A delivery was not made, since a maintenance window that skips was open.
    DeliveryDiscarded = "delivery.discarded";
    /// A source that should send has been silent for too long.
    SourceSilent = "source.silent";
    /// A silent source sends again.
    SourceRecovered = "source.recovered";
    /// A connection failed so often that it is only probed.
    BreakerOpened = "breaker.opened";
    /// A connection that was only probed works again.
    BreakerClosed = "breaker.closed";
    /// A connection's credentials are refused; its deliveries are paused.
    ConnectionAttention = "connection.attention";
    /// A paused connection works again.
    ConnectionResumed = "connection.resumed";
    /// The server switched a subscriber off; told to the others.
    ConnectionSwitchedOff = "connection.switched_off";
}

/// The body of every message. Its id is the header `webhook-id` and stays the same over repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WebhookMessage {
    /// What it is about; a kind, or `webhook.test`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schema(example = "delivery.dead"))]
    pub kind: String,
    /// When it happened.
    pub timestamp: DateTime,
    /// What happened: `WebhookEvent`, `WebhookDelivery`, `WebhookSource` or `WebhookConnection`, as
    /// the type says.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub data: serde_json::Value,
}

/// Data of `event.received`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WebhookEvent {
    /// The event.
    pub event_id: Uuid,
    /// Follows the event through logs, attempts and upstream calls.
    pub correlation_id: String,
    /// Slug of its source.
    #[cfg_attr(feature = "schema", schema(example = "kuma"))]
    pub source: String,
    /// When it was received.
    pub received_at: DateTime,
    /// `routed`, `unmatched`, `dropped` or `unrouted`.
    pub disposition: String,
    /// Stable code of the disposition.
    pub reason: String,
    /// Names of the rules that took it.
    pub rules: Vec<String>,
    /// A line for people; with full detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The event as it was read; with full detail only, and absent when it is larger than 128 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub payload: Option<serde_json::Value>,
}

/// Data of `delivery.…`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WebhookDelivery {
    /// The delivery.
    pub delivery_id: Uuid,
    /// Its event.
    pub event_id: Uuid,
    /// That of the event.
    pub correlation_id: String,
    /// Slug of the event's source; absent when it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Name of the rule.
    pub rule: String,
    /// Name of the connection.
    pub connection: String,
    /// What was asked of it.
    #[cfg_attr(feature = "schema", schema(example = "ticket.upsert"))]
    pub operation: String,
    /// State of the delivery.
    #[cfg_attr(feature = "schema", schema(example = "dead"))]
    pub state: String,
    /// Attempts made.
    pub attempts: i32,
    /// When the next attempt is due; of `delivery.failed` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<DateTime>,
    /// Stable code of the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "http_400"))]
    pub error_code: Option<String>,
    /// What it did upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Upstream record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// How many deliveries that waited behind it in its lane became dead letters with it; of
    /// `delivery.dead` only, absent when there were none. They have no message of their own. Of more
    /// than ten thousand not all are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_dead: Option<i64>,
    /// Text of the fault; with full detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Record key; with full detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Address of the upstream record; with full detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_url: Option<String>,
    /// The rendered fields; with full detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub fields: Option<serde_json::Value>,
}

/// Data of `source.silent` and `source.recovered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WebhookSource {
    /// The source.
    pub source_id: Uuid,
    /// Its slug.
    pub source: String,
    /// Last sign of life before the silence, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<DateTime>,
}

/// Data of `breaker.…` and `connection.…`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WebhookConnection {
    /// The connection.
    pub connection_id: Uuid,
    /// Its name.
    pub connection: String,
    /// Its connector.
    pub connector: String,
    /// Why, as a stable code; of `connection.attention` and `connection.switched_off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "credentials_refused"))]
    pub code: Option<String>,
    /// The same for people; with full detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to a new signing secret: the only time it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NewSigningSecret {
    /// The new secret. Messages are signed with it and, until that is retired, with the old one.
    #[cfg_attr(
        feature = "schema",
        schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
    )]
    pub secret: String,
    /// The connection's revision now; the ETag.
    pub revision: i64,
}
