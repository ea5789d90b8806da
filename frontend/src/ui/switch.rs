//! On or off.

use leptos::prelude::*;

/// A switch.
#[component]
pub fn Switch(
    /// Whether it is on.
    #[prop(into)]
    on: Signal<bool>,
    /// What it switches, for screen readers.
    #[prop(into)]
    label: String,
    /// Called with the wanted position.
    change: Callback<bool>,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    view! {
        <button
            type="button"
            class="switch"
            role="switch"
            aria-checked=move || if on.get() { "true" } else { "false" }
            aria-label=label
            data-testid=testid
            on:click=move |_| change.run(!on.get_untracked())
        >
            <span class="track" aria-hidden="true"></span>
            <span aria-hidden="true">{move || if on.get() { "On" } else { "Off" }}</span>
        </button>
    }
    .into_any()
}
