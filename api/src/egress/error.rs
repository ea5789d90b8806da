//! Why a call did not work, and whether it may have been heard.

use std::error::Error as _;
use std::fmt;

/// A call without a complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressError {
    /// What went wrong.
    pub kind: EgressFault,
    /// True: the request may have reached the upstream, so it may have taken effect.
    pub sent: bool,
    /// The status, when the answer began but could not be read to its end.
    pub status: Option<u16>,
    /// For people; neither address nor secrets.
    pub message: String,
}

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressFault {
    /// The address has a form that is never called: another scheme, a user name, no host.
    Invalid,
    /// The address is not one that this connection may call.
    Blocked,
    /// The name does not resolve.
    Dns,
    /// Nothing listens, or the way there is broken.
    Connect,
    /// No trust: certificate or protocol.
    Tls,
    /// No answer in time.
    Timeout,
    /// The answer is longer than the limit.
    TooLarge,
    /// The connection was cut.
    Reset,
    /// The answer is not HTTP.
    Protocol,
}

impl EgressFault {
    /// The stable code, by which dead letters are grouped.
    pub const fn code(self) -> &'static str {
        match self {
            EgressFault::Invalid => "invalid_url",
            EgressFault::Blocked => "blocked",
            EgressFault::Dns => "dns",
            EgressFault::Connect => "connect",
            EgressFault::Tls => "tls",
            EgressFault::Timeout => "timeout",
            EgressFault::TooLarge => "too_large",
            EgressFault::Reset => "reset",
            EgressFault::Protocol => "protocol",
        }
    }
}

impl fmt::Display for EgressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EgressError {}

/// What the resolver answers for a name whose addresses are all refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to addresses that may not be called")
    }
}

impl std::error::Error for Refused {}

/// What the resolver answers for a name that leads nowhere.
#[derive(Clone, Debug)]
pub(super) struct Unresolved(pub(super) String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name does not resolve: {}", self.0)
    }
}

impl std::error::Error for Unresolved {}

impl EgressError {
    /// A call that was never begun.
    pub(super) fn before(kind: EgressFault, message: impl Into<String>) -> Self {
        Self {
            kind,
            sent: false,
            status: None,
            message: message.into(),
        }
    }

    /// Of a call that the client gave up; `status` when the answer had begun.
    pub(super) fn from_client(error: reqwest::Error, status: Option<u16>) -> Self {
        let error = error.without_url();
        let refused = chain(&error).any(|e| e.is::<Refused>());
        let unresolved = chain(&error).any(|e| e.is::<Unresolved>());
        let tls = chain(&error).any(|e| e.is::<rustls::Error>() || is_tls(e));
        let kind = if refused {
            EgressFault::Blocked
        } else if unresolved {
            EgressFault::Dns
        } else if error.is_timeout() {
            EgressFault::Timeout
        } else if tls {
            EgressFault::Tls
        } else if error.is_connect() {
            EgressFault::Connect
        } else if error.is_builder() {
            EgressFault::Invalid
        } else if chain(&error).any(is_parse) {
            EgressFault::Protocol
        } else {
            EgressFault::Reset
        };
        // Until the connection stands nothing can have been heard.
        let sent = status.is_some()
            || !(refused || unresolved || error.is_connect() || error.is_builder());
        Self {
            kind,
            sent,
            status,
            message: describe(kind, &error),
        }
    }
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

/// TLS faults reach us inside an I/O error, whose chain skips its own content.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

fn is_parse(error: &(dyn std::error::Error + 'static)) -> bool {
    // The client's own error type is not part of our dependencies; its text is stable enough to
    // choose between two codes that are handled alike.
    error.to_string().contains("invalid HTTP")
}

fn describe(kind: EgressFault, error: &reqwest::Error) -> String {
    let cause = chain(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string);
    match kind {
        EgressFault::Timeout if error.is_connect() => {
            "the connection was not made in time".to_owned()
        }
        EgressFault::Timeout => "no answer in time".to_owned(),
        EgressFault::Blocked => {
            "the address is private or special, and this connection may not call such addresses"
                .to_owned()
        }
        EgressFault::Dns => cause,
        EgressFault::Connect => format!("could not connect: {cause}"),
        EgressFault::Tls => format!("no trusted connection: {cause}"),
        EgressFault::Reset => format!("the connection was cut: {cause}"),
        EgressFault::Protocol => format!("the answer is not HTTP: {cause}"),
        EgressFault::Invalid | EgressFault::TooLarge => cause,
    }
}
