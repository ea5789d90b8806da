//! Buttons.

use leptos::ev::MouseEvent;
use leptos::prelude::*;

/// What a button is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// One of several things to do.
    #[default]
    Plain,
    /// The one thing that the page is for.
    Primary,
    /// Takes something away.
    Danger,
    /// In the background.
    Quiet,
}

impl Kind {
    const fn class(self) -> &'static str {
        match self {
            Self::Plain => "button",
            Self::Primary => "button primary",
            Self::Danger => "button danger",
            Self::Quiet => "button quiet",
        }
    }
}

/// A button. What it does is a property: a handler that is spread over a component is kept beside
/// the new one when the component is drawn anew, and one click would then do both.
#[component]
pub fn Button(
    /// What it is for.
    #[prop(optional)]
    kind: Kind,
    /// Sends the form it stands in.
    #[prop(optional)]
    submit: bool,
    /// Smaller, for rows of a list.
    #[prop(optional)]
    small: bool,
    /// Shows that its work is under way, and takes no clicks meanwhile.
    #[prop(optional, into)]
    busy: Signal<bool>,
    /// Takes no clicks.
    #[prop(optional, into)]
    disabled: Signal<bool>,
    /// What it does.
    #[prop(optional, into)]
    press: Option<UnsyncCallback<MouseEvent>>,
    /// Its words.
    children: Children,
) -> impl IntoView {
    view! {
        <button
            type=if submit { "submit" } else { "button" }
            class=kind.class()
            class:small=small
            class:busy=busy
            disabled=move || busy.get() || disabled.get()
            aria-busy=move || busy.get().then_some("true")
            on:click=move |click| {
                if let Some(press) = &press {
                    press.run(click);
                }
            }
        >
            {children()}
        </button>
    }
}
