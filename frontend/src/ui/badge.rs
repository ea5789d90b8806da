//! Short coloured words. Colour never stands alone: the word says the same.

use leptos::prelude::*;
use openapi::deliveries::State;

use crate::format;

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Grey,
    /// Good.
    Green,
    /// Wants a look.
    Amber,
    /// Bad.
    Red,
    /// Under way.
    Blue,
    /// Ours.
    Accent,
}

impl Tone {
    /// Its class.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
            Self::Blue => "blue",
            Self::Accent => "accent",
        }
    }
}

/// A badge.
#[component]
pub fn Badge(
    /// Its words.
    #[prop(into)]
    text: String,
    /// Its colour.
    tone: Tone,
) -> impl IntoView {
    view! {
        <span class=format!("badge {}", tone.class())>
            <span class="dot" aria-hidden="true"></span>
            {text}
        </span>
    }
    .into_any()
}

/// Colour of a delivery's state.
pub const fn state_tone(state: State) -> Tone {
    match state {
        State::Delivered => Tone::Green,
        State::Ready | State::Leased => Tone::Blue,
        State::Retrying | State::Windowed | State::Held | State::Paused | State::Parked => {
            Tone::Amber
        }
        State::Dead => Tone::Red,
        State::Discarded | State::Coalesced | State::Superseded => Tone::Grey,
    }
}

/// A delivery's state.
pub fn state_badge(state: State) -> AnyView {
    view! { <Badge text=state.as_str() tone=state_tone(state) /> }.into_any()
}

/// Colour of an event's disposition.
pub fn disposition_tone(disposition: &str) -> Tone {
    match disposition {
        "routed" => Tone::Green,
        "unmatched" => Tone::Amber,
        "unrouted" => Tone::Red,
        _ => Tone::Grey,
    }
}

/// An event's disposition.
pub fn disposition_badge(disposition: &str) -> AnyView {
    view! { <Badge text=format::words(disposition) tone=disposition_tone(disposition) /> }
        .into_any()
}

/// Colour of an attempt's outcome.
pub fn outcome_tone(outcome: &str) -> Tone {
    match outcome {
        "delivered" => Tone::Green,
        "retry" | "unknown" | "rate_limited" => Tone::Amber,
        _ => Tone::Red,
    }
}
