//! The order of a lane.
//!
//! Deliveries of one key have an order if one was answered before the other was sent, and if both
//! were open at once: then the one that came later has the larger id. Two that came at the same time
//! have none.

use std::collections::HashMap;
use std::time::Instant;

use uuid::Uuid;

use super::rows::Delivery;

/// What a sender knows of an event.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// Its id.
    pub event: Uuid,
    /// When it was sent for the first time.
    sent: Instant,
    /// When it was answered.
    answered: Instant,
    /// The same in milliseconds since 1970.
    answered_ms: i64,
}

impl Receipt {
    /// An event that was answered just now.
    pub fn of(event: Uuid, sent: Instant) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "it is compared with a real server"
        )]
        let now = chrono::Utc::now();
        Self {
            event,
            sent,
            answered: Instant::now(),
            answered_ms: now.timestamp_millis(),
        }
    }
}

/// What is known of the order of events.
#[derive(Default)]
pub(super) struct Order {
    receipts: HashMap<Uuid, Receipt>,
    clocks_apart: bool,
}

impl Order {
    pub(super) fn know(&mut self, receipt: Receipt) {
        self.receipts.insert(receipt.event, receipt);
    }

    pub(super) fn clocks_apart(&mut self) {
        self.clocks_apart = true;
    }

    /// The deliveries of a lane, as they arrived.
    pub(super) fn holds(&self, lane: &str, arrived: &[&Delivery]) {
        let known = arrived.iter().copied();
        let known = known.filter_map(|d| Some((d, self.receipts.get(&d.event)?)));
        let mut newest: Option<(&Delivery, &Receipt)> = None;
        for (delivery, receipt) in known {
            if let Some((other, later)) = newest {
                assert!(
                    receipt.answered >= later.sent,
                    "{lane}: {} was answered before {} was sent, and came after it",
                    delivery.id,
                    other.id
                );
            }
            if newest.is_none_or(|(_, later)| receipt.sent > later.sent) {
                newest = Some((delivery, receipt));
            }
        }
        if self.clocks_apart {
            return;
        }
        for (n, first) in arrived.iter().enumerate() {
            for second in &arrived[n + 1..] {
                let receipt = self.receipts.get(&second.event);
                let both_open = receipt.is_some_and(|r| Some(r.answered_ms) < first.ended);
                assert!(
                    first.id < second.id || !both_open,
                    "{lane}: {} came after {}, which is behind it",
                    second.id,
                    first.id
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openapi::deliveries::State;

    use super::*;

    fn delivery(n: u128, ended: i64) -> Delivery {
        Delivery {
            id: Uuid::from_u128(n),
            event: Uuid::from_u128(100 + n),
            connection: Uuid::nil(),
            rule: None,
            rule_name: String::new(),
            step: 0,
            lane: Some("a".to_owned()),
            message: String::new(),
            state: State::Delivered,
            ended: Some(ended),
            leases: 1,
            attempts: 1,
            effect: None,
            record: None,
            replay_of: None,
            replayed_as: None,
            coalesced_into: None,
            repeats: 1,
        }
    }

    /// Sent and answered at these milliseconds.
    fn order(times: &[(u64, u64)]) -> Order {
        let start = Instant::now();
        let mut order = Order::default();
        for (n, (sent, answered)) in (1..).zip(times) {
            order.know(Receipt {
                event: Uuid::from_u128(100 + n),
                sent: start + Duration::from_millis(*sent),
                answered: start + Duration::from_millis(*answered),
                answered_ms: i64::try_from(*answered).unwrap(),
            });
        }
        order
    }

    #[test]
    fn what_came_at_the_same_time_has_no_order() {
        let (first, second) = (delivery(1, 30), delivery(2, 9));
        // The second ended before anybody was told of the first.
        order(&[(0, 10), (5, 8)]).holds("a", &[&second, &first]);
        order(&[(0, 10), (5, 8)]).holds("a", &[&first, &second]);
    }

    #[test]
    #[should_panic(expected = "was sent, and came after it")]
    fn what_was_answered_before_the_other_was_sent_comes_first() {
        let (first, second) = (delivery(1, 30), delivery(2, 20));
        order(&[(0, 4), (5, 8)]).holds("a", &[&second, &first]);
    }

    #[test]
    #[should_panic(expected = "which is behind it")]
    fn what_was_open_at_once_goes_by_its_ids() {
        let (first, second) = (delivery(1, 30), delivery(2, 20));
        order(&[(0, 10), (5, 8)]).holds("a", &[&second, &first]);
    }
}
