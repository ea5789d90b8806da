//! A piece of a job: batch after batch, as long as its time lasts.
//!
//! Invariant: each batch commits by itself what it does, so a fault or a crash takes back none of
//! those before it. What a batch hands to the next one is lost then; a job goes on from its row.

use std::time::{Duration, Instant};

use sea_orm::DbErr;

/// Rows of one batch.
pub const ROWS: u64 = 100;
/// Rows of one piece, of work that is bounded by them.
pub const MOST: u64 = 2_000;
/// Longest time of one piece.
const LONGEST: Duration = Duration::from_secs(1);

/// What batches found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// How many rows.
    pub looked: u64,
    /// True: there are no more.
    pub ended: bool,
}

impl Found {
    /// There are no more.
    pub const END: Self = Self {
        looked: 0,
        ended: true,
    };
}

/// Does the batches of one piece: until there are no more rows, `most` were looked at, or its time is
/// over. Each is called with what the one before it made of `state`, and how many rows it may take.
///
/// # Errors
/// A batch failed; those before it stay done.
pub async fn piece<S, R>(
    state: S,
    most: u64,
    batch: impl FnMut(S, u64) -> R,
) -> Result<(S, Found), DbErr>
where
    R: Future<Output = Result<(S, Found), DbErr>>,
{
    let begun = Instant::now();
    piece_until(|| begun.elapsed() >= LONGEST, state, most, batch).await
}

async fn piece_until<S, R>(
    is_over: impl Fn() -> bool,
    mut state: S,
    most: u64,
    mut batch: impl FnMut(S, u64) -> R,
) -> Result<(S, Found), DbErr>
where
    R: Future<Output = Result<(S, Found), DbErr>>,
{
    let mut all = Found {
        looked: 0,
        ended: false,
    };
    while all.looked < most && !all.ended && !is_over() {
        let (next, found) = batch(state, (most - all.looked).min(ROWS)).await?;
        state = next;
        all.looked += found.looked;
        all.ended = found.ended;
    }
    Ok((state, all))
}

/// Does the batches of work that is done at once, until there are no more rows.
///
/// # Errors
/// The same.
pub async fn all<S, R>(mut state: S, mut batch: impl FnMut(S, u64) -> R) -> Result<S, DbErr>
where
    R: Future<Output = Result<(S, Found), DbErr>>,
{
    loop {
        let (next, found) = batch(state, ROWS).await?;
        if found.ended {
            return Ok(next);
        }
        state = next;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Takes a few of the rows that are left.
    async fn some(left: u64, most: u64) -> Result<(u64, Found), DbErr> {
        let looked = left.min(most).min(4);
        let left = left - looked;
        let ended = left == 0;
        Ok((left, Found { looked, ended }))
    }

    #[tokio::test]
    async fn a_piece_ends_with_its_rows_or_with_its_room() {
        let (left, found) = piece(10, MOST, some).await.unwrap();
        assert_eq!((left, found.looked, found.ended), (0, 10, true));
        let (left, found) = piece(10, 5, some).await.unwrap();
        assert_eq!((left, found.looked, found.ended), (5, 5, false));
        let (left, found) = piece(10, 0, some).await.unwrap();
        assert_eq!((left, found.looked, found.ended), (10, 0, false));
        assert_eq!(all(10, some).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_piece_stops_when_its_time_is_over() {
        let batches = Cell::new(0);
        let over_after_two = || batches.get() == 2;
        let one = |left, most| {
            batches.set(batches.get() + 1);
            some(left, most)
        };
        let (left, found) = piece_until(over_after_two, 20, MOST, one).await.unwrap();
        assert_eq!((left, found.looked, found.ended), (12, 8, false));
    }
}
