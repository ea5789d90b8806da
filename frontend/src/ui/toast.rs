//! Short messages about what just happened.

use gloo_timers::callback::Timeout;
use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::api::Failure;
use crate::ui::keyed;

const GOOD_MS: u32 = 5_000;
const BAD_MS: u32 = 12_000;

#[derive(Clone, PartialEq)]
struct Toast {
    id: u64,
    good: bool,
    text: String,
}

/// Where messages go.
#[derive(Clone, Copy)]
pub struct Toasts {
    list: RwSignal<Vec<Toast>>,
    next: StoredValue<u64>,
}

/// Where messages go, from the context.
pub fn use_toasts() -> Toasts {
    use_context::<Toasts>().unwrap_or_else(Toasts::new)
}

impl Toasts {
    /// None yet.
    pub fn new() -> Self {
        Self {
            list: RwSignal::new(Vec::new()),
            next: StoredValue::new(0),
        }
    }

    /// It worked.
    pub fn good(self, text: impl Into<String>) {
        self.push(true, text.into());
    }

    /// It did not work.
    pub fn bad(self, text: impl Into<String>) {
        self.push(false, text.into());
    }

    /// A request failed.
    pub fn failed(self, failure: &Failure) {
        self.bad(failure.text());
    }

    fn push(self, good: bool, text: String) {
        let id = self.next.get_value();
        self.next.set_value(id.wrapping_add(1));
        self.list
            .try_update(|list| list.push(Toast { id, good, text }));
        Timeout::new(if good { GOOD_MS } else { BAD_MS }, move || self.remove(id)).forget();
    }

    fn remove(self, id: u64) {
        self.list
            .try_update(|list| list.retain(|toast| toast.id != id));
    }
}

/// The place on the page where messages appear.
#[component]
pub fn ToastHost() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
            {keyed(
                move || toasts.list.get(),
                |toast| toast.id,
                move |toast| message(toasts, toast),
            )}
        </div>
    }
    .into_any()
}

fn message(toasts: Toasts, toast: Toast) -> AnyView {
    view! {
                <div
                    class=if toast.good { "toast good" } else { "toast bad" }
                    data-testid=if toast.good { "toast-good" } else { "toast-bad" }
                >
                    <p>{toast.text}</p>
                    <button
                        type="button"
                        class="button quiet icon small"
                        aria-label="Dismiss"
                        on:click=move |_| toasts.remove(toast.id)
                    >
                        {icon(Icon::Close)}
                    </button>
                </div>
    }
    .into_any()
}
