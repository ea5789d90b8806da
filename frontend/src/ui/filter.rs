//! Filters of a list. They live in the address, so that a view can be shared and "back" works.

use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::query_signal_with_options;

use super::icon::{Icon, icon};

/// One filter: what is chosen, and how to choose.
#[derive(Clone, Copy)]
pub struct Filter {
    /// The chosen value; empty: all.
    pub value: Signal<String>,
    set: SignalSetter<Option<String>>,
}

impl Filter {
    /// The filter of this name in the address.
    pub fn of(name: &'static str) -> Self {
        let options = NavigateOptions {
            replace: true,
            scroll: false,
            ..NavigateOptions::default()
        };
        let (value, set) = query_signal_with_options::<String>(name, options);
        Self {
            value: Signal::derive(move || value.get().unwrap_or_default()),
            set,
        }
    }

    /// Chooses.
    pub fn choose(self, value: String) {
        self.set.set((!value.is_empty()).then_some(value));
    }
}

/// A filter with a few values; the first choice is "all".
#[component]
pub fn FilterSelect(
    /// What it filters by.
    label: &'static str,
    /// The words for "all".
    all: &'static str,
    /// The filter.
    filter: Filter,
    /// Value and words.
    #[prop(into)]
    options: Signal<Vec<(String, String)>>,
    /// For tests.
    testid: &'static str,
) -> impl IntoView {
    view! {
        <select
            class="select"
            aria-label=label
            data-testid=testid
            on:change=move |event| filter.choose(event_target_value(&event))
        >
            <option value="" selected=move || filter.value.with(String::is_empty)>
                {all}
            </option>
            {move || {
                options
                    .get()
                    .into_iter()
                    .map(|(key, words)| {
                        let own = key.clone();
                        view! {
                            <option value=key selected=move || filter.value.with(|v| *v == own)>
                                {words}
                            </option>
                        }
                    })
                    .collect_view()
            }}
        </select>
    }
    .into_any()
}

/// A search field; waits until the typing pauses.
#[component]
pub fn SearchBox(
    /// What is searched.
    label: &'static str,
    /// The filter.
    filter: Filter,
    /// For tests.
    testid: &'static str,
) -> impl IntoView {
    const PAUSE_MS: u32 = 300;
    let waiting = StoredValue::new_local(None::<Timeout>);
    let typed = move |event| {
        let text = event_target_value(&event);
        // Dropping the earlier one cancels it.
        waiting.set_value(Some(Timeout::new(PAUSE_MS, move || filter.choose(text))));
    };
    view! {
        <div class="search">
            {icon(Icon::Search)}
            <input
                class="input"
                type="search"
                aria-label=label
                placeholder=label
                data-testid=testid
                prop:value=move || filter.value.get()
                on:input=typed
            />
        </div>
    }
    .into_any()
}
