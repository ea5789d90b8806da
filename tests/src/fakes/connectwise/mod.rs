//! A ConnectWise tenant: tickets, notes and lists, with paging, conditions, the vendor's error
//! bodies and faults on order.
//!
//! The API lies under `/v4_6_release/apis/3.0`, what tests ask under `/_fake`.

mod conditions;
mod routes;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::Value;

use super::faults::{Fault, Faults};
use super::server::{Running, start};
use state::State;

/// Where the API lies.
pub const ROOT: &str = "/v4_6_release/apis/3.0";

/// Who may call, and the habits of the tenant.
#[derive(Clone, Debug)]
pub struct Options {
    /// Login company.
    pub company: String,
    /// Public key.
    pub public_key: String,
    /// Private key.
    pub private_key: String,
    /// Whether wrong keys are answered with 404, as the cloud does, instead of 401.
    pub hides: bool,
    /// Whether a search by equality also yields rows that only contain the text.
    pub sloppy: bool,
    /// Whether changes below a reference are answered with success and not honoured.
    pub deaf: bool,
    /// Whether lists come without `Link` headers.
    pub no_links: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            company: "acme".to_owned(),
            public_key: "public".to_owned(),
            private_key: "private".to_owned(),
            hides: false,
            sloppy: false,
            deaf: false,
            no_links: false,
        }
    }
}

#[derive(Debug)]
struct Shared {
    options: Options,
    authorization: String,
    state: Mutex<State>,
    calls: Mutex<BTreeMap<String, u64>>,
    faults: Faults,
}

/// A running tenant.
#[derive(Debug)]
pub struct FakeConnectWise {
    /// Address of the API: the connection's `base_url`.
    pub url: String,
    /// Address without a path.
    pub origin: String,
    shared: Arc<Shared>,
    _running: Running,
}

impl FakeConnectWise {
    /// A tenant on a free port.
    ///
    /// # Errors
    /// No port, or no thread.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(0, Options::default())
    }

    /// A tenant on this port; 0 takes a free one.
    ///
    /// # Errors
    /// The port is taken, or there is no thread.
    pub fn start_with(port: u16, options: Options) -> io::Result<Self> {
        let keys = format!(
            "{}+{}:{}",
            options.company, options.public_key, options.private_key
        );
        let shared = Arc::new(Shared {
            authorization: format!("Basic {}", STANDARD.encode(keys)),
            options,
            state: Mutex::new(State::seeded()),
            calls: Mutex::default(),
            faults: Faults::default(),
        });
        let server = Arc::clone(&shared);
        let running = start(port, 1, move |config| routes::routes(config, &server))?;
        let origin = format!("http://{}", running.address);
        Ok(Self {
            url: format!("{origin}{ROOT}"),
            origin,
            shared,
            _running: running,
        })
    }

    /// Scripts a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Takes back every fault.
    pub fn mend(&self) {
        self.shared.faults.clear();
    }

    /// Every ticket, by number.
    pub fn tickets(&self) -> Vec<Value> {
        self.shared.state.lock().tickets.values().cloned().collect()
    }

    /// The notes of a ticket, oldest first.
    pub fn notes(&self, ticket: i64) -> Vec<Value> {
        self.shared
            .state
            .lock()
            .notes
            .get(&ticket)
            .cloned()
            .unwrap_or_default()
    }

    /// How often each method and path was called, numbers replaced by `{id}`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.calls.lock().clone()
    }

    /// How often this one was called, as in `POST /service/tickets`.
    pub fn called(&self, what: &str) -> u64 {
        self.shared
            .calls
            .lock()
            .get(what)
            .copied()
            .unwrap_or_default()
    }

    /// Removes a ticket, as a person would.
    pub fn delete_ticket(&self, ticket: i64) {
        self.shared.delete(ticket);
    }

    /// Takes away the right to see these tickets; none shows all of them again.
    pub fn hide_tickets(&self, tickets: impl IntoIterator<Item = i64>) {
        self.shared.state.lock().hidden = tickets.into_iter().collect();
    }

    /// Sets a ticket's status by name, as a person would.
    ///
    /// # Panics
    /// There is no such ticket, or its board has no such status.
    pub fn set_status(&self, ticket: i64, name: &str) {
        let change =
            serde_json::json!([{"op": "replace", "path": "status", "value": {"name": name}}]);
        let changed = self
            .shared
            .state
            .lock()
            .patch(ticket, &change, false, &routes::now());
        assert!(
            changed.is_ok(),
            "ticket {ticket} cannot get the status {name}"
        );
    }

    /// Forgets tickets, notes, faults and counters.
    pub fn reset(&self) {
        self.shared.reset();
    }
}

impl Shared {
    fn delete(&self, ticket: i64) {
        let mut state = self.state.lock();
        state.tickets.remove(&ticket);
        state.notes.remove(&ticket);
    }

    fn reset(&self) {
        *self.state.lock() = State::seeded();
        self.calls.lock().clear();
        self.faults.clear();
    }
}
