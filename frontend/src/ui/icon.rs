//! Line icons on a grid of 24, and the brand mark.

use leptos::prelude::*;

/// An icon. It is decoration: the text beside it, or the label of its button, carries the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Dashboard,
    Live,
    Event,
    Source,
    Rule,
    Connection,
    Delivery,
    Dead,
    Menu,
    Close,
    Copy,
    Check,
    Cross,
    Search,
    Plus,
    Trash,
    Replay,
    Back,
    Grip,
    User,
    Pause,
    Play,
    Key,
    Flask,
    Book,
    Out,
    Clock,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Dashboard => "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
            Self::Live => {
                "M12 12h.01M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8"
            }
            Self::Event => "M5 4h14v16H5zM9 9h6M9 13h6M9 17h3",
            Self::Source => "M12 4v10M8 10l4 4 4-4M4 16v4h16v-4",
            Self::Rule => "M4 6h16M4 6v0M7 12h10M10 18h4",
            Self::Connection => {
                "M9 15l6-6M8 11l-2.5 2.5a3.5 3.5 0 0 0 5 5L13 16M16 13l2.5-2.5a3.5 3.5 0 0 0-5-5L11 8"
            }
            Self::Delivery => "M4 12l16-7-5 15-3-6zM12 14l8-9",
            Self::Dead => "M12 4l9 16H3zM12 10v4M12 17h.01",
            Self::Menu => "M4 7h16M4 12h16M4 17h16",
            Self::Close | Self::Cross => "M6 6l12 12M18 6L6 18",
            Self::Copy => "M9 9h11v11H9zM15 9V4H4v11h5",
            Self::Check => "M5 13l4.5 4.5L19 7",
            Self::Search => "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
            Self::Plus => "M12 5v14M5 12h14",
            Self::Trash => "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
            Self::Replay => "M4 12a8 8 0 1 0 2.6-5.9M4 4v4h4",
            Self::Back => "M15 5l-7 7 7 7",
            Self::Grip => "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
            Self::User => "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20a7.5 7.5 0 0 1 15 0",
            Self::Pause => "M8 5v14M16 5v14",
            Self::Play => "M7 5l12 7-12 7z",
            Self::Key => "M8 19a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM11 12l8-8M16 7l3 3",
            Self::Flask => "M10 4v6l-5 9h14l-5-9V4M8 4h8M8 15h8",
            Self::Book => "M5 4h9a4 4 0 0 1 4 4v12H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h10",
            Self::Out => "M14 8V4H4v16h10v-4M9 12h11M17 9l3 3-3 3",
            Self::Clock => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
        }
    }
}

/// Draws an icon.
pub fn icon(which: Icon) -> AnyView {
    view! {
        <svg
            viewBox="0 0 24 24"
            fill="none"
            stroke="currentColor"
            stroke-width="2"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
            focusable="false"
        >
            <path d=which.path() />
        </svg>
    }
    .into_any()
}

/// The brand mark, from the file that is also the page's icon.
#[component]
pub fn Mark() -> impl IntoView {
    view! { <span aria-hidden="true" inner_html=include_str!("../../assets/mark.svg")></span> }
        .into_any()
}
