//! The budget of one evaluation.

use crate::fault::Fault;

/// What an evaluation may still cost. One unit is one node looked at, one condition, or a few
/// bytes compared or rendered.
#[derive(Debug, Clone)]
pub struct Fuel {
    left: u64,
    given: u64,
}

impl Fuel {
    /// A full tank.
    pub const fn new(units: u64) -> Self {
        Self {
            left: units,
            given: units,
        }
    }

    /// Takes `units`; once the tank is empty every further call fails with `fuel_exhausted`.
    pub fn spend(&mut self, units: u64) -> Result<(), Fault> {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::fuel())
            }
        }
    }

    /// Takes the price of `bytes` bytes of text.
    pub fn spend_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(bytes as u64 / 16 + 1)
    }

    /// Units spent so far.
    pub const fn spent(&self) -> u64 {
        self.given - self.left
    }
}
