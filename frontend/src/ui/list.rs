//! A list that is read page by page: what it shows while it is empty, its rows, and a button that
//! adds the next page below. The server looks at so many rows for a page; where it found none and there
//! are more, the next page is read without being asked for, until something is found.

use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use serde::de::DeserializeOwned;

use super::button::Button;
use super::states::page_of;
use super::toast::use_toasts;
use crate::api::{Load, Tree, Unread, load, use_api};

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
        let more = more(
            Signal::derive(next),
            Signal::derive(found_none),
            self.path,
            Rc::new(add),
        );
        (page_of(load, empty, table), more).into_any()
    }
}

/// A button that adds the next page; nothing on the last one.
fn more(
    next: Signal<Option<String>>,
    found_none: Signal<bool>,
    path: Callback<String, String>,
    add: Add,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let add = StoredValue::new_local(add);
    let read = move || {
        let Some(cursor) = next.get_untracked() else {
            return;
        };
        let path = path.run(cursor.clone());
        let add = add.get_value();
        busy.set(true);
        spawn_local(async move {
            let tree = api.get::<Tree>(&path).await;
            if let Err(failure) = tree.and_then(|tree| Ok(add(&cursor, &tree)?)) {
                toasts.failed(&failure);
            }
            busy.try_set(false);
        });
    };
    // Each cursor once: one that failed waits for the button.
    Effect::new(move |asked: Option<Option<String>>| {
        let cursor = next.get().filter(|_| found_none.get());
        if cursor.is_some() && asked.flatten() != cursor {
            read();
        }
        cursor
    });
    (move || {
        next.get().is_some().then(|| {
            view! {
                <div class="more">
                    <Button busy=busy attr:data-testid="load-more" press=move |_| read()>
                        "Load more"
                    </Button>
                </div>
            }
        })
    })
    .into_any()
}
