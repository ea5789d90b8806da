//! Lifecycle messages: telling subscribers what happens here.
//!
//! A subscription is a connection of the connector `webhook`, and a message is a delivery to it:
//! rule none, operation [`MESSAGE`], fields the body. So messages have state, attempts, breaker,
//! retries and dead letters like everything else that goes out.
//!
//! Invariant: a message is written in the transaction of what it tells about, once for each
//! subscription that wants it, and only then; without subscriptions nothing is built or written.
//! Loops cannot arise: deliveries to subscribers, and connections of theirs, produce no messages,
//! but that one was switched off, which happens once and is told to the others; and a message that
//! comes back as an event says where it has been in the header [`HOPS`], by which a hook refuses it.
//! Failure: a transaction that fails takes its messages along. A crash after the commit leaves ready
//! deliveries, which are carried out later.

mod hops;
mod message;
mod subscription;

use entity::delivery;
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;
use uuid::Uuid;

use crate::clock::from_ms;
use crate::core::Core;
use crate::ids;
use crate::journal::sql;
use crate::snapshot::Snapshot;

pub use hops::{FIELD as HOPS_FIELD, HOPS, Hops, MOST as MOST_HOPS};
pub use message::{Data, EventRef, Message};
pub use subscription::Subscription;

/// The operation of messages.
pub const MESSAGE: &str = "webhook.send";
/// What stands in place of the rule.
pub const RULE: &str = "lifecycle";

/// Whether a delivery is a message to a subscriber.
pub fn is_message(row: &delivery::Model) -> bool {
    row.operation == MESSAGE
}

/// The deliveries of a message: one for each subscription of its workspace that wants it.
pub fn rows(snapshot: &Snapshot, message: &Message) -> Vec<delivery::Model> {
    snapshot
        .subscriptions(message.workspace)
        .iter()
        // Nobody is told of himself.
        .filter(|s| !message.is_of(s.connection))
        .filter(|s| {
            s.wants(message.kind, message.source.as_deref())
                || message
                    .also
                    .iter()
                    .any(|one| s.wants(message.kind, Some(one)))
        })
        .map(|s| row(s, message))
        .collect()
}

/// Writes the deliveries of a message within the transaction of what it tells about. Hand what it
/// returns to [`wake`] after the commit.
///
/// # Errors
/// A statement failed.
pub async fn publish_in(
    txn: &impl ConnectionTrait,
    snapshot: &Snapshot,
    message: Option<Message>,
) -> Result<Vec<Uuid>, DbErr> {
    let Some(message) = message else {
        return Ok(Vec::new());
    };
    let rows = rows(snapshot, &message);
    let all: Vec<&delivery::Model> = rows.iter().collect();
    sql::insert(txn, &all).await?;
    Ok(rows.iter().map(|row| row.connection_id).collect())
}

/// Lets the carriers of subscriptions look for what was written.
pub fn wake(core: &Core, subscriptions: Vec<Uuid>) {
    for connection in subscriptions {
        core.dispatch.announce(connection);
    }
}

fn row(subscription: &Subscription, message: &Message) -> delivery::Model {
    let id = ids::at(message.at);
    let mut fields = json!({
        "type": message.kind.word(),
        "timestamp": from_ms(message.at),
        "data": message.data.value(subscription.full),
    });
    if let (Some(map), Some(hops)) = (fields.as_object_mut(), message.hops.to_field()) {
        // Not part of the body: the connector makes the header of it.
        map.insert(HOPS_FIELD.to_owned(), hops);
    }
    let event = message.event.clone().unwrap_or_else(|| EventRef {
        id: Uuid::nil(),
        correlation_id: id.to_string(),
        received_at: message.at,
    });
    delivery::Model {
        id,
        workspace_id: message.workspace,
        event_id: event.id,
        correlation_id: event.correlation_id,
        received_at: event.received_at,
        rule_id: None,
        rule_name: RULE.to_owned(),
        rule_revision: 0,
        step: 0,
        connection_id: subscription.connection,
        operation: MESSAGE.to_owned(),
        lane: None,
        action: None,
        // What a payload may hold and the database may not.
        fields: fields.to_string().replace("\\u0000", "\\ufffd"),
        message_id: format!("msg_{}", id.simple()),
        state: "ready".to_owned(),
        behind: false,
        due_at: message.at,
        lease_owner: None,
        fence: 0,
        attempts: 0,
        tried_at: None,
        unsure: false,
        error_code: None,
        error: None,
        effect: None,
        record_id: None,
        record_url: None,
        replay_of: None,
        replayed_as: None,
        created_at: message.at,
        updated_at: message.at,
        finished_at: None,
        repeats: 1,
        coalesced_into: None,
        lane_parked: false,
        place: None,
        source_id: None,
    }
}

#[cfg(test)]
mod tests;
