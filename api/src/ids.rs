//! Ids and random bytes.

use rand::Rng as _;
use uuid::Uuid;

use crate::clock::Clock;

/// A new time-ordered id.
pub fn new(clock: &Clock) -> Uuid {
    let millis = u64::try_from(clock.now_ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}

/// Random bytes, good enough for secrets.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
