//! Taking events in: receive, verify, split, route, and hand over to the journal.
//!
//! The order of the checks of a hook request is fixed: source, enabled, address, rate, size,
//! token in the address, authentication, type, parse. Authentication works on the raw bytes, before anything is parsed,
//! and fails closed. A refusal of a known source is kept in its ring. The answer is 202 only after
//! the journal's commit; a fault while routing still stores the event, as `unrouted`.

mod budget;
mod fan_out;
mod gate;
mod handshake;
mod parse;
mod receive;
mod refuse;
mod replay;
mod route;
mod title;

pub use budget::Budget;
pub use fan_out::{TOO_MANY_EVENTS, view};
pub use parse::parse;
pub use receive::{HOOK_PREFIXES, hook};
pub use replay::{refused, send_test};
pub use route::{route, route_by};
pub use title::title_of;
