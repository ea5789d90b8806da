//! A bucket that keeps what is put into it, and that can hold an answer: a moment after a piece is
//! stored and before whoever put it knows. It checks no signatures; [`super::ObjectStore`] does.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use actix_web::web::{self, Bytes, Data, PayloadConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::server::{Running, start};

/// A running shelf; its bucket is `shelf`.
#[derive(Debug)]
pub struct FakeShelf {
    /// Its address.
    pub url: String,
    state: Arc<State>,
    _running: Running,
}

#[derive(Debug)]
struct State {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Names that were put while there was something under them.
    replaced: Mutex<Vec<String>>,
    status: Mutex<u16>,
    /// A part of the name whose answer is to be held next.
    hold: Mutex<Option<String>>,
    released: watch::Sender<bool>,
}

impl FakeShelf {
    /// An empty one.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start() -> io::Result<Self> {
        let state = Arc::new(State {
            objects: Mutex::default(),
            replaced: Mutex::default(),
            status: Mutex::new(200),
            hold: Mutex::default(),
            released: watch::Sender::new(true),
        });
        let shared = Arc::clone(&state);
        let running = start(0, 1, move |config| routes(config, &shared))?;
        Ok(Self {
            url: format!("http://{}", running.address),
            state,
            _running: running,
        })
    }

    /// Holds one answer, the next to what has this in its name, until [`FakeShelf::release`].
    pub fn hold(&self, part: &str) {
        self.state.released.send_replace(false);
        *self.state.hold.lock() = Some(part.to_owned());
    }

    /// Lets go what is held.
    pub fn release(&self) {
        *self.state.hold.lock() = None;
        self.state.released.send_replace(true);
    }

    /// Whether an answer is held.
    pub fn holds(&self) -> bool {
        self.state.hold.lock().is_none() && !*self.state.released.borrow()
    }

    /// What is put from now on is refused with this status; 200: it is taken.
    pub fn answer(&self, status: u16) {
        *self.state.status.lock() = status;
    }

    /// All objects by their names.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.objects.lock().clone()
    }

    /// Names that were put more than once.
    pub fn replaced(&self) -> Vec<String> {
        self.state.replaced.lock().clone()
    }
}

fn routes(config: &mut ServiceConfig, state: &Arc<State>) {
    config
        .app_data(Data::from(Arc::clone(state)))
        .app_data(PayloadConfig::new(64 << 20))
        .route("/shelf/{name:.*}", web::put().to(put));
}

async fn put(
    request: HttpRequest,
    state: Data<State>,
    body: Bytes,
) -> Result<HttpResponse, actix_web::Error> {
    let name = request.match_info().query("name").to_owned();
    let status = *state.status.lock();
    if status == 200 {
        let old = state.objects.lock().insert(name.clone(), body.to_vec());
        if old.is_some() {
            state.replaced.lock().push(name.clone());
        }
    }
    let mut released = state.released.subscribe();
    let held = state
        .hold
        .lock()
        .take_if(|part| name.contains(part.as_str()));
    if held.is_some() {
        released
            .wait_for(|released| *released)
            .await
            .map_err(actix_web::error::ErrorGone)?;
    }
    let status = actix_web::http::StatusCode::from_u16(status)
        .map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::build(status).finish())
}
