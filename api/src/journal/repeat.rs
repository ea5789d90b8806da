//! A delivery once more.

use entity::delivery;
use uuid::Uuid;

/// A repeat of a delivery: the same content and place, and a history of its own.
pub fn repeat_of(row: &delivery::Model, id: Uuid, now: i64) -> delivery::Model {
    delivery::Model {
        id,
        state: "ready".to_owned(),
        behind: false,
        due_at: now,
        lease_owner: None,
        fence: 0,
        attempts: 0,
        tried_at: None,
        error_code: None,
        error: None,
        effect: None,
        record_id: None,
        record_url: None,
        replay_of: Some(row.id),
        replayed_as: None,
        coalesced_into: None,
        lane_parked: false,
        created_at: now,
        updated_at: now,
        finished_at: None,
        ..row.clone()
    }
}
