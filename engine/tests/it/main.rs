//! Behaviour of the engine, module by module.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conditions;
mod fairness;
mod fields;
mod hostile;
mod index;
mod model;
mod paths;
mod request_signature;
mod retry;
mod rules;
mod signatures;
mod split;
mod support;
mod templates;
mod windows;
mod yaml;
