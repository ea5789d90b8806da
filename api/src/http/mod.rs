//! The HTTP side: routes, problems, limits, documents.

pub mod extract;
pub mod finish;
pub mod health;
pub mod problem;
pub mod trace;
