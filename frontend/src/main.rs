//! The console of Signalbox: client-side rendered, built by Trunk, served by the binary at `/`.
//!
//! `api` speaks to the server, `ui` holds the components, `pages` one folder for each page.
//! What a rule means is decided by the `engine` crate alone; this crate only shows it.

mod api;
mod app;
mod clock;
mod format;
mod frame;
mod pages;
mod theme;
mod ui;

fn main() {
    console_error_panic_hook::set_once();
    if let Some(boot) = leptos::prelude::document().get_element_by_id("boot") {
        boot.remove();
    }
    leptos::mount::mount_to_body(app::App);
}
