//! Places in memory, reserved for deliveries that a transaction leases to this node.
//!
//! Invariant: who reserved a place has it until the delivery is handed over. Dropped before that, by
//! an error or with a future that is given up half way, it is free again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use entity::delivery;
use uuid::Uuid;

use super::Desk;

/// Reserved places, each for one delivery of a connection.
#[derive(Default)]
pub struct Places(Vec<Arc<Desk>>);

impl Places {
    /// One more, which its desk counts already.
    pub(super) fn add(&mut self, desk: Arc<Desk>) {
        self.0.push(desk);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives one of a connection back.
    pub fn give_back(&mut self, connection: Uuid) {
        if let Some(at) = self.0.iter().position(|desk| desk.id == connection) {
            free(&self.0.swap_remove(at));
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for desk in &self.0 {
            free(desk);
        }
    }
}

fn free(desk: &Desk) {
    desk.held.fetch_sub(1, Ordering::AcqRel);
}

/// Deliveries that are leased to this node, with their places.
#[derive(Default)]
pub struct Leased {
    rows: Vec<delivery::Model>,
    places: Places,
}

impl Leased {
    /// Each of them has its place among these.
    pub fn new(rows: Vec<delivery::Model>, places: Places) -> Self {
        Self { rows, places }
    }

    /// The deliveries.
    pub fn rows(&self) -> &[delivery::Model] {
        &self.rows
    }

    /// For the carriers: from now on they free the places, each when its call has ended.
    pub(super) fn hand_over(mut self) -> Vec<delivery::Model> {
        self.places.0.clear();
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Handle;
    use crate::dispatch::fixtures::{CONNECTION, new_row, options};

    #[test]
    fn a_place_is_free_again_unless_its_delivery_is_handed_over() {
        let dispatch = Handle::new(Uuid::nil(), options());
        let other = Uuid::from_u128(8);
        let mut places = Places::default();
        for connection in [CONNECTION, other, CONNECTION] {
            assert!(dispatch.reserve(connection, &mut places));
        }
        assert_eq!((places.count(), dispatch.in_memory()), (3, 3));
        places.give_back(other);
        places.give_back(other);
        assert_eq!((places.count(), dispatch.in_memory()), (2, 2));
        drop(places);
        assert_eq!(dispatch.in_memory(), 0);

        let leased = |dispatch: &Handle| {
            let mut places = Places::default();
            assert!(dispatch.reserve(CONNECTION, &mut places));
            Leased::new(vec![new_row(1, None, 0, 1, 0)], places)
        };
        drop(leased(&dispatch));
        assert_eq!(dispatch.in_memory(), 0);
        dispatch.offer(leased(&dispatch));
        assert_eq!(dispatch.in_memory(), 1, "the carrier frees it");
    }
}
