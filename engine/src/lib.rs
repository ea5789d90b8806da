//! The pure rules of Signalbox: no I/O, no clock, no randomness.
//!
//! The same code runs in the server and, compiled to WebAssembly, in the console, so a preview
//! shows what the server will do. Everything a person writes (paths, templates, patterns, rules)
//! is compiled once and refused with the position of the fault; everything that arrives from
//! outside is looked at under a budget. No input may make this crate panic or run away.
//!
//! Start at [`rules::RuleSet`]: rules are compiled into a set, and a set answers what becomes of
//! an event ([`rules::RuleSet::evaluate`]) and why ([`rules::RuleSet::explain`]).

pub mod breaker;
pub mod compare;
pub mod fault;
pub mod fuel;
pub mod limits;
pub mod model;
pub mod path;
pub mod retry;
pub mod rules;
pub mod secret;
pub mod signature;
pub mod template;
pub mod text;

pub use fault::{Fault, FaultCode};
