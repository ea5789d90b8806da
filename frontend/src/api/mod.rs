//! Speaking to the server: requests with the session's token, problems as values.

mod failure;
mod live;
mod load;
mod place;
mod proof;
mod read;
mod request;
mod write;

pub use failure::Failure;
pub use live::{Live, Status, use_live};
pub use load::{AnyLoad, Load, Remote, load, load_by, load_when};
pub use read::{Tree, Unread, decimal, from_person, from_text};
pub use request::{Abort, Api, SignedIn, use_api};
pub use write::{fraction, to_pretty, to_text};

/// Percent-encodes one value of a query or one segment of a path.
pub fn encode(text: &str) -> String {
    String::from(js_sys::encode_uri_component(text))
}

/// Puts a query together from the pairs that have a value.
pub fn query(path: &str, pairs: &[(&str, String)]) -> String {
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(separator);
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
        separator = '&';
    }
    out
}
