//! A moment, told relative to now, with the exact one in the tooltip.

use leptos::prelude::*;

use crate::{clock, format};

/// The clock of the page: ticks twice a minute, so that relative times stay true.
#[derive(Clone, Copy)]
pub struct Tick(pub RwSignal<chrono::DateTime<chrono::Utc>>);

/// Starts the clock of the page.
pub fn provide_tick() {
    let now = RwSignal::new(clock::now());
    provide_context(Tick(now));
    gloo_timers::callback::Interval::new(15_000, move || {
        now.try_set(clock::now());
    })
    .forget();
}

/// A moment such as "5 min ago".
#[component]
pub fn Ago(
    /// When.
    at: chrono::DateTime<chrono::Utc>,
) -> impl IntoView {
    let tick = use_context::<Tick>();
    let text = move || {
        let now = tick.map_or_else(clock::now, |tick| tick.0.get());
        // Something newer than the last tick is not in the future.
        format::relative(
            at,
            if at > now && (at - now).num_seconds() < 20 {
                at
            } else {
                now
            },
        )
    };
    view! { <time datetime=at.to_rfc3339() title=format::moment(at)>{text}</time> }.into_any()
}
