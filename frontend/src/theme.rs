//! Light, dark, or as the system says. `boot.js` applies the stored choice before the first paint.

use leptos::prelude::*;

const KEY: &str = "signalbox.theme";

/// What the person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Every choice, in the order of the switch.
    pub const ALL: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

    /// The word that is stored and tested.
    pub const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The word for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }
}

/// The chosen theme; setting it applies and stores it.
pub fn theme_signal() -> RwSignal<Theme> {
    let stored = storage().and_then(|s| s.get_item(KEY).ok().flatten());
    let theme = RwSignal::new(match stored.as_deref() {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        _ => Theme::System,
    });
    Effect::new(move |_| apply(theme.get()));
    theme
}

fn apply(theme: Theme) {
    // Storage may be refused and attributes cannot fail here: nothing to do about either.
    if let Some(root) = document().document_element() {
        drop(match theme {
            Theme::System => root.remove_attribute("data-theme"),
            other => root.set_attribute("data-theme", other.word()),
        });
    }
    if let Some(storage) = storage() {
        drop(match theme {
            Theme::System => storage.remove_item(KEY),
            other => storage.set_item(KEY, other.word()),
        });
    }
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}
