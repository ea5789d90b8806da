//! Tabs: arrow keys move between them, as screen readers announce.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// A row of tabs. The content below is the page's, under the id `{name}-panel`.
#[component]
pub fn Tabs(
    /// Names the row; start of the ids.
    name: &'static str,
    /// Label of the row.
    label: &'static str,
    /// Key and words of each tab.
    tabs: Vec<(&'static str, &'static str)>,
    /// Key of the chosen one.
    chosen: RwSignal<&'static str>,
) -> impl IntoView {
    let keys: Vec<&'static str> = tabs.iter().map(|(key, _)| *key).collect();
    let moved = move |event: web_sys::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowRight" => 1,
            "ArrowLeft" => keys.len().saturating_sub(1),
            _ => return,
        };
        event.prevent_default();
        let now = keys.iter().position(|k| *k == chosen.get_untracked());
        let next = now
            .map(|i| (i + step) % keys.len())
            .and_then(|i| keys.get(i));
        if let Some(next) = next {
            chosen.set(next);
            let tab = document().get_element_by_id(&format!("{name}-{next}"));
            if let Some(tab) = tab.and_then(|tab| tab.dyn_into::<web_sys::HtmlElement>().ok()) {
                // Without the focus the choice still holds.
                drop(tab.focus());
            }
        }
    };
    view! {
        <div class="tabs" role="tablist" aria-label=label on:keydown=moved>
            {tabs
                .into_iter()
                .map(|(key, words)| {
                    view! {
                        <button
                            type="button"
                            role="tab"
                            class="tab"
                            id=format!("{name}-{key}")
                            data-testid=format!("{name}-{key}")
                            aria-controls=format!("{name}-panel")
                            aria-selected=move || if chosen.get() == key { "true" } else { "false" }
                            tabindex=move || if chosen.get() == key { "0" } else { "-1" }
                            on:click=move |_| chosen.set(key)
                        >
                            {words}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
    .into_any()
}
