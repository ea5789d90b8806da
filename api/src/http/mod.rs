//! The HTTP side: routes, problems, limits, documents.

pub mod problem;
