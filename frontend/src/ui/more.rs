//! The next page of a list, added below.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use serde::de::DeserializeOwned;

use super::button::Button;
use super::toast::use_toasts;
use crate::api::{Load, use_api};

/// A button that adds the next page; nothing on the last one.
#[component]
pub fn More<T>(
    /// The list.
    load: Load<Page<T>>,
    /// The address of the page after a cursor.
    path: Callback<String, String>,
) -> impl IntoView
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let next = move || {
        load.state.with(|state| match state {
            crate::api::Remote::Ready(page) => page.next_cursor.clone(),
            _ => None,
        })
    };
    let click = move |_| {
        let Some(cursor) = load.peek().and_then(|page| page.next_cursor) else {
            return;
        };
        let path = path.run(cursor.clone());
        busy.set(true);
        spawn_local(async move {
            match api.get::<Page<T>>(&path).await {
                // Only if the list was not read anew meanwhile.
                Ok(page) => load.change(|list| {
                    if list.next_cursor.as_deref() == Some(&cursor) {
                        list.items.extend(page.items);
                        list.next_cursor = page.next_cursor;
                    }
                }),
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    move || {
        next().is_some().then(|| {
            view! {
                <div class="more">
                    <Button busy=busy attr:data-testid="load-more" on:click=click>
                        "Load more"
                    </Button>
                </div>
            }
            .into_any()
        })
    }
}
