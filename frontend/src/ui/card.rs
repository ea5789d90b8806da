//! A part of a page with its own heading.

use leptos::prelude::*;

use super::field::next_id;

/// A card.
#[component]
pub fn Card(
    /// Its heading.
    #[prop(into)]
    title: String,
    /// A line below the heading.
    #[prop(optional, into)]
    text: String,
    /// The content goes to the edges.
    #[prop(optional)]
    flush: bool,
    /// What stands at the right of the heading.
    #[prop(optional)]
    actions: Option<AnyView>,
    /// The content.
    children: Children,
) -> impl IntoView {
    let id = next_id("card");
    let heading = id.clone();
    view! {
        <section class="card" aria-labelledby=id>
            <div class="card-head">
                <div>
                    <h2 id=heading>{title}</h2>
                    {(!text.is_empty()).then(|| view! { <p>{text}</p> })}
                </div>
                {actions}
            </div>
            <div class="card-body" class:flush=flush>
                {children()}
            </div>
        </section>
    }
}
