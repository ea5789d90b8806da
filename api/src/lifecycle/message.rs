//! What a message says.

use entity::event;
use openapi::webhooks::{Kind, WebhookConnection, WebhookDelivery, WebhookEvent, WebhookSource};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Hops;
use crate::clock::from_ms;
use crate::connectors::webhook;
use crate::ingest;
use crate::snapshot::{ConnectionConfig, SourceConfig};

/// Largest body that a message carries, in bytes.
const LARGEST_PAYLOAD: usize = 128 * 1024;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where.
    pub workspace: Uuid,
    /// What.
    pub kind: Kind,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The event it is about; none: it is about no event.
    pub event: Option<EventRef>,
    /// Slug of the source it is about.
    pub source: Option<String>,
    /// Slugs of other sources that it concerns.
    pub also: Vec<String>,
    /// What is told.
    pub data: Data,
    /// Where the event had been before it came here.
    pub hops: Hops,
}

/// The event of a message.
#[derive(Clone, Debug)]
pub struct EventRef {
    /// Its id.
    pub id: Uuid,
    /// Its correlation id.
    pub correlation_id: String,
    /// When it was received.
    pub received_at: i64,
}

/// What is told, complete; a subscription that wants ids gets less.
#[derive(Clone, Debug)]
pub enum Data {
    /// About an event.
    Event(WebhookEvent),
    /// About a delivery.
    Delivery(Box<WebhookDelivery>),
    /// About a source.
    Source(WebhookSource),
    /// About a connection.
    Connection(WebhookConnection),
}

impl Data {
    /// As it is sent.
    pub fn value(&self, full: bool) -> Value {
        fn json(value: &impl Serialize) -> Value {
            serde_json::to_value(value).unwrap_or_default()
        }
        match self {
            Data::Event(all) if !full => json(&WebhookEvent {
                title: None,
                payload: None,
                ..all.clone()
            }),
            Data::Delivery(all) if !full => json(&WebhookDelivery {
                error: None,
                key: None,
                record_url: None,
                fields: None,
                ..(**all).clone()
            }),
            Data::Connection(all) if !full => json(&WebhookConnection {
                reason: None,
                ..all.clone()
            }),
            Data::Event(all) => json(all),
            Data::Delivery(all) => json(all),
            Data::Source(all) => json(all),
            Data::Connection(all) => json(all),
        }
    }
}

impl Message {
    /// `event.received`. With `full` it carries the payload for subscriptions that want it.
    pub fn event(event: &event::Model, source: &str, rules: &[String], full: bool) -> Self {
        let payload = (full && event.body.len() <= LARGEST_PAYLOAD)
            .then(|| ingest::view(event).ok())
            .flatten();
        Self {
            workspace: event.workspace_id,
            kind: Kind::EventReceived,
            at: event.received_at,
            event: Some(EventRef {
                id: event.id,
                correlation_id: event.correlation_id.clone(),
                received_at: event.received_at,
            }),
            source: Some(source.to_owned()),
            also: Vec::new(),
            hops: Hops::of_event(&event.headers),
            data: Data::Event(WebhookEvent {
                event_id: event.id,
                correlation_id: event.correlation_id.clone(),
                source: source.to_owned(),
                received_at: from_ms(event.received_at),
                disposition: event.disposition.clone(),
                reason: event.reason.clone(),
                rules: rules.to_vec(),
                title: Some(event.title.clone()),
                payload,
            }),
        }
    }

    /// `breaker.opened` or `breaker.closed`; none for a connection to a subscriber.
    pub fn breaker(connection: &ConnectionConfig, opened: bool, at: i64) -> Option<Self> {
        let kind = if opened {
            Kind::BreakerOpened
        } else {
            Kind::BreakerClosed
        };
        Self::upstream(connection, kind, None, at)
    }

    /// `connection.attention`, with the code and the text of why; none for a connection to a
    /// subscriber.
    pub fn attention(connection: &ConnectionConfig, why: (&str, &str), at: i64) -> Option<Self> {
        Self::upstream(connection, Kind::ConnectionAttention, Some(why), at)
    }

    /// `connection.resumed`; none for a connection to a subscriber.
    pub fn resumed(connection: &ConnectionConfig, at: i64) -> Option<Self> {
        Self::upstream(connection, Kind::ConnectionResumed, None, at)
    }

    /// `connection.switched_off`, of a subscriber, for the others.
    pub fn switched_off(subscriber: &ConnectionConfig, why: (&str, &str), at: i64) -> Self {
        Self::connection(subscriber, Kind::ConnectionSwitchedOff, Some(why), at)
    }

    fn upstream(
        connection: &ConnectionConfig,
        kind: Kind,
        why: Option<(&str, &str)>,
        at: i64,
    ) -> Option<Self> {
        (connection.view.connector != webhook::KIND)
            .then(|| Self::connection(connection, kind, why, at))
    }

    fn connection(
        connection: &ConnectionConfig,
        kind: Kind,
        why: Option<(&str, &str)>,
        at: i64,
    ) -> Self {
        let view = &connection.view;
        Self {
            workspace: view.workspace_id,
            kind,
            at,
            event: None,
            source: None,
            also: Vec::new(),
            hops: Hops::default(),
            data: Data::Connection(WebhookConnection {
                connection_id: view.id,
                connection: view.name.clone(),
                connector: view.connector.clone(),
                code: why.map(|(code, _)| code.to_owned()),
                reason: why.map(|(_, reason)| reason.to_owned()),
            }),
        }
    }

    /// Whether it is about this very connection.
    pub fn is_of(&self, id: Uuid) -> bool {
        matches!(&self.data, Data::Connection(connection) if connection.connection_id == id)
    }

    /// `source.silent` (with the last sign of life, in milliseconds since 1970) or
    /// `source.recovered`.
    pub fn source(source: &SourceConfig, silent: bool, last_seen: Option<i64>, at: i64) -> Self {
        Self {
            workspace: source.workspace_id,
            kind: if silent {
                Kind::SourceSilent
            } else {
                Kind::SourceRecovered
            },
            at,
            event: None,
            source: Some(source.slug.clone()),
            also: Vec::new(),
            hops: Hops::default(),
            data: Data::Source(WebhookSource {
                source_id: source.id,
                source: source.slug.clone(),
                last_seen_at: last_seen.map(from_ms),
            }),
        }
    }
}
