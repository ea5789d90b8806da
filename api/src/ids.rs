//! Ids and random bytes.
//!
//! Invariant: ids of one process grow strictly, also within a millisecond and when the clock goes
//! back: lanes and lists rely on their order.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng as _;
use uuid::Uuid;

use crate::clock::Clock;

/// Milliseconds and a counter of 12 bits of the newest id.
static NEWEST: AtomicU64 = AtomicU64::new(0);
const COUNTER_BITS: u32 = 12;

/// A new time-ordered id (UUID version 7).
pub fn new(clock: &Clock) -> Uuid {
    at(clock.now_ms())
}

/// A new id of this moment, in milliseconds since 1970; a later one if that has been given out.
pub fn at(now: i64) -> Uuid {
    let moment = u64::try_from(now).unwrap_or(0) << COUNTER_BITS;
    let next = |newest: u64| moment.max(newest + 1);
    let before = NEWEST
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |newest| {
            Some(next(newest))
        })
        .unwrap_or_else(|newest| newest);
    build(next(before))
}

/// Makes all ids to come newer than one that was given out by an earlier process.
pub fn continue_after(id: Uuid) {
    let (high, _) = id.as_u64_pair();
    let newest = (high >> 16) << COUNTER_BITS | high & 0xfff;
    NEWEST.fetch_max(newest, Ordering::Relaxed);
}

/// The smallest id of a moment, in milliseconds since 1970.
pub fn first_of(ms: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(ms).unwrap_or(0) << 80)
}

/// The moment of an id, in milliseconds since 1970. Never before it was made: ids run ahead of a
/// clock that was set back.
pub fn moment_of(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX)
}

fn build(moment: u64) -> Uuid {
    let mut rest: [u8; 10] = random();
    let [first, second] = u16::try_from(moment & 0xfff).unwrap_or(0).to_be_bytes();
    if let Some(counter) = rest.first_chunk_mut::<2>() {
        *counter = [first, second];
    }
    uuid::Builder::from_unix_timestamp_millis(moment >> COUNTER_BITS, &rest).into_uuid()
}

/// Random bytes, good enough for secrets.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_within_a_millisecond_and_when_the_clock_goes_back() {
        let start = 1_900_000_000_000;
        let mut last = at(start);
        for step in 0..10_000 {
            let next = at(start - step);
            assert!(next > last);
            last = next;
        }
        assert_eq!(last.get_version_num(), 7);
    }

    #[test]
    fn ids_of_a_moment_are_found_by_it() {
        let start = 1_950_000_000_000;
        let id = at(start);
        assert!(moment_of(id) >= start);
        assert_eq!(moment_of(first_of(start)), start);
        assert!(first_of(start) <= id && id < first_of(moment_of(id) + 1));
        assert_eq!(first_of(-1), Uuid::nil());
    }

    #[test]
    fn ids_go_on_after_those_of_an_earlier_process() {
        let earlier = build(2_000_000_000_000 << COUNTER_BITS | 7);
        continue_after(earlier);
        assert!(at(5) > earlier);
    }
}
