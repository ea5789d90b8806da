//! What stands around every page: navigation, top bar, menu.

mod menu;
mod nav;
mod notices;
mod proof;
mod switch;
mod workspaces;

use leptos::html;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_location;
use web_sys::KeyboardEvent;

use crate::api::{Status, use_live};
use crate::ui::{Badge, Icon, Mark, Tone, icon};
use menu::ProfileMenu;
use nav::Nav;
use notices::Notices;
pub use proof::ProofHost;
use switch::MaintenanceSwitch;

/// The frame.
#[component]
pub fn Frame(
    /// The page.
    children: Children,
) -> impl IntoView {
    let live = use_live();
    let drawer = RwSignal::new(false);
    let main = NodeRef::<html::Main>::new();
    let location = use_location();
    Effect::new(move |_| {
        location.pathname.track();
        drawer.set(false);
    });
    let skip = move |event: web_sys::MouseEvent| {
        event.prevent_default();
        if let Some(main) = main.get_untracked() {
            // Without the focus, the next key press starts at the top as before.
            drop(main.focus());
        }
    };
    let escape = move |event: KeyboardEvent| {
        if event.key() == "Escape" {
            drawer.set(false);
        }
    };
    view! {
        <a class="skip-link" href="#main" on:click=skip>
            "Skip to content"
        </a>
        <div class="frame" on:keydown=escape>
            <Nav open=drawer />
            <button
                type="button"
                class="nav-shade"
                class:open=move || drawer.get()
                tabindex="-1"
                aria-label="Close navigation"
                on:click=move |_| drawer.set(false)
            ></button>
            <div class="page-area">
                <header class="topbar">
                    <button
                        type="button"
                        class="button quiet icon menu-button"
                        aria-label="Navigation"
                        aria-controls="nav"
                        aria-expanded=move || if drawer.get() { "true" } else { "false" }
                        data-testid="nav-open"
                        on:click=move |_| drawer.update(|open| *open = !*open)
                    >
                        {icon(Icon::Menu)}
                    </button>
                    <A href="/" attr:class="topbar-brand">
                        <Mark />
                        "Signalbox"
                    </A>
                    <span class="spacer"></span>
                    <span data-testid="live-status" role="status">
                        {move || match live.status.get() {
                            Status::On => view! { <Badge text="Live" tone=Tone::Green /> },
                            Status::Connecting => view! { <Badge text="Reconnecting" tone=Tone::Amber /> },
                            Status::Off => view! { <Badge text="Offline" tone=Tone::Grey /> },
                        }}
                    </span>
                    <MaintenanceSwitch />
                    <ProfileMenu />
                </header>
                <Notices />
                <main class="page" id="main" tabindex="-1" node_ref=main>
                    {children()}
                </main>
            </div>
        </div>
    }
}
