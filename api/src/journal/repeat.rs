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
        place: place_of(row),
        created_at: now,
        updated_at: now,
        finished_at: None,
        ..row.clone()
    }
}

/// The place in its lane of what stands in the place of a dead letter: that which it had. What was
/// ended otherwise has none any more; its repeat goes to the end.
pub fn place_of(row: &delivery::Model) -> Option<Uuid> {
    (row.state == "dead").then(|| row.place.unwrap_or(row.id))
}

/// The same of several that stand in the place of one: each has a place, right behind that of the one
/// before it.
pub fn places_of(row: &delivery::Model) -> impl Iterator<Item = Option<Uuid>> {
    let first = place_of(row).map(|place| place.as_u128());
    (0..).map(move |nth| Some(Uuid::from_u128(first?.wrapping_add(nth))))
}
