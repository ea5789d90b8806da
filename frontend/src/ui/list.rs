//! A list that is read page by page: what it shows while it is empty, its rows, and a button that
//! adds the next page below. The server looks at so many rows for a page; where it found none and there
//! are more, the next page is read without being asked for, until something is found or [`BY_ITSELF`]
//! pages had nothing.

use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use serde::de::DeserializeOwned;

use super::button::Button;
use super::icon::Icon;
use super::states::{Empty, FailureView, Skeleton, page_of};
use super::toast::use_toasts;
use crate::api::{Failure, Load, Tree, Unread, load, use_api};

/// Pages that are read one after the other without being asked for.
const BY_ITSELF: u32 = 10;

/// Where the search for the first rows stands.
#[derive(Clone, Debug, PartialEq)]
enum Search {
    /// The next page is being read.
    Goes,
    /// Enough was looked at unasked.
    Stopped,
    /// The next page could not be read.
    Failed(Failure),
}

/// Adds the page in a tree to the list, unless that was read anew since the cursor was taken.
type Add = Rc<dyn Fn(&str, &Tree) -> Result<(), Unread>>;

/// A list that is read page by page.
pub struct Pages<T: Send + Sync + 'static> {
    /// All pages that are there, as one.
    pub load: Load<Page<T>>,
    path: Callback<String, String>,
}

impl<T: Send + Sync + 'static> Clone for Pages<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Send + Sync + 'static> Copy for Pages<T> {}

/// A list; `path` gives the address of the page after a cursor. It is read anew when the path
/// changes.
pub fn pages<T>(path: impl Fn(String) -> String + Send + Sync + 'static) -> Pages<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let path = Callback::new(path);
    Pages {
        load: load(move || path.run(String::new())),
        path,
    }
}

impl<T> Pages<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Reads it anew.
    pub fn reload(self) {
        self.load.reload();
    }

    /// Shows it; `empty` when there is nothing, `table` for the rows.
    pub fn view(
        self,
        empty: impl Fn() -> AnyView + Send + Sync + 'static,
        table: impl Fn(Vec<T>) -> AnyView + Send + Sync + 'static,
    ) -> AnyView {
        let load = self.load;
        let next = move || load.with(|page| page.next_cursor.clone())?;
        let add = move |cursor: &str, tree: &Tree| {
            let page: Page<T> = tree.read()?;
            load.change(|list| {
                if list.next_cursor.as_deref() == Some(cursor) {
                    list.items.extend(page.items);
                    list.next_cursor = page.next_cursor;
                }
            });
            Ok(())
        };
        let found_none = move || load.with(|page| page.items.is_empty()).unwrap_or(false);
        let search = RwSignal::new(Search::Goes);
        let more = more(
            Signal::derive(next),
            Signal::derive(found_none),
            search,
            self.path,
            Rc::new(add),
        );
        (page_of(load, move || beyond(search), empty, table), more).into_any()
    }
}

/// What stands for the rows while none was found and there are more.
fn beyond(search: RwSignal<Search>) -> AnyView {
    match search.get() {
        Search::Goes => view! { <Skeleton /> }.into_any(),
        Search::Stopped => view! {
            <Empty
                mark=Icon::Search
                title="Nothing found yet"
                text="Nothing among the newest rows looked at. Load more looks further."
            />
        }
        .into_any(),
        Search::Failed(failure) => view! { <FailureView failure=failure /> }.into_any(),
    }
}

/// A button that adds the next page; nothing on the last one.
fn more(
    next: Signal<Option<String>>,
    found_none: Signal<bool>,
    search: RwSignal<Search>,
    path: Callback<String, String>,
    add: Add,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let left = StoredValue::new(BY_ITSELF);
    let add = StoredValue::new_local(add);
    let read = move || {
        let Some(cursor) = next.get_untracked() else {
            return;
        };
        let path = path.run(cursor.clone());
        let add = add.get_value();
        let searches = found_none.get_untracked();
        busy.set(true);
        search.set(Search::Goes);
        spawn_local(async move {
            let tree = api.get::<Tree>(&path).await;
            if let Err(failure) = tree.and_then(|tree| Ok(add(&cursor, &tree)?)) {
                if searches {
                    search.try_set(Search::Failed(failure));
                } else {
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    // Each cursor once: one that failed waits for the button.
    Effect::new(move |asked: Option<Option<String>>| {
        let cursor = next.get().filter(|_| found_none.get());
        if cursor.is_none() {
            left.set_value(BY_ITSELF);
        } else if asked.flatten() != cursor {
            match left.get_value().checked_sub(1) {
                Some(fewer) => {
                    left.set_value(fewer);
                    read();
                }
                None => search.set(Search::Stopped),
            }
        }
        cursor
    });
    let press = move || {
        left.set_value(BY_ITSELF);
        read();
    };
    (move || {
        next.get().is_some().then(|| {
            view! {
                <div class="more">
                    <Button busy=busy attr:data-testid="load-more" press=move |_| press()>
                        "Load more"
                    </Button>
                </div>
            }
        })
    })
    .into_any()
}
