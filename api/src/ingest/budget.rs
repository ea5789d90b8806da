//! A bound on the bodies that are in memory at once, whoever sends them.
//!
//! Invariant: every byte of a body is taken from the budget before it is kept, and given back when
//! its request has been answered, however that ends. When nothing is left, requests are refused
//! (503) instead of the process growing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that bodies may still take. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// Nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent;

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// What a request takes, nothing yet.
    pub fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// What a request has taken; it goes back when this is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes more.
    ///
    /// # Errors
    /// Nothing is left; what was taken before stays taken.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Spent> {
        let left = &self.budget.0;
        left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            left.checked_sub(bytes)
        })
        .map_err(|_| Spent)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert_eq!(first.grow(6), Ok(()));
        assert_eq!(second.grow(6), Err(Spent));
        assert_eq!(second.grow(4), Ok(()));
        drop(first);
        assert_eq!(second.grow(6), Ok(()));
        assert_eq!(second.grow(1), Err(Spent));
    }
}
