//! The pure rules of Signalbox: no I/O, no clock, no randomness.
//!
//! The same code runs in the server and, compiled to WebAssembly, in the console, so a preview
//! shows what the server will do. Everything a person writes (paths, templates, patterns, rules)
//! is compiled once and refused with the position of the fault; everything that arrives from
//! outside is looked at under a budget. No input may make this crate panic or run away.
//!
//! Start at [`rules::RuleSet`]: rules are compiled into a set, and a set answers what becomes of
//! an event ([`rules::RuleSet::evaluate`]) and why ([`rules::RuleSet::explain`]).
//!
//! ```
//! use engine::model::MatchMode;
//! use engine::rules::{CompiledNoMatch, Input, Meta, RuleInput, RuleSet};
//! use serde_json::json;
//!
//! let rule = RuleInput {
//!     id: "1".into(),
//!     name: "down".into(),
//!     source: None,
//!     priority: 10,
//!     order: 1,
//!     enabled: true,
//!     spec: serde_json::from_value(json!({
//!         "when": [{ "path": "$.status", "op": "equals", "value": "down" }],
//!         "then": [{ "deliver": {
//!             "connection": "psa",
//!             "operation": "ticket.upsert",
//!             "key": "host:{{ host }}",
//!             "map": { "summary": "{{ host | upper }} is down" },
//!         }}],
//!     }))?,
//! };
//! let set = RuleSet::compile(vec![rule]).map_err(|faulty| format!("{faulty:?}"))?;
//! let now = chrono::DateTime::UNIX_EPOCH;
//! let meta = Meta {
//!     event_id: "e".into(),
//!     correlation_id: "c".into(),
//!     received_at: now,
//!     source: "kuma".into(),
//! };
//! let verdict = set.evaluate(&Input {
//!     source: "kuma-id",
//!     mode: MatchMode::First,
//!     no_match: &CompiledNoMatch::keep(),
//!     payload: &json!({ "status": "down", "host": "web1" }),
//!     meta: &meta,
//!     now,
//!     fuel: engine::limits::FUEL,
//! })?;
//! let step = &verdict.matches[0].steps[0];
//! assert_eq!(step.key.as_deref(), Some("host:web1"));
//! assert_eq!(step.fields["summary"], "WEB1 is down");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod split;
pub mod template;
pub mod text;
pub mod window;

pub use fault::{Fault, FaultCode};
