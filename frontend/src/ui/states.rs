//! The four states of a page: loading, empty, failed, and the data.

use leptos::prelude::*;
use openapi::page::Page;

use super::button::Button;
use super::icon::{Icon, icon};
use crate::api::{AnyLoad, Failure, Load, Remote};

/// Grey lines where text will be.
#[component]
pub fn Skeleton(
    /// How many.
    #[prop(default = 5)]
    lines: usize,
) -> impl IntoView {
    view! {
        <div class="skeleton" role="status" data-testid="loading">
            <span class="visually-hidden">"Loading"</span>
            {(0..lines).map(|_| view! { <span aria-hidden="true"></span> }).collect_view()}
        </div>
    }
    .into_any()
}

/// Nothing here yet, and what to do about it.
#[component]
pub fn Empty(
    /// A picture.
    mark: Icon,
    /// What is missing.
    #[prop(into)]
    title: String,
    /// Why, and what to do.
    #[prop(into)]
    text: String,
    /// Less room around it.
    #[prop(optional)]
    compact: bool,
    /// What can be done.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty" class:compact=compact data-testid="empty">
            {icon(mark)}
            <p class="empty-title">{title}</p>
            <p>{text}</p>
            {children.map(|children| view! { <div class="row">{children()}</div> })}
        </div>
    }
    .into_any()
}

/// A failure, and a way to try again.
#[component]
pub fn FailureView(
    /// What went wrong.
    failure: Failure,
    /// Tries again.
    #[prop(optional)]
    retry: Option<Callback<()>>,
) -> impl IntoView {
    let id = failure.request_id().map(str::to_owned);
    view! {
        <div class="notice red" role="alert" data-testid="failure">
            <div class="stack-s grow">
                <strong>"That did not work"</strong>
                <p>{failure.text()}</p>
                {id.map(|id| view! { <p class="small faint">"Request " <code>{id}</code></p> })}
            </div>
            {retry
                .map(|retry| {
                    view! {
                        <Button small=true press=move |_| retry.run(())>
                            "Try again"
                        </Button>
                    }
                })}
        </div>
    }
    .into_any()
}

/// Shows a load: lines while it is loading, the failure, or what `view` makes of the data.
pub fn show<T>(load: Load<T>, view: impl Fn(T) -> AnyView + Send + Sync + 'static) -> AnyView
where
    T: Clone + Send + Sync + 'static,
{
    stages(
        load.any(),
        Box::new(move || load.get().map_or_else(|| ().into_any(), &view)),
    )
}

fn stages(load: AnyLoad, ready: Box<dyn Fn() -> AnyView + Send + Sync>) -> AnyView {
    (move || match load.stage() {
        Remote::Loading => view! { <Skeleton /> }.into_any(),
        Remote::Failed(failure) => {
            let retry = Callback::new(move |()| load.reload());
            view! { <FailureView failure=failure retry=retry /> }.into_any()
        }
        Remote::Ready(()) => ready(),
    })
    .into_any()
}

/// The same for a page of a list, with something else for an empty one, and for one that is empty and
/// goes on (`beyond`).
pub fn page_of<T>(
    load: Load<Page<T>>,
    beyond: impl Fn() -> AnyView + Send + Sync + 'static,
    empty: impl Fn() -> AnyView + Send + Sync + 'static,
    view: impl Fn(Vec<T>) -> AnyView + Send + Sync + 'static,
) -> AnyView
where
    T: Clone + Send + Sync + 'static,
{
    show(load, move |page| {
        if page.items.is_empty() && page.next_cursor.is_some() {
            beyond()
        } else if page.items.is_empty() {
            empty()
        } else {
            view(page.items)
        }
    })
}
