//! Which workspace was chosen: kept for this tab, and for the next one that is opened.

use leptos::prelude::window;

const KEY: &str = "signalbox.workspace";

fn stores() -> impl Iterator<Item = web_sys::Storage> {
    let stores = [window().session_storage(), window().local_storage()];
    stores.into_iter().filter_map(|store| store.ok().flatten())
}

/// The slug that was chosen here, or last elsewhere.
pub fn stored() -> Option<String> {
    stores().find_map(|store| store.get_item(KEY).ok().flatten())
}

/// Keeps a slug. A browser that keeps nothing begins with the oldest workspace each time.
pub fn store(slug: &str) {
    for store in stores() {
        drop(store.set_item(KEY, slug));
    }
}
