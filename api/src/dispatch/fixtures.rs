//! A dispatcher, deliveries and outcomes for the tests of dispatch and of the journal.

use std::time::Duration;

use engine::retry::RetryPolicy;
use entity::delivery;
use uuid::Uuid;

use super::Options;
use crate::connectors::{Effect, Fault, LinkChange};
use crate::journal::{NewState, Settlement};

/// Whose they are.
pub const WORKSPACE: Uuid = Uuid::from_u128(1);
/// Where they go.
pub const CONNECTION: Uuid = Uuid::from_u128(7);

/// Of a dispatcher that holds little, so that some wait in the database.
pub fn options() -> Options {
    Options {
        capacity: 4,
        concurrency: 16,
        retry: RetryPolicy::default(),
        breaker_failures: 10,
        lease: Duration::from_secs(10),
        works: true,
        random: || 0.0,
    }
}

/// What came of a delivery.
pub fn settlement(claimed: delivery::Model, next: NewState, now: i64) -> Settlement {
    Settlement {
        connection: "upstream".to_owned(),
        revision: 1,
        state_at: 0,
        started_at: Some(now),
        duration_ms: 1,
        outcome: "model",
        next,
        effect: Some(Effect::Sent).filter(|_| next == NewState::Delivered),
        record: None,
        fault: (next != NewState::Delivered).then(|| Fault {
            code: "model".to_owned(),
            message: "model".to_owned(),
            status: None,
        }),
        link: LinkChange::Keep,
        exchanges: Vec::new(),
        claimed,
    }
}

/// A delivery that is new.
pub fn new_row(
    number: u32,
    lane: Option<u8>,
    action: u8,
    now: i64,
    behind: u16,
) -> delivery::Model {
    // The clock of another node is a little behind.
    let at = u64::try_from(now - i64::from(behind % 500)).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(at, &crate::ids::random()).into_uuid();
    let action = match action {
        0 => Some("open"),
        1 => Some("close"),
        2 => None,
        6 | 7 => Some("open"),
        _ => Some("note"),
    };
    delivery::Model {
        id,
        workspace_id: WORKSPACE,
        event_id: Uuid::from_u128(3),
        source_id: None,
        correlation_id: String::new(),
        received_at: now,
        rule_id: None,
        rule_name: String::new(),
        rule_revision: 1,
        step: 0,
        connection_id: CONNECTION,
        operation: "ticket.upsert".to_owned(),
        lane: lane.map(|lane| format!("lane {lane}")),
        action: action.map(str::to_owned),
        fields: "{}".to_owned(),
        message_id: format!("{number}"),
        state: "ready".to_owned(),
        behind: false,
        due_at: now,
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
        created_at: now,
        updated_at: now,
        finished_at: None,
        repeats: 1,
        coalesced_into: None,
        lane_parked: false,
        place: None,
    }
}
