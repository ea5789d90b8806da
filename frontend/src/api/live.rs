//! The live stream: one connection for the whole console, any number of listeners.
//!
//! The browser resumes after a lost connection with the id of the last message. When it gives
//! up (the server answered with an error), the stream is opened anew after a growing pause, and
//! listeners get a `Reset`, since messages may be missing.

use std::cell::Cell;
use std::rc::Rc;

use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use openapi::stream::Message;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

use super::read::tree;

const NAMES: [&str; 6] = [
    "event",
    "delivery",
    "refusal",
    "configuration",
    "job",
    "reset",
];
const FIRST_PAUSE_MS: u32 = 1_000;
const LONGEST_PAUSE_MS: u32 = 30_000;

/// Whether messages arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not asked for.
    Off,
    /// Trying.
    Connecting,
    /// Connected.
    On,
}

type Listener = Rc<dyn Fn(&Message)>;

/// The live stream, from the context.
#[derive(Clone, Copy)]
pub struct Live {
    /// Whether messages arrive.
    pub status: RwSignal<Status>,
    listeners: StoredValue<Vec<(u64, Listener)>, LocalStorage>,
    next: StoredValue<u64>,
    open: StoredValue<Option<Stream>, LocalStorage>,
    retry: StoredValue<Option<Timeout>, LocalStorage>,
    pause: StoredValue<u32>,
    address: StoredValue<String>,
}

/// Keeps what the browser calls alive as long as the stream is.
struct Stream {
    source: EventSource,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _open: Closure<dyn FnMut()>,
    _error: Closure<dyn FnMut()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.close();
    }
}

/// The live stream, from the context.
pub fn use_live() -> Live {
    use_context::<Live>().unwrap_or_else(Live::new)
}

impl Live {
    /// A stream that is not open yet.
    pub fn new() -> Self {
        Self {
            status: RwSignal::new(Status::Off),
            listeners: StoredValue::new_local(Vec::new()),
            next: StoredValue::new(0),
            open: StoredValue::new_local(None),
            retry: StoredValue::new_local(None),
            pause: StoredValue::new(FIRST_PAUSE_MS),
            address: StoredValue::new(String::new()),
        }
    }

    /// Opens the stream at an address, in place of one that may be open.
    pub fn follow(self, address: String) {
        self.address.set_value(address);
        self.start();
    }

    fn start(self) {
        self.status.set(Status::Connecting);
        let Ok(source) = EventSource::new(&self.address.get_value()) else {
            self.status.set(Status::Off);
            return;
        };
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(text) = event.data().as_string()
                && let Some(message) = read(&text)
            {
                self.tell(&message);
            }
        });
        for name in NAMES {
            // A browser that has no listeners has no event source either.
            drop(source.add_event_listener_with_callback(name, message.as_ref().unchecked_ref()));
        }
        let opened = Closure::<dyn FnMut()>::new(move || {
            self.pause.set_value(FIRST_PAUSE_MS);
            self.status.try_set(Status::On);
        });
        let failed = Closure::<dyn FnMut()>::new(move || self.lost());
        source.set_onopen(Some(opened.as_ref().unchecked_ref()));
        source.set_onerror(Some(failed.as_ref().unchecked_ref()));
        self.open.set_value(Some(Stream {
            source,
            _message: message,
            _open: opened,
            _error: failed,
        }));
    }

    /// Closes the stream while the page is hidden away, and opens it when it is shown again. A
    /// browser keeps pages that were left, and each open stream takes one of its few connections
    /// to the server: after some reloads there would be none left.
    pub fn rest_with_the_page(self) {
        let resting = StoredValue::new(false);
        // Both listeners stay as long as the page does.
        let _hidden = window_event_listener_untyped("pagehide", move |_| {
            resting.set_value(self.open.with_value(Option::is_some));
            self.stop();
        });
        let _shown = window_event_listener_untyped("pageshow", move |_| {
            if resting.get_value() {
                resting.set_value(false);
                self.start();
                self.tell(&Message::Reset);
            }
        });
    }

    /// Closes the stream.
    pub fn stop(self) {
        self.retry.set_value(None);
        self.open.set_value(None);
        self.status.try_set(Status::Off);
    }

    /// Calls `listener` for every message until the caller's owner goes away.
    pub fn listen(self, listener: impl Fn(&Message) + 'static) {
        let id = self.next.get_value();
        self.next.set_value(id.wrapping_add(1));
        self.listeners
            .update_value(|list| list.push((id, Rc::new(listener))));
        on_cleanup(move || {
            self.listeners
                .try_update_value(|list| list.retain(|(other, _)| *other != id));
        });
    }

    /// Calls `then` after a message that `wanted` picks, at most every `every_ms`.
    pub fn after(
        self,
        every_ms: u32,
        wanted: impl Fn(&Message) -> bool + 'static,
        then: impl Fn() + Clone + 'static,
    ) {
        let waiting = Rc::new(Cell::new(false));
        let alive = Rc::new(Cell::new(true));
        let here = StoredValue::new_local(alive.clone());
        on_cleanup(move || {
            here.try_with_value(|alive| alive.set(false));
        });
        self.listen(move |message| {
            if !wanted(message) || waiting.replace(true) {
                return;
            }
            let (waiting, alive, then) = (waiting.clone(), alive.clone(), then.clone());
            Timeout::new(every_ms, move || {
                waiting.set(false);
                if alive.get() {
                    then();
                }
            })
            .forget();
        });
    }

    fn tell(self, message: &Message) {
        // A listener may add or remove listeners.
        let listeners: Vec<Listener> = self
            .listeners
            .with_value(|list| list.iter().map(|(_, f)| f.clone()).collect());
        for listener in listeners {
            listener(message);
        }
    }

    fn lost(self) {
        self.status.try_set(Status::Connecting);
        let closed = self.open.with_value(|open| {
            open.as_ref()
                .is_some_and(|stream| stream.source.ready_state() == EventSource::CLOSED)
        });
        if !closed {
            return;
        }
        let pause = self.pause.get_value();
        self.pause.set_value((pause * 2).min(LONGEST_PAUSE_MS));
        self.retry.set_value(Some(Timeout::new(pause, move || {
            self.start();
            self.tell(&Message::Reset);
        })));
    }
}

/// The message in a text, if this console knows it. The kind is looked up here instead of in the
/// type's own reader, which keeps a copy of all fields and reads each kind out of that.
fn read(text: &str) -> Option<Message> {
    let tree = tree(text).ok()?;
    Some(match tree.field("type")?.as_text()? {
        "event" => Message::Event(tree.read().ok()?),
        "delivery" => Message::Delivery(tree.read().ok()?),
        "refusal" => Message::Refusal(tree.read().ok()?),
        "connection" => Message::Connection(tree.read().ok()?),
        "configuration" => Message::Configuration {
            revision: tree.field("revision")?.read().ok()?,
        },
        "job" => Message::Job(tree.read().ok()?),
        "reset" => Message::Reset,
        _ => return None,
    })
}
