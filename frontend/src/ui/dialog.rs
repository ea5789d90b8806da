//! A dialog on the native element: the browser keeps the focus inside and closes it on Escape.

use leptos::html;
use leptos::prelude::*;

use super::field::next_id;
use super::icon::{Icon, icon};

/// A dialog. Its content is made when it opens and dropped when it closes.
#[component]
pub fn Dialog(
    /// Whether it is open; closing it by hand sets this to false.
    open: RwSignal<bool>,
    /// Its heading.
    #[prop(into)]
    title: Signal<String>,
    /// Wider, for forms.
    #[prop(optional)]
    wide: bool,
    /// For tests.
    #[prop(into)]
    testid: String,
    /// Its content.
    children: ChildrenFn,
) -> impl IntoView {
    let element = NodeRef::<html::Dialog>::new();
    let id = next_id("dialog");
    let heading = id.clone();
    Effect::new(move |_| {
        if let Some(dialog) = element.get() {
            if !open.get() {
                dialog.close();
            } else if !dialog.open() && dialog.show_modal().is_err() {
                open.set(false);
            }
        }
    });
    let children = StoredValue::new(children);
    view! {
        <dialog
            class="dialog"
            class:wide=wide
            node_ref=element
            aria-labelledby=id
            data-testid=testid
            on:close=move |_| open.set(false)
        >
            <div class="dialog-head">
                <h2 id=heading>{move || title.get()}</h2>
                <button
                    type="button"
                    class="button quiet icon small"
                    aria-label="Close"
                    on:click=move |_| open.set(false)
                >
                    {icon(Icon::Close)}
                </button>
            </div>
            {move || open.get().then(|| children.with_value(|children| children()))}
        </dialog>
    }
    .into_any()
}
