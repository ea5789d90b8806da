//! Reading something for a page: loading, failed or there.
//!
//! A load belongs to the page that made it. When its path changes or the page goes away, the
//! request under way is aborted and a late answer is ignored.
//!
//! What does not depend on the type of the answer is written without it: the compiler makes each
//! generic function anew for every type, and there are as many types as pages.

use std::any::Any;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;

use super::read::{Tree, Unread, tree};
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

/// Makes an answer of its tree.
type Read = Rc<dyn Fn(&Tree) -> Remote<Held>>;

/// An answer whose type the load knows.
type Held = Arc<dyn Any + Send + Sync>;

/// A load, whatever its type.
#[derive(Clone, Copy)]
pub struct AnyLoad {
    /// Where it stands. While it is read again, the old answer stays.
    state: RwSignal<Remote<Held>>,
    again: RwSignal<u32>,
}

/// Something that is read from the server and can be read again.
pub struct Load<T: Send + Sync + 'static> {
    any: AnyLoad,
    answer: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Clone for Load<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Send + Sync + 'static> Copy for Load<T> {}

impl AnyLoad {
    /// Reads again.
    pub fn reload(self) {
        self.again.try_update(|n| *n = n.wrapping_add(1));
    }

    /// Where it stands, without the answer.
    #[inline(never)]
    pub fn stage(self) -> Remote<()> {
        self.state.with(|state| match state {
            Remote::Loading => Remote::Loading,
            Remote::Failed(failure) => Remote::Failed(failure.clone()),
            Remote::Ready(_) => Remote::Ready(()),
        })
    }

    #[inline(never)]
    fn held(self) -> Option<Held> {
        self.state.with(|state| match state {
            Remote::Ready(value) => Some(Arc::clone(value)),
            _ => None,
        })
    }

    #[inline(never)]
    fn held_untracked(self) -> Option<Held> {
        self.state.try_with_untracked(|state| match state {
            Remote::Ready(value) => Some(Arc::clone(value)),
            _ => None,
        })?
    }

    #[inline(never)]
    fn put(self, value: Remote<Held>) {
        self.state.try_set(value);
    }
}

impl<T: Send + Sync + Clone + 'static> Load<T> {
    /// Without its type.
    pub fn any(self) -> AnyLoad {
        self.any
    }

    /// Reads again.
    pub fn reload(self) {
        self.any.reload();
    }

    /// Listens for changes.
    pub fn track(self) {
        self.any.state.track();
    }

    /// Where it stands, without the answer.
    pub fn stage(self) -> Remote<()> {
        self.any.stage()
    }

    /// The answer, once it is there.
    pub fn get(self) -> Option<T> {
        self.any.held()?.downcast_ref().cloned()
    }

    /// The answer, without listening for changes.
    pub fn peek(self) -> Option<T> {
        self.any.held_untracked()?.downcast_ref().cloned()
    }

    /// What `with` finds in the answer, once it is there.
    pub fn with<R>(self, with: impl FnOnce(&T) -> R) -> Option<R> {
        self.any.held()?.downcast_ref().map(with)
    }

    /// Puts a newer answer in place, for example that of a change.
    pub fn put(self, value: T) {
        self.any.put(Remote::Ready(Arc::new(value)));
    }

    /// Changes the answer in place, for example by the next page of a list.
    pub fn change(self, with: impl FnOnce(&mut T)) {
        if let Some(mut value) = self.peek() {
            with(&mut value);
            self.put(value);
        }
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
    load_by(path, Tree::read)
}

/// The same for a type that is put together from several parts of an answer.
pub fn load_by<T>(
    path: impl Fn() -> Option<String> + 'static,
    read: fn(&Tree) -> Result<T, Unread>,
) -> Load<T>
where
    T: Clone + Send + Sync + 'static,
{
    let held = move |tree: &Tree| match read(tree) {
        Ok(value) => Remote::Ready(Arc::new(value) as Held),
        Err(unread) => Remote::Failed(unread.into()),
    };
    Load {
        any: follow(Rc::new(path), Rc::new(held)),
        answer: PhantomData,
    }
}

/// Reads `path`, now, whenever it changes and when it is asked to.
fn follow(path: Rc<dyn Fn() -> Option<String>>, read: Read) -> AnyLoad {
    let api = use_api();
    let load = AnyLoad {
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
        let read = Rc::clone(&read);
        spawn_local(async move {
            let answer = api.text(&path, signal.clone()).await;
            if signal.is_some_and(|signal| signal.aborted()) {
                return;
            }
            load.put(
                match answer.and_then(|text| tree(&text).map_err(Failure::from)) {
                    Ok(tree) => read(&tree),
                    Err(failure) => Remote::Failed(failure),
                },
            );
        });
        Some(abort)
    });
    load
}
