//! Reading something for a page: loading, failed or there.
//!
//! A load belongs to the page that made it. When its path changes or the page goes away, the
//! request under way is aborted and a late answer is ignored.

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;

use super::request::parse;
use super::{Abort, Failure, use_api};

/// Where a load stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Remote<T> {
    /// No answer yet.
    Loading,
    /// It failed.
    Failed(Failure),
    /// Here it is.
    Ready(T),
}

/// Something that is read from the server and can be read again.
pub struct Load<T: Send + Sync + 'static> {
    /// Where it stands. While it is read again, the old answer stays.
    pub state: RwSignal<Remote<T>>,
    again: RwSignal<u32>,
}

impl<T: Send + Sync + 'static> Clone for Load<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Send + Sync + 'static> Copy for Load<T> {}

impl<T: Send + Sync + Clone + 'static> Load<T> {
    /// Reads again.
    pub fn reload(self) {
        self.again.try_update(|n| *n = n.wrapping_add(1));
    }

    /// The answer, once it is there.
    pub fn get(self) -> Option<T> {
        self.state.with(|state| match state {
            Remote::Ready(value) => Some(value.clone()),
            _ => None,
        })
    }

    /// The answer, without listening for changes.
    pub fn peek(self) -> Option<T> {
        self.state.try_with_untracked(|state| match state {
            Remote::Ready(value) => Some(value.clone()),
            _ => None,
        })?
    }

    /// Puts a newer answer in place, for example that of a change.
    pub fn put(self, value: T) {
        self.state.try_set(Remote::Ready(value));
    }

    /// Changes the answer in place, for example by the next page of a list.
    pub fn change(self, with: impl FnOnce(&mut T)) {
        self.state.try_update(|state| {
            if let Remote::Ready(value) = state {
                with(value);
            }
        });
    }
}

/// Reads `path` now and whenever it changes.
pub fn load<T>(path: impl Fn() -> String + 'static) -> Load<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    load_when(move || Some(path()))
}

/// The same, waiting while there is no path.
pub fn load_when<T>(path: impl Fn() -> Option<String> + 'static) -> Load<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let api = use_api();
    let load = Load {
        state: RwSignal::new(Remote::Loading),
        again: RwSignal::new(0),
    };
    let asked = StoredValue::new(String::new());
    Effect::new(move |before: Option<Option<Abort>>| {
        drop(before);
        load.again.track();
        let path = path()?;
        if asked.get_value() != path {
            load.state.set(Remote::Loading);
            asked.set_value(path.clone());
        }
        let abort = Abort::new();
        let signal = abort.signal();
        spawn_local(async move {
            let answer = api.text(&path, signal.clone()).await;
            if signal.is_some_and(|signal| signal.aborted()) {
                return;
            }
            load.state
                .try_set(match answer.and_then(|text| parse(&text)) {
                    Ok(value) => Remote::Ready(value),
                    Err(failure) => Remote::Failed(failure),
                });
        });
        Some(abort)
    });
    load
}
