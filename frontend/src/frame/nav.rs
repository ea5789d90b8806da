//! The navigation, with the numbers that want attention.

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::stats::Stats;
use openapi::stream::Message;

use super::workspaces::WorkspaceSwitch;
use crate::api::{load, use_api, use_live};
use crate::format;
use crate::ui::{Icon, Mark, icon};

const REFRESH_MS: u32 = 4_000;

type Count = Option<(Signal<i64>, &'static str, &'static str)>;

/// The navigation.
#[component]
pub fn Nav(
    /// Whether the drawer is open, on phones.
    open: RwSignal<bool>,
) -> impl IntoView {
    let api = use_api();
    let stats = load::<Stats>(|| "stats".to_owned());
    use_live().after(
        REFRESH_MS,
        |message| matches!(message, Message::Delivery(_) | Message::Reset),
        move || stats.reload(),
    );
    let held = Signal::derive(move || stats.get().map_or(0, |s| s.queue.held));
    let dead = Signal::derive(move || stats.get().map_or(0, |s| s.queue.dead));
    let workspace = move || {
        let own = api.membership();
        own.map_or_else(String::new, |own| own.workspace.name)
    };
    view! {
        <nav class="nav" class:open=move || open.get() id="nav" aria-label="Main">
            <A href="/" attr:class="brand">
                <Mark />
                <span>
                    <span class="brand-name">"Signalbox"</span>
                    <span class="brand-workspace" data-testid="workspace-name">
                        {workspace}
                    </span>
                </span>
            </A>
            <WorkspaceSwitch />
            <div class="nav-list">
                {entry("/", "Dashboard", Icon::Dashboard, None)}
                {entry("/live", "Live feed", Icon::Live, None)}
                <p class="nav-heading">"What happened"</p>
                {entry("/events", "Events", Icon::Event, None)}
                {entry("/deliveries", "Deliveries", Icon::Delivery, Some((held, "", "held")))}
                {entry("/dead-letters", "Dead letters", Icon::Dead, Some((dead, "red", "dead letters")))}
                {entry("/jobs", "Jobs", Icon::Clock, None)}
                <p class="nav-heading">"Setup"</p>
                {entry("/sources", "Sources", Icon::Source, None)}
                {entry("/rules", "Rules", Icon::Rule, None)}
                {entry("/connections", "Connections", Icon::Connection, None)}
                {entry("/maintenance", "Maintenance", Icon::Clock, None)}
                {entry("/retention", "Retention", Icon::Clock, None)}
                {entry("/people", "People", Icon::User, None)}
                {entry("/credentials", "API credentials", Icon::Key, None)}
                {entry("/audit", "Audit log", Icon::Key, None)}
                {entry("/workspace", "Workspace", Icon::User, None)}
                {entry("/mail", "Mail", Icon::Out, None)}
            </div>
            <div class="nav-foot nav-list">
                <a class="nav-link" href="/api/docs" target="_blank" rel="noopener external">
                    {icon(Icon::Book)}
                    "API reference"
                </a>
            </div>
        </nav>
    }
    .into_any()
}

fn entry(href: &'static str, words: &'static str, which: Icon, count: Count) -> AnyView {
    let test = format!("nav-{}", href.trim_start_matches('/'));
    view! {
        <A href=href exact=href == "/" attr:class="nav-link" attr:data-testid=test>
            {icon(which)}
            {words}
            {count
                .map(|(count, class, what)| {
                    move || {
                        let n = count.get();
                        (n > 0)
                            .then(|| {
                                view! {
                                    <span class=format!("nav-count {class}")>
                                        {format::count(n)}
                                        <span class="visually-hidden">{format!(" {what}")}</span>
                                    </span>
                                }
                            })
                    }
                })}
        </A>
    }
    .into_any()
}
