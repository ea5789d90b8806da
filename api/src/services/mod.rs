//! Use cases: each owns its checks and its transaction.

pub mod actions;
pub mod validate;
