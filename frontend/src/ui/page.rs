//! The head of a page: its title, also in the browser's tab, and what can be done.

use std::cell::Cell;

use leptos::html;
use leptos::prelude::*;
use leptos_router::components::A;

use super::icon::{Icon, icon};

thread_local! {
    /// Whether a page was shown before: the first keeps the focus where the browser put it.
    static SHOWN: Cell<bool> = const { Cell::new(false) };
}

/// The head of a page. Takes the focus when a person comes from another page.
#[component]
pub fn PageHead(
    /// Its title.
    #[prop(into)]
    title: Signal<String>,
    /// What the page is for.
    #[prop(optional, into)]
    text: String,
    /// Where it belongs: address and words.
    #[prop(optional)]
    back: Option<(&'static str, &'static str)>,
    /// What can be done.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let heading = NodeRef::<html::H1>::new();
    Effect::new(move |_| document().set_title(&format!("{} · Signalbox", title.get())));
    Effect::new(move |_| {
        if let Some(heading) = heading.get()
            && SHOWN.replace(true)
        {
            // A heading that cannot take the focus leaves it where it was.
            drop(heading.focus());
            window().scroll_to_with_x_and_y(0.0, 0.0);
        }
    });
    view! {
        <div class="page-head">
            <div class="titles">
                {back
                    .map(|(href, label)| {
                        view! {
                            <A href=href attr:class="crumb">
                                {icon(Icon::Back)}
                                {label}
                            </A>
                        }
                    })}
                <h1 tabindex="-1" node_ref=heading data-testid="page-title">
                    {move || title.get()}
                </h1>
                {(!text.is_empty()).then(|| view! { <p>{text}</p> })}
            </div>
            {children.map(|children| view! { <div class="page-actions">{children()}</div> })}
        </div>
    }
    .into_any()
}
